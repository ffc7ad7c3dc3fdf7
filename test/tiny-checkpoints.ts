/** Checkpoints of four weights, and a run that does nothing but write them. */
import type { Parent } from '../src/checkpoint/manifest.ts';
import { listCheckpoints } from '../src/checkpoint/read-checkpoints.ts';
import { superfluous } from '../src/checkpoint/retention.ts';
import { encodeSafetensors } from '../src/checkpoint/safetensors.ts';
import {
  type CheckpointContent,
  removeCheckpoint,
  writeCheckpoint,
} from '../src/checkpoint/write-checkpoint.ts';
import { type MemoryCheckpoints, sha256 } from './memory-checkpoints.ts';

/** A checkpoint of four weights and their moments, all of them `step`. */
export function contentOf(step: number, accuracy?: number, parent?: Parent): CheckpointContent {
  const [weights, moments] = [Float32Array.of(step, step, 1, 2), Float32Array.of(step, 3, 3, 3)];
  const bytes = (values: Float32Array): Buffer => Buffer.from(values.buffer);
  const tensor = (name: string, data: Float32Array): readonly Uint8Array[] =>
    encodeSafetensors([{ name, shape: [2, 2], data }], {});
  return {
    facts: {
      format: 1,
      software: '1.0.0',
      written: '2026-01-01T00:00:00.000Z',
      run: 'first',
      step,
      totalSteps: 100,
      standing: {
        evaluatedStep: step,
        maxima: [0.5, 1e-9],
        ledger: { expected: 8, counted: 8, dropped: 0, duplicated: 0 },
        losses: { firstLoss: 2.25, highSteps: 0, isDiverged: false },
      },
      history: {
        epoch: 0,
        epochLoss: 3.5,
        epochSteps: step,
        ...(accuracy !== undefined && {
          evaluation: { step, split: 'test', lossMean: 1, accuracy },
        }),
      },
      ...(parent && { parent }),
      weightsDigest: sha256(bytes(weights)),
      stateDigest: sha256(Buffer.concat([bytes(weights), bytes(moments)])),
      stepDigest: sha256(bytes(weights)),
      config: { model: 'mlp', lr: 0.001 },
    },
    files: [
      { name: 'weights.safetensors', parts: tensor('w', weights) },
      { name: 'optimizer.safetensors', parts: tensor('m', moments) },
      { name: 'plan.json', parts: [Buffer.from('{"totalSteps":100}\n')] },
    ],
    tensorFiles: 2,
  };
}

/** What a run does: writes, then lets go of what is too old. */
export async function save(
  store: MemoryCheckpoints,
  step: number,
  accuracy?: number,
  parent?: Parent,
): Promise<void> {
  await writeCheckpoint(store, contentOf(step, accuracy, parent));
  for (const name of superfluous(await listCheckpoints(store), 2))
    await removeCheckpoint(store, name);
}
