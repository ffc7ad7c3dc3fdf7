import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { PolicyComparison } from '../../src/validate/bench/bench-policies.ts';
import { lockstep } from '../cluster/lockstep-command.ts';
import { temporaryFolder } from '../cluster/processes.ts';

describe('lockstep bench-policies', () => {
  test('measures each worker alone and each policy, which all make one model', async (t) => {
    const output = join(temporaryFolder(t), 'policies.json');
    const unequal = ['--dataset', 'digits', '--workers', '2', '--throttle', '1,20'];

    const { status, stdout, stderr } = await lockstep(
      t,
      ...['bench-policies', ...unequal, '--steps', '30', '--global-batch', '192'],
      ...['--policies', 'adaptive,equal', '--output', output],
    );

    assert.equal(status, 0, stderr);
    const result = JSON.parse(readFileSync(output, 'utf8')) as PolicyComparison;
    assert.deepEqual([result.workers, result.throttle, result.micro_batches], [2, [1, 20], 6]);
    const [fast, slow] = result.alone.map(({ samples_per_second }) => samples_per_second);
    assert.ok(fast! > 0 && slow! > 0, `${fast} and ${slow} samples/s`);
    assert.equal(result.sum_alone, fast! + slow!);
    const [adaptive, equal] = result.policies;
    assert.deepEqual([adaptive?.policy, equal?.policy], ['adaptive', 'equal']);
    assert.equal(adaptive!.state_digest, equal!.state_digest);
    assert.ok(adaptive!.samples_per_second > 0 && equal!.samples_per_second > 0);
    assert.match(stdout, /the model is the same with every policy: [0-9a-f]{16}\n$/);
  });

  test('says which policies there are when it is given another', async (t) => {
    const { status, stderr } = await lockstep(t, 'bench-policies', '--policies', 'adaptive,fair');

    assert.equal(status, 2);
    assert.match(stderr, /--policies: expected adaptive or equal .*, got "fair"/);
  });
});
