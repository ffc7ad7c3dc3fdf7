/** What a cluster can carry: a run that does not fit is refused before it begins. */
import { ConfigError } from '../base/errors.ts';
import { MAX_SUM_ELEMENTS } from '../collectives/star.ts';
import type { TrainConfig } from '../config/train-config.ts';
import { makeArenaLayout, type ParameterShape } from '../kernels/layout.ts';
import type { OptimizerSpec } from '../optim/spec.ts';
import { stateBytesOf } from '../state/state-layout.ts';

/** What one message can carry. */
const MAX_MESSAGE_BYTES = 2 ** 31 - 1;

/** Throws ConfigError when a micro-batch is larger than the data set. */
export function checkBatches({ microBatch }: TrainConfig, sampleCount: number): void {
  if (microBatch <= sampleCount) return;
  const expected = `at most the ${sampleCount} training samples`;
  const issue = { path: 'micro_batch', expected, got: String(microBatch) };
  throw new ConfigError(`micro_batch: expected ${expected}, got ${microBatch}`, [issue]);
}

/** Throws ConfigError when parameters and optimizer state are too many for a cluster. */
export function checkState(
  parameters: readonly ParameterShape[],
  optimizer: OptimizerSpec,
  remembered = 0,
): void {
  const { length, paddedLength } = makeArenaLayout(parameters);
  const bytes = stateBytesOf(parameters, optimizer, remembered);
  if (bytes > MAX_MESSAGE_BYTES) {
    throw tooLarge(
      'at most 2 GiB of parameters and optimizer state',
      `${gibibytes(bytes)} for ${length} parameters with ${optimizer.kind}`,
      ', or an optimizer that keeps less: --optimizer sgd',
    );
  }
  if (paddedLength > MAX_SUM_ELEMENTS)
    throw tooLarge(`at most ${MAX_SUM_ELEMENTS} parameters`, String(length));
}

/** Throws ConfigError when the compiled steps, with what is frozen in them, cannot be sent. */
export function checkJobFiles(byteLength: number): void {
  if (byteLength > MAX_MESSAGE_BYTES) {
    const expected = 'compiled steps of at most 2 GiB, frozen weights included';
    throw tooLarge(expected, gibibytes(byteLength));
  }
}

function tooLarge(expected: string, got: string, alternative = ''): ConfigError {
  return new ConfigError(
    `model: expected ${expected}, got ${got}. Choose a smaller model${alternative}.`,
    [{ path: 'model', expected, got }],
  );
}

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
