/**
 * What the options of a session cost in a training step: CPU time of one run on one thread, and
 * peak memory beyond inputs and gradients. Each variant runs in a process of its own.
 *
 *   npm run bench -- sessions [mlp gpt ...]
 */
import { spawnSync } from 'node:child_process';
import type { InferenceSession, OnnxValue } from 'onnxruntime-node';
import { encodeGraph } from '../src/graph/file/encode.ts';
import { staticElementCount } from '../src/graph/values/shape.ts';
import type { ValueInfo } from '../src/graph/values/types.ts';
import type { ModelTask } from '../src/models/model.ts';
import { makeModel } from '../src/models/models.ts';
import { makeStepGraphs } from '../src/models/step-graphs.ts';
import { InPlaceSession } from '../src/runtime/in-place-session.ts';
import { onnxRuntime } from '../src/runtime/onnx-runtime.ts';
import { sessionOptions } from '../src/runtime/session.ts';
import { median } from './lib/median.ts';
import { machine } from './lib/processes.ts';

const images: ModelTask = {
  features: [3, 32, 32],
  target: { kind: 'classification', classes: 10 },
};
const text: ModelTask = {
  features: [64],
  vocabulary: 256,
  target: { kind: 'sequence', classes: 256, length: 64 },
};

const CASES: Readonly<Record<string, { task: ModelTask; batch: number; runs: number }>> = {
  mlp: { task: images, batch: 32, runs: 200 },
  simple_cnn: { task: images, batch: 8, runs: 20 },
  resnet18: { task: images, batch: 8, runs: 5 },
  gpt: { task: text, batch: 8, runs: 30 },
};

/**
 * What is changed about the sessions that training uses; `copying` lets ONNX Runtime return its
 * outputs as copies.
 */
const VARIANTS: Readonly<
  Record<string, InferenceSession.SessionOptions & { readonly copying?: boolean }>
> = {
  'as in training': {},
  'copying outputs': { copying: true },
  'copying, memory pattern': { copying: true, enableMemPattern: true },
  'copying, no arena': { copying: true, enableCpuMemArena: false },
  'copying, not optimised': { copying: true, graphOptimizationLevel: 'disabled' },
};

async function measure(name: string, variant: string): Promise<void> {
  const { task, batch, runs } = CASES[name] ?? { task: images, batch: 1, runs: 1 };
  const { train } = makeStepGraphs(makeModel(name, task), batch);
  const file = encodeGraph(train);
  const feeds = Object.fromEntries(train.inputs.map((value) => [value.name, tensorOf(value)]));
  const fetches = Object.fromEntries(train.outputs.map((value) => [value.name, tensorOf(value)]));
  const run = await runner(file, VARIANTS[variant] ?? {}, feeds, fetches);
  const before = process.memoryUsage().rss;
  const times: number[] = [];
  for (let i = 0; i < runs; i++) {
    const start = process.cpuUsage();
    await run();
    const { user, system } = process.cpuUsage(start);
    times.push((user + system) / 1000);
  }
  const peak = process.resourceUsage().maxRSS / 1024 - before / 2 ** 20;
  console.log(
    `${name.padEnd(11)} ${variant.padEnd(25)} ${median(times).toFixed(2).padStart(8)} ms  ` +
      `${peak.toFixed(0).padStart(5)} MiB`,
  );
}

async function runner(
  file: Uint8Array,
  { copying = false, ...options }: InferenceSession.SessionOptions & { readonly copying?: boolean },
  feeds: Record<string, OnnxValue>,
  fetches: Record<string, OnnxValue>,
): Promise<() => Promise<unknown>> {
  if (!copying) {
    const session = await InPlaceSession.create(file, 'step', 'cpu');
    return async () => session.run(feeds, fetches);
  }
  const all = { ...sessionOptions(file, 'cpu'), ...options };
  const session = await onnxRuntime().InferenceSession.create(file, all);
  return async () => session.run(feeds, fetches);
}

/**
 * Small numbers; labels and tokens 0 and 1. Touched,
 * so that it counts as memory before the first run.
 */
function tensorOf({ name, type, shape }: ValueInfo): OnnxValue {
  const { Tensor } = onnxRuntime();
  const sizes = shape.map(Number);
  const count = staticElementCount(sizes);
  if (type === 'int32')
    return new Tensor(
      'int32',
      Int32Array.from({ length: count }, (_, i) => i % 2),
      sizes,
    );
  const isWeight = name === 'sampleWeight' || name.startsWith('mask.');
  const value = (i: number): number => (isWeight ? 1 : ((i * 2654435761) % 1000) / 1e4 - 0.05);
  return new Tensor(
    'float32',
    Float32Array.from({ length: count }, (_, i) => value(i)),
    sizes,
  );
}

const [first, second] = process.argv.slice(2);
if (first !== undefined && second !== undefined && second in VARIANTS) await measure(first, second);
else {
  console.log(machine());
  const names = process.argv.slice(2);
  for (const name of names.length > 0 ? names : Object.keys(CASES))
    for (const variant of Object.keys(VARIANTS))
      spawnSync(process.execPath, ['--import', 'tsx', import.meta.filename, name, variant], {
        stdio: 'inherit',
      });
}
