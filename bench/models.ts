/**
 * Whole training steps (load, run, round, update with Adam) of the models, side by side with
 * PyTorch eager on this machine: one thread, and two (two lanes, each with a micro-batch; PyTorch
 * with both as one batch on two threads). Convolutions are in their default forms or, with the
 * word `measured`, in those measured on this machine. Rounds are interleaved; medians are shown.
 *
 *   npm run bench -- models            all of what follows
 *   npm run bench -- models gpt bert   these
 *   npm run bench -- models full       ten steps of the full-size networks
 *   npm run bench -- models compile    the time to compile resnet50
 *
 * Needs Debian's python3-torch, python3-numpy and libopenblas0-pthread.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EnginePlan, measureOneThread, measureSteps, planRun } from './lib/engine.ts';
import { median } from './lib/median.ts';
import { lockstepWithPeaks, machine, pytorch } from './lib/processes.ts';

const ROUNDS = 3;

interface Case {
  readonly batch: number;
  readonly steps: number;
  /** As `train` takes them. */
  readonly settings: Readonly<Record<string, unknown>>;
}

/** The names are those of bench/pytorch/models.py, which draws the same networks. */
const CASES: Readonly<Record<string, Case>> = {
  mlp: { batch: 32, steps: 400, settings: { model: 'mlp', hidden: [256, 512] } },
  simple_cnn: {
    batch: 32,
    steps: 12,
    settings: { model: 'simple_cnn', dataset: 'synthetic_image' },
  },
  resnet18: {
    batch: 8,
    steps: 10,
    settings: { model: 'resnet18', dataset: 'synthetic_image', imageSize: 64, stem: 'large' },
  },
  gpt: {
    batch: 8,
    steps: 12,
    settings: {
      model: 'gpt',
      dataset: 'moby_dick',
      textTokens: 'byte',
      sequenceLength: 128,
      layers: [4],
      width: 128,
      heads: 4,
      tiedHead: false,
      dropout: 0,
    },
  },
  bert: {
    batch: 4,
    steps: 3,
    settings: {
      model: 'bert',
      dataset: 'synthetic_text',
      sequenceLength: 64,
      vocabulary: 30_522,
      dropout: 0,
    },
  },
};

/** Rates of one case in samples per second, one per round, and how our step divides. */
interface Comparison {
  readonly lockstep: readonly number[];
  readonly torch: readonly number[];
  readonly torchFlush: readonly number[];
  readonly split: string;
}

async function compare(name: string, one: Case): Promise<void> {
  for (const threads of [1, 2]) {
    const globalBatch = one.batch * threads;
    const settings = { ...one.settings, convForms, samples: 1024, microBatch: one.batch };
    const plan = await planRun({ ...settings, globalBatch });
    const rates = await measureRounds(plan, name, one, threads);
    const ours = median(rates.lockstep);
    const [theirs, flushing] = [median(rates.torch), median(rates.torchFlush)];
    console.log(
      `${name}, ${threads === 1 ? 'one thread' : 'two threads'}, batch ${globalBatch}: ` +
        `lockstep ${ours.toFixed(1)} samples/s (${rates.split}),` +
        ` PyTorch ${theirs.toFixed(1)} = ${(ours / theirs).toFixed(2)}x, flushing ` +
        `${flushing.toFixed(1)} = ${(ours / flushing).toFixed(2)}x; compiled in ` +
        `${plan.compileMs.toFixed(0)} ms`,
    );
  }
}

async function measureRounds(
  plan: EnginePlan,
  name: string,
  { batch, steps }: Case,
  threads: number,
): Promise<Comparison> {
  const lockstep: number[] = [];
  const torch: number[] = [];
  const torchFlush: number[] = [];
  const warmup = Math.max(2, Math.floor(steps / 4));
  const pytorchRate = (flush: 0 | 1): number =>
    pytorch('models.py', [name, batch * threads, steps, threads, flush]).samplesPerSecond;
  let split = '';
  for (let round = 0; round < ROUNDS; round++) {
    const measured =
      threads === 1
        ? await measureOneThread(plan, warmup, steps)
        : await measureSteps(plan, threads, warmup, steps);
    lockstep.push(measured.samplesPerSecond);
    split =
      `load+run+round ${measured.split.compute.toFixed(1)} ms, update ` +
      `${measured.split.apply.toFixed(1)} ms`;
    torch.push(pytorchRate(0));
    torchFlush.push(pytorchRate(1));
  }
  return { lockstep, torch, torchFlush, split };
}

const TEXT = '--dataset synthetic_text --sequence-length 64';
/** Networks at full size: model, batch, and the flags that `train` needs besides. */
const FULL_SIZE = [
  ['resnet50', 8, '--dataset synthetic_image --image-size 64 --stem large'],
  ['bert', 4, `${TEXT} --vocabulary 30522`],
  ['gpt2', 4, `${TEXT} --vocabulary 50257`],
] as const;
const TEN_STEPS = '--samples 64 --steps 10 --workers 1 --lanes 1 --out-dir experiments/bench'.split(
  ' ',
);

/** Ten real steps of the networks at full size: the whole program, one worker of one lane. */
async function fullSize(): Promise<void> {
  for (const [model, batch, flags] of FULL_SIZE) {
    const sizes = ['--micro-batch', String(batch), '--global-batch', String(batch)];
    const args = ['train', '--model', model, ...flags.split(' '), ...TEN_STEPS, ...sizes];
    const { summary, peakMiB } = await lockstepWithPeaks(args);
    const { parameters, steps, wallSeconds, firstStepSeconds, timeSplit } = summary;
    const peaks = peakMiB.map((peak, i) => `${i === 0 ? 'coordinator' : 'worker'} ${peak}`);
    console.log(
      `${model}, batch ${batch}: ${String(parameters)} parameters, ${String(steps)} steps in ` +
        `${String(wallSeconds)} s, first step after ${String(firstStepSeconds)} s, ` +
        `peak memory MiB: ${peaks.join(', ')}; time split ${JSON.stringify(timeSplit)}`,
    );
  }
}

/** Compiles resnet50 with default convolution forms, with forms measured anew, and once more. */
async function compileTwice(): Promise<void> {
  const settings = {
    model: 'resnet50',
    dataset: 'synthetic_image',
    imageSize: 64,
    stem: 'large',
    samples: 64,
  };
  const cacheDir = mkdtempSync(join(tmpdir(), 'lockstep-forms-'));
  try {
    for (const convForms of ['default', 'measured', 'measured']) {
      const { compileMs } = await planRun(
        { ...settings, convForms, microBatch: 8, globalBatch: 8 },
        cacheDir,
      );
      console.log(
        `resnet50 compiled in ${compileMs.toFixed(0)} ms, convolution forms: ${convForms}`,
      );
    }
  } finally {
    rmSync(cacheDir, { recursive: true });
  }
}

console.log(machine());
const convForms = process.argv.includes('measured') ? 'measured' : 'default';
const wanted = process.argv.slice(2).filter((word) => word !== 'measured');
for (const [name, item] of Object.entries(CASES)) {
  if (wanted.length === 0 || wanted.includes(name)) await compare(name, item);
}
if (wanted.length === 0 || wanted.includes('compile')) await compileTwice();
if (wanted.length === 0 || wanted.includes('full')) await fullSize();
