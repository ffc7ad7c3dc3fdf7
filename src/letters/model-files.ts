/** What is kept of a job: the model, the errors, the times. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LockstepError, messageOf } from '../base/errors.ts';
import { encodeSafetensors, type NamedTensor } from '../checkpoint/safetensors.ts';
import { GraphBuilder } from '../graph/builder.ts';
import { encodeGraph } from '../graph/file/encode.ts';
import { outputWeightCount } from './numeric/parameters.ts';
import type { JobResult } from './client.ts';
import type { JobSpec } from './job-spec.ts';
import type { JobEvent } from './messages.ts';

/** A value of the graph that is being built. */
type Value = ReturnType<GraphBuilder['input']>;
type RoundEvent = Extract<JobEvent, { kind: 'round' }>;

/**
 * Writes model.onnx, model.safetensors, errors.csv and timing.txt to `folder`, which is made if it
 * is missing.
 *
 * Throws: LockstepError when the folder cannot be written.
 */
export async function writeJobFiles(
  folder: string,
  spec: JobSpec,
  result: JobResult,
  rounds: readonly RoundEvent[],
): Promise<void> {
  const errors = rounds.map(
    ({ round, validationError, wallMs }) => `${round},${validationError},${Math.round(wallMs)}`,
  );
  const files: Readonly<Record<string, Uint8Array | string>> = {
    'model.onnx': modelAsOnnx(result),
    'model.safetensors': modelAsSafetensors(spec, result),
    'errors.csv': `round,validation_error,wall_ms\n${errors.join('\n')}\n`,
    'timing.txt': timingText(rounds),
  };
  try {
    await mkdir(folder, { recursive: true });
    for (const [name, content] of Object.entries(files))
      await writeFile(join(folder, name), content);
  } catch (error) {
    const reason = `writing the model to ${folder}: ${messageOf(error)}`;
    throw new LockstepError('FILE_FAILED', reason, { folder }, { cause: error });
  }
}

/**
 * The model as a graph from `x`, float32 [batch, features] as in the files, to `logits` [batch,
 * classes]. Scaling is part of it. Parameters are rounded to float32.
 */
export function modelAsOnnx({ done, parameters }: JobResult): Uint8Array {
  const { shape, activation, scaling } = done;
  const { features, hidden, classes } = shape;
  const graph = new GraphBuilder('letters');
  const constant = (name: string, size: readonly number[], values: Iterable<number>): Value =>
    graph.initializer(name, 'float32', size, Float32Array.from(values));
  const part = (name: string, from: number, size: readonly number[]): Value => {
    const count = size.reduce((a, b) => a * b, 1);
    return constant(name, size, parameters.subarray(from, from + count));
  };
  let h = graph.input('x', 'float32', ['batch', features]); // [batch, features]
  if (scaling !== null) {
    const shift = constant('shift', [features], scaling.shift);
    const factor = constant('factor', [features], scaling.factor);
    h = graph.mul(graph.sub(h, shift), factor);
  }
  const start = outputWeightCount(shape);
  const w = part('W', start + hidden, [features, hidden]);
  h = graph.gemm(h, w, part('W.bias', start, [hidden])); // [batch, hidden]
  if (activation === 'relu') h = graph.relu(h);
  const logits = graph.gemm(h, part('V', classes, [hidden, classes]), part('V.bias', 0, [classes]));
  graph.output('logits', logits);
  return encodeGraph(graph.build());
}

function modelAsSafetensors(spec: JobSpec, { done, parameters }: JobResult): Uint8Array {
  const { shape, activation, scaling, errors } = done;
  const { features, hidden, classes } = shape;
  const start = outputWeightCount(shape);
  const tensors: NamedTensor[] = [
    {
      name: 'V',
      shape: [hidden + 1, classes],
      data: Float32Array.from(parameters.subarray(0, start)),
    },
    {
      name: 'W',
      shape: [features + 1, hidden],
      data: Float32Array.from(parameters.subarray(start)),
    },
  ];
  if (scaling !== null) {
    tensors.push({ name: 'shift', shape: [features], data: Float32Array.from(scaling.shift) });
    tensors.push({ name: 'factor', shape: [features], data: Float32Array.from(scaling.factor) });
  }
  const pieces = encodeSafetensors(tensors, {
    bias: 'row 0',
    activation,
    mode: spec.mode,
    rounds: `${spec.rounds}`,
    epochs: `${spec.epochs}`,
    eta: `${spec.eta}`,
    validation_error: `${errors.at(-1) ?? ''}`,
  });
  return Buffer.concat(pieces);
}

/** One line per task, in milliseconds; `-` where a node of the seed system measures nothing. */
export function timingText(rounds: readonly RoundEvent[]): string {
  const rows = rounds.flatMap(({ round, tasks }) =>
    tasks.map(({ file, node, computeMs, transferMs, injectedMs }) => [
      String(round),
      file,
      node,
      cell(computeMs),
      cell(transferMs),
      cell(injectedMs),
    ]),
  );
  const head = ['round', 'file', 'node', 'compute ms', 'transfer ms', 'injected ms'];
  const table = [head, ...rows];
  const widths = head.map((_, column) =>
    Math.max(...table.map((row) => (row[column] ?? '').length)),
  );
  const sum = (key: 'computeMs' | 'transferMs' | 'injectedMs'): string =>
    rounds
      .reduce((total, { tasks }) => total + tasks.reduce((t, task) => t + (task[key] ?? 0), 0), 0)
      .toFixed(1);
  const wallMs = rounds.reduce((total, round) => total + round.wallMs, 0).toFixed(1);
  const lines = table.map((row) =>
    row
      .map((text, column) => text.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return (
    `${lines.join('\n')}\n\nin all: wall ${wallMs} ms, compute ${sum('computeMs')} ms, transfer ` +
    `${sum('transferMs')} ms, injected ${sum('injectedMs')} ms\n`
  );
}

function cell(ms: number | null): string {
  return ms === null ? '-' : ms.toFixed(1);
}
