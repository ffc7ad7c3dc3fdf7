/**
 * The MNIST network 784-256-512-10 with Adam, in one run beside PyTorch on this machine:
 *
 *   (a) one thread: a whole training step, against PyTorch eager, as people run it and with
 *       flushed subnormals
 *   (b) two worker processes against DistributedDataParallel on gloo with two processes
 *   (c) two lanes against one; two workers against one
 *   (d) one worker of one lane: the whole program against its engine and PyTorch
 *
 * Rounds are interleaved; medians are shown.
 * Needs Debian's python3-torch, python3-numpy and libopenblas0-pthread.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mnistFile } from '../test/mnist-files.ts';
import { measureOneThread, measureSteps, planRun } from './lib/engine.ts';
import { median } from './lib/median.ts';
import { lockstepJson, machine, pytorch } from './lib/processes.ts';

const ROUNDS = 3;
/** Enough for PyTorch's Adam to meet the subnormals that dead pixels leave. */
const TORCH_STEPS = 3_000;
const folder = mkdtempSync(join(tmpdir(), 'lockstep-mnist-'));
process.once('exit', () => rmSync(folder, { recursive: true }));
writeFileSync(join(folder, 'train-images-idx3-ubyte'), mnistFile('trainImages'));
writeFileSync(join(folder, 'train-labels-idx1-ubyte'), mnistFile('trainLabels'));
let nextPort = 29_700 + (process.pid % 200);

async function rounds<T extends string>(
  measures: Record<T, () => Promise<number> | number>,
): Promise<Record<T, number>> {
  const seen = {} as Record<T, number[]>;
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of Object.keys(measures) as T[])
      (seen[name] ??= []).push(await measures[name]());
  }
  return Object.fromEntries(
    (Object.keys(seen) as T[]).map((name) => [name, median(seen[name])]),
  ) as Record<T, number>;
}

async function oneThread(batch: number): Promise<void> {
  const plan = await planRun({ microBatch: batch, globalBatch: batch });
  const split: string[] = [];
  const times = await rounds({
    lockstep: async () => {
      const rates = await measureOneThread(plan, 300, 1_500);
      split.push(
        `load+run+round ${rates.split.compute.toFixed(2)}, update ${rates.split.apply.toFixed(2)}`,
      );
      return rates.stepMs;
    },
    torch: () => pytorch('mlp_step.py', [batch, TORCH_STEPS, 0, folder]).stepMs,
    torchFlush: () => pytorch('mlp_step.py', [batch, 1_000, 1, folder]).stepMs,
  });
  console.log(
    `(a) batch ${batch}: lockstep ${times.lockstep.toFixed(2)} ms (${split.at(-1)}), PyTorch ` +
      `${times.torch.toFixed(2)} ms = ${(times.torch / times.lockstep).toFixed(2)}x,` +
      ` PyTorch flushing ${times.torchFlush.toFixed(2)} ms = ` +
      `${(times.torchFlush / times.lockstep).toFixed(2)}x`,
  );
}

function train(batch: number, microBatches: number, workers: number, lanes: number): number {
  const globalBatch = batch * microBatches;
  const epochs = Math.max(2, Math.round((1_200 * globalBatch) / 60_000));
  const summary = lockstepJson([
    'train',
    '--micro-batch',
    String(batch),
    '--global-batch',
    String(globalBatch),
    '--workers',
    String(workers),
    '--lanes',
    String(lanes),
    '--epochs',
    String(Math.min(epochs, 12)),
    '--eval-every',
    '1000000',
    '--seed',
    '7',
    '--out-dir',
    'experiments/bench',
  ]);
  lastSplit = JSON.stringify(summary.timeSplit);
  return summary.samplesPerSecond;
}
let lastSplit = '';

async function againstDdp(batch: number): Promise<void> {
  const rates = await rounds({
    lockstep: () => train(batch, 2, 2, 1),
    lanes: () => train(batch, 2, 1, 2),
    ddp: () => pytorch('mlp_ddp.py', [batch, 1_500, 0, folder, nextPort++]).samplesPerSecond,
    ddpFlush: () => pytorch('mlp_ddp.py', [batch, 1_000, 1, folder, nextPort++]).samplesPerSecond,
  });
  const against = (rate: number): string =>
    `${(rate / rates.ddp).toFixed(2)}x DDP, ${(rate / rates.ddpFlush).toFixed(2)}x DDP flushing`;
  console.log(
    `(b) ${batch} per process, one update per ${2 * batch}: DDP ${rates.ddp.toFixed(0)} ` +
      `samples/s, flushing ${rates.ddpFlush.toFixed(0)};` +
      ` lockstep, two workers ${rates.lockstep.toFixed(0)} (${against(rates.lockstep)}); one ` +
      `worker of two lanes ${rates.lanes.toFixed(0)} (${against(rates.lanes)})`,
  );
}

async function scaling(batch: number, microBatches: number): Promise<void> {
  const plan = await planRun({ microBatch: batch, globalBatch: batch * microBatches });
  const steps = Math.max(60, Math.round(2_400 / microBatches));
  const rates = await rounds({
    one: async () => (await measureSteps(plan, 1, 30, steps)).samplesPerSecond,
    two: async () => (await measureSteps(plan, 2, 30, steps)).samplesPerSecond,
    oneWorker: () => train(batch, microBatches, 1, 1),
    twoLanes: () => train(batch, microBatches, 1, 2),
    twoWorkers: () => train(batch, microBatches, 2, 1),
  });
  const ratio = (a: number, b: number): string => (a / b).toFixed(2);
  console.log(
    `(c) ${microBatches} micro-batches of ${batch}: engine, one lane ${rates.one.toFixed(0)}, ` +
      `two lanes ${rates.two.toFixed(0)} samples/s = ${ratio(rates.two, rates.one)}x;` +
      ` whole program, one worker of one lane ${rates.oneWorker.toFixed(0)}, of two lanes ` +
      `${rates.twoLanes.toFixed(0)} = ${ratio(rates.twoLanes, rates.oneWorker)}x,` +
      ` two workers ${rates.twoWorkers.toFixed(0)} = ` +
      `${ratio(rates.twoWorkers, rates.oneWorker)}x (time split of the last: ${lastSplit})`,
  );
}

async function alone(batch: number): Promise<void> {
  const plan = await planRun({ microBatch: batch, globalBatch: batch });
  const rates = await rounds({
    thread: async () => (await measureOneThread(plan, 300, 1_500)).samplesPerSecond,
    pool: async () => (await measureSteps(plan, 1, 300, 1_500)).samplesPerSecond,
    program: () => train(batch, 1, 1, 1),
    torch: () => pytorch('mlp_step.py', [batch, TORCH_STEPS, 0, folder]).samplesPerSecond,
    torchFlush: () => pytorch('mlp_step.py', [batch, 1_000, 1, folder]).samplesPerSecond,
  });
  const part = (rate: number): string => `${((100 * rate) / rates.thread).toFixed(0)} %`;
  console.log(
    `(d) batch ${batch}, samples/s: a step in one thread ${rates.thread.toFixed(0)}; on a lane, ` +
      `told by another thread ${rates.pool.toFixed(0)} = ${part(rates.pool)}; the whole program ` +
      `${rates.program.toFixed(0)} = ${part(rates.program)}, ` +
      `${(rates.program / rates.torch).toFixed(2)}x PyTorch (${rates.torch.toFixed(0)}), ` +
      `${(rates.program / rates.torchFlush).toFixed(2)}x PyTorch flushing ` +
      `(${rates.torchFlush.toFixed(0)})`,
  );
}

console.log(machine());
const parts = process.argv.slice(2);
const wants = (part: string): boolean => parts.length === 0 || parts.includes(part);
if (wants('a')) for (const batch of [32, 128]) await oneThread(batch);
if (wants('b')) for (const batch of [32, 128]) await againstDdp(batch);
if (wants('d')) for (const batch of [32, 128]) await alone(batch);
if (wants('c'))
  for (const [batch, count] of [
    [32, 1],
    [32, 6],
    [32, 16],
    [128, 1],
    [128, 6],
    [128, 16],
  ] as const)
    await scaling(batch, count);
