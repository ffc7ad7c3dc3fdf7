import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { type LossCurve, readLossCurve } from './loss-curve.ts';
import { StructureError } from '../results/read-result.ts';

const folder = mkdtempSync(join(tmpdir(), 'lockstep-curve-'));
after(() => rmSync(folder, { recursive: true }));

function read(document: unknown): LossCurve {
  const path = join(folder, 'run.json');
  writeFileSync(path, typeof document === 'string' ? document : JSON.stringify(document));
  return readLossCurve(path);
}

function refusal(document: unknown, pattern: RegExp): void {
  assert.throws(
    () => read(document),
    (error) => error instanceof StructureError && (assert.match(error.message, pattern), true),
  );
}

const STEPS = [
  { step: 0, loss: 2 },
  {
    step: 1,
    loss: 1,
    loss_bits: '3FF0000000000000',
    workers: [
      { worker_id: 0, samples: 3 },
      { worker_id: 1, samples: 0 },
    ],
  },
];

describe('readLossCurve', () => {
  test('reads the plain form and the canonical one alike', () => {
    const payload = { num_workers: 2, config: { seed: 7 }, steps: STEPS, state_digest: 'ab' };

    const plain = read(payload);
    const canonical = read({ tool_name: 'other', schema_version: '1.1.0', tool_payload: payload });

    assert.deepEqual(plain, canonical);
    assert.deepEqual(plain.steps[1], {
      step: 1,
      loss: 1,
      lossBits: '3ff0000000000000',
      samples: new Map([[0, 3]]),
    });
    assert.deepEqual([plain.workerCount, plain.config, plain.stateDigest], [2, { seed: 7 }, 'ab']);
  });

  test('reads a result without schema_version as 1.0.0', () => {
    assert.equal(
      read({ tool_name: 'minicluster', tool_payload: { steps: STEPS } }).steps.length,
      2,
    );
  });

  test('keeps losses that are not finite, as Python and as JSON write them', () => {
    const { steps } = read('{"steps": [{"step": 0, "loss": NaN}, {"step": 1, "loss": null}]}');

    assert.deepEqual(
      steps.map(({ loss }) => loss),
      [NaN, NaN],
    );
  });

  test('says which other kind of file it got', () => {
    const why = { status: 'finished', ledger: {}, timeSplit: {} };
    refusal(
      why,
      /expected the losses of a run step by step.*got a summary\.json of lockstep train/,
    );
    refusal({ run_id: 'a', workers: [], is_complete: true }, /got a health file/);
    refusal({ accuracy: 1 }, /got plain metrics/);
    refusal([1], /expected a JSON object, got an array/);
  });

  test('names another version, a field of another type with its path, and the lack of steps', () => {
    refusal(
      { schema_version: '2.0.0', tool_name: 'x' },
      /expected schema_version 1\.0\.0 or 1\.1\.0, got "2\.0\.0"/,
    );
    refusal({ steps: [] }, /it has no steps/);
    refusal({ tool_name: 'x', tool_payload: null }, /tool_payload has no steps/);
    const broken = {
      tool_name: 'x',
      tool_payload: { steps: [...STEPS, { step: 2, loss: 'low' }] },
    };
    refusal(broken, /tool_payload\.steps\[2\]\.loss: expected a number, got "low"/);
  });
});
