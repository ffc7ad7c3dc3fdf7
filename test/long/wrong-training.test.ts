/**
 * The wrong builds that other tests must notice: that they are wrong in what they say, and in
 * nothing else.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { readFileSync } from 'node:fs';
import { describe, test, type TestContext } from 'node:test';
import {
  resultSchema,
  type Result,
  type TrainingPayload,
  trainingPayloadSchema,
} from '../../src/validate/results/result.ts';
import { startLockstep, temporaryFolder } from '../cluster/processes.ts';
import {
  CORRUPTED_FROM_STEP,
  trainWrongly,
  type WrongTrainingOptions,
} from '../validate/wrong-training.ts';

const STEPS = 24;

function payloadOf(result: Result): TrainingPayload {
  resultSchema.parse(result);
  return trainingPayloadSchema.parse(result.tool_payload);
}

async function wrong(options: Omit<WrongTrainingOptions, 'steps'>): Promise<TrainingPayload> {
  return payloadOf(await trainWrongly({ steps: STEPS, ...options }));
}

async function right(t: TestContext): Promise<TrainingPayload> {
  const folder = temporaryFolder(t);
  const output = join(folder, 'result.json');
  const files = ['--output', output, '--health-checkpoint-path', join(folder, 'health.json')];
  const program = startLockstep(t, ['run', '--workers', '2', '--steps', String(STEPS), ...files]);
  assert.equal((await program.end()).status, 0, program.stderr);
  return payloadOf(JSON.parse(readFileSync(output, 'utf8')) as Result);
}

/** The first step whose loss has other bits. */
function divergesAt(a: TrainingPayload, b: TrainingPayload): number {
  return a.steps.findIndex((step, i) => step.loss_bits !== b.steps[i]?.loss_bits);
}

describe('trainWrongly', () => {
  test(
    'without a mistake has the losses and the model of `lockstep run`, however work is shared ' +
      'out',
    async (t) => {
      const real = await right(t);
      for (const shares of [
        [1, 1],
        [3, 1],
      ]) {
        const control = await wrong({ mistake: 'none', shares });

        assert.equal(divergesAt(control, real), -1);
        assert.equal(control.state_digest, real.state_digest);
      }
    },
  );

  test('diverges from the step after the mistake on, and not before', async () => {
    const control = await wrong({ mistake: 'none' });

    assert.equal(divergesAt(control, await wrong({ mistake: 'no-exchange' })), 1);
    assert.equal(
      divergesAt(control, await wrong({ mistake: 'unweighted-average', shares: [3, 1] })),
      1,
    );
    const corrupted = await wrong({ mistake: 'corrupted-worker' });
    assert.equal(divergesAt(control, corrupted), CORRUPTED_FROM_STEP + 1);
  });

  test('unweighted averaging of equal shares is no mistake', async () => {
    const control = await wrong({ mistake: 'none' });
    const unweighted = await wrong({ mistake: 'unweighted-average', shares: [1, 1] });

    assert.equal(divergesAt(control, unweighted), -1);
  });
});
