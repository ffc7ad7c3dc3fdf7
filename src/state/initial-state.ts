/** The state with which a run begins, and how large state and job may be. */
import { ConfigError } from '../base/errors.ts';
import { MAX_SUM_ELEMENTS } from '../collectives/star.ts';
import { makeArenaLayout } from '../kernels/layout.ts';
import { initialParameter } from '../models/initial-parameter.ts';
import { type Model, stateElementCountOf } from '../models/model.ts';
import { OPTIMIZERS, type OptimizerSpec } from '../optim/spec.ts';

/** What one message can carry. */
const MAX_MESSAGE_BYTES = 2 ** 31 - 1;

/** Parameters and regions of optimizer state together, each as large as the parameters. */
function regionCountOf({ kind }: OptimizerSpec): number {
  return 1 + OPTIMIZERS[kind].stateNames.length;
}

/**
 * Bytes of parameters and optimizer state together. Throws ConfigError when they are too many for a
 * cluster.
 */
export function stateBytesOf(model: Pick<Model, 'parameters'>, optimizer: OptimizerSpec): number {
  const count = stateElementCountOf(model);
  const bytes = 4 * count * regionCountOf(optimizer);
  if (bytes > MAX_MESSAGE_BYTES) {
    const got = `${gibibytes(bytes)} for ${count} parameters with ${optimizer.kind}`;
    throw tooLarge(
      'at most 2 GiB of parameters and optimizer state',
      got,
      ', or an optimizer that keeps less: --optimizer sgd',
    );
  }
  const sumElements = makeArenaLayout(model.parameters).paddedLength;
  if (sumElements > MAX_SUM_ELEMENTS)
    throw tooLarge(`at most ${MAX_SUM_ELEMENTS} parameters`, String(count));
  return bytes;
}

/**
 * Throws ConfigError when the compiled steps, with what is frozen in them, are too large to be
 * sent.
 */
export function checkJobFiles(byteLength: number): void {
  if (byteLength > MAX_MESSAGE_BYTES)
    throw tooLarge(
      'compiled steps of at most 2 GiB, frozen weights included',
      gibibytes(byteLength),
    );
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

/** Parameters from the seed, optimizer regions zero; unpadded float32 in canonical order. */
export function makeInitialState(
  model: Pick<Model, 'parameters'>,
  optimizer: OptimizerSpec,
  seed: number,
): Uint8Array {
  const state = new Float32Array(stateElementCountOf(model) * regionCountOf(optimizer));
  let offset = 0;
  for (const [index, spec] of model.parameters.entries()) {
    const values = initialParameter(spec, seed, index);
    state.set(values, offset);
    offset += values.length;
  }
  return new Uint8Array(state.buffer);
}
