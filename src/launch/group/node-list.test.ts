import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expandHosts, tasksOfNode } from './node-list.ts';

test('expandHosts writes out what Slurm has put into brackets', () => {
  for (const [list, hosts] of [
    ['login', ['login']],
    ['n[1-3,7],login', ['n1', 'n2', 'n3', 'n7', 'login']],
    ['rack[08-10]-a', ['rack08-a', 'rack09-a', 'rack10-a']],
    ['r[1-2]n[1,3]', ['r1n1', 'r1n3', 'r2n1', 'r2n3']],
    ['', []],
    ['n[1-999999999]', []],
  ] as const)
    assert.deepEqual(expandHosts(list), hosts);
});

test('tasksOfNode finds a node in a list with repetitions', () => {
  const counts = ['0', '1', '2', '3', '4'].map((node) => tasksOfNode('2(x3),1', node));

  assert.deepEqual(counts, [2, 2, 2, 1, undefined]);
  assert.equal(tasksOfNode('two', '0'), undefined);
  assert.equal(tasksOfNode(undefined, '0'), undefined);
});
