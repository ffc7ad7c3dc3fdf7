import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { VERSION } from '../../launch/software.ts';
import { readProfile } from './profile-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'lockstep-profiles-'));
after(() => rmSync(folder, { recursive: true }));

const STEP = {
  ...{ model: 'mlp', dataset: 'mnist', micro_batch: 32, step_sha256: 'ab', device: 'cpu' },
  ...{ lanes: 2, micro_batch_ms: 0.8, step_fixed_ms: 1, own_fixed_ms: 0.8 },
};
const SYSTEM = {
  ...{ hostname: 'mini', lockstep_version: VERSION, logical_cores: 8, cpu_model: 'M4' },
  training_steps: [STEP],
};

function fileOf(content: unknown): string {
  const file = join(folder, 'profile.json');
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  return file;
}

describe('readProfile', () => {
  test('reads the profile of a system, and that of a node, which holds one', () => {
    const expected = { hostname: 'mini', cores: 8, steps: [STEP] };

    assert.deepEqual(readProfile(fileOf(SYSTEM)), expected);
    assert.deepEqual(readProfile(fileOf({ gpus: [], system: SYSTEM })), expected);
  });

  test('says of what version a profile is that is of another', () => {
    const file = fileOf({ system: { ...SYSTEM, lockstep_version: '0.0.1' } });

    assert.throws(() => readProfile(file), /got one of Lockstep 0\.0\.1, whose steps may take/);
  });

  test('names the place of times that cannot be', () => {
    for (const micro_batch_ms of [0, -1, null, '3'])
      assert.throws(
        () => readProfile(fileOf({ ...SYSTEM, training_steps: [{ ...STEP, micro_batch_ms }] })),
        /^ConfigError: --profile: expected in .*, got training_steps\.0\.micro_batch_ms: /,
      );
    assert.throws(
      () => readProfile(fileOf({ system: { ...SYSTEM, logical_cores: 0 } })),
      /got logical_cores: /,
    );
  });

  test('says what else a file holds, or that there is none', () => {
    assert.throws(() => readProfile(fileOf('[{"compute_score": 1}]')), /--profile: expected in/);
    assert.throws(() => readProfile(fileOf('NaN')), /--profile: expected in .*not valid JSON/);
    assert.throws(() => readProfile(join(folder, 'none.json')), /--profile: .*ENOENT/);
  });
});
