import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Candidate, createPolicy, parsePolicyName } from './policies.ts';

const node = (name: string, more: Partial<Candidate> = {}): Candidate => ({
  name,
  given: 0,
  recentMs: undefined,
  rejectedShare: 0,
  ...more,
});

describe('parsePolicyName', () => {
  test('takes numbers and names', () => {
    assert.deepEqual(
      ['1', '2', '3', 'random', 'load-balancing', 'round-robin'].map(parsePolicyName),
      ['random', 'load-balancing', 'round-robin', 'random', 'load-balancing', 'round-robin'],
    );
  });

  test('refuses anything else', () => {
    for (const text of ['0', '4', '', 'constructor'])
      assert.throws(() => parsePolicyName(text), {
        code: 'CONFIG_INVALID',
        message: /^scheduling_policy: expected 1 or random/,
      });
  });
});

describe('createPolicy', () => {
  const nodes = [node('a'), node('b'), node('c')];

  test('random follows the drawn number', () => {
    const draws = [0, 0.99, 0.4];
    const policy = createPolicy('random', () => draws.shift() ?? 0);

    assert.deepEqual([policy(nodes), policy(nodes), policy(nodes)], [0, 2, 1]);
  });

  test('round-robin goes on where it was, with nodes missing', () => {
    const policy = createPolicy('round-robin', () => 0);

    const names = [nodes, nodes, [node('a'), node('c')], [node('b'), node('a')]].map(
      (candidates) => candidates[policy(candidates)]?.name,
    );

    assert.deepEqual(names, ['a', 'b', 'c', 'a']);
  });

  test('load-balancing takes the node that is likely done first', () => {
    const policy = createPolicy('load-balancing', () => 0);

    assert.equal(policy([node('a', { recentMs: 50 }), node('b', { recentMs: 20 })]), 1);
    assert.equal(
      policy([node('a', { recentMs: 50 }), node('b', { recentMs: 20, rejectedShare: 0.8 })]),
      0,
    );
    assert.equal(policy([node('a', { recentMs: 50 }), node('b')]), 1);
    assert.equal(policy([node('a', { given: 2 }), node('b', { given: 1 })]), 1);
  });
});
