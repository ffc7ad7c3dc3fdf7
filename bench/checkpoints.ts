/**
 * What checkpoints cost the training: `npm run bench -- checkpoints` trains MNIST's perceptron by
 * turns with a checkpoint every second and with none; `checkpoints large` a network of 124 million
 * parameters (a state of 1.5 GB), every 15 steps and not at all. How long training is held up for
 * one follows, where steps are told of singly, from the times between them: what they are longer
 * than usual from the step of a checkpoint until it is written.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { median } from './lib/median.ts';
import { lockstepWithPeaks, machine } from './lib/processes.ts';

/** Shorter steps are told of several at a time. */
const TOLD_SINGLY_MS = 100;

interface Kind {
  readonly settings: readonly string[];
  readonly pace: string;
  readonly rounds: number;
  /** Those before are for the first of everything. */
  readonly warmUpSteps: number;
}

const KINDS: Readonly<Record<string, Kind>> = {
  small: {
    settings: [
      ...['--micro-batch', '32', '--global-batch', '192', '--workers', '2', '--lanes', '1'],
      ...['--epochs', '20', '--eval-every', 'never'],
    ],
    pace: '1s',
    rounds: 4,
    warmUpSteps: 300,
  },
  large: {
    settings: [
      ...['--hidden', '10752,10752', '--micro-batch', '32', '--global-batch', '32'],
      ...['--workers', '1', '--lanes', '1', '--steps', '50', '--eval-every', 'never'],
    ],
    pace: '15',
    rounds: 1,
    warmUpSteps: 5,
  },
};

/** What a run has shown. */
interface Seen {
  readonly stepsPerSecond: number;
  /** For each checkpoint but the last: how long training was held up, and until it was written. */
  readonly heldUpMs: readonly number[];
  readonly writtenMs: readonly number[];
  /** Of the coordinator, and of the worker that had most. */
  readonly peakMiB: readonly [number, number];
}

interface Line {
  readonly time: string;
  readonly kind: string;
  readonly step: number;
}

async function seenOf({ settings, warmUpSteps }: Kind, pace: string): Promise<Seen> {
  const outDir = mkdtempSync(join(tmpdir(), 'lockstep-bench-'));
  try {
    const more = ['--checkpoint-every', pace, '--name', 'run', '--out-dir', outDir];
    const { summary, peakMiB } = await lockstepWithPeaks(['train', ...settings, ...more]);
    const text = readFileSync(join(outDir, 'run/metrics.jsonl'), 'utf8').trimEnd();
    const lines = text.split('\n').map((line) => JSON.parse(line) as Line);
    const times = lines
      .filter(({ kind, step }) => kind === 'step' && step > warmUpSteps)
      .map(({ time }) => Date.parse(time));
    const usualMs = median(times.slice(1).map((time, i) => time - (times[i] ?? time)));
    const written = lines.filter(
      ({ kind, step }) => kind === 'checkpoint-written' && step > warmUpSteps,
    );
    const windows = written
      .filter(({ step }) => step < Number(summary['steps']))
      .map((one) => {
        const at = lines.find(({ kind, step }) => kind === 'step' && step === one.step);
        return [Date.parse(at?.time ?? one.time), Date.parse(one.time)] as const;
      });
    const [coordinator = 0, ...workers] = peakMiB;
    return {
      stepsPerSecond: (1000 * (times.length - 1)) / ((times.at(-1) ?? 0) - (times[0] ?? 0)),
      heldUpMs:
        usualMs < TOLD_SINGLY_MS ? [] : windows.map((window) => heldUp(times, window, usualMs)),
      writtenMs: windows.map(([from, to]) => to - from),
      peakMiB: [coordinator, Math.max(0, ...workers)],
    };
  } finally {
    rmSync(outDir, { recursive: true, force: true });
  }
}

/** How much longer than usual the steps took that were under way in a window of time. */
function heldUp(
  times: readonly number[],
  [from, to]: readonly [number, number],
  usualMs: number,
): number {
  const before = times.findLastIndex((time) => time <= from);
  const after = times.findIndex((time) => time >= to);
  const [first, last] = [Math.max(0, before), after === -1 ? times.length - 1 : after];
  return (times[last] ?? 0) - (times[first] ?? 0) - (last - first) * usualMs;
}

const name = process.argv[2] ?? 'small';
const kind = KINDS[name];
if (kind === undefined) throw new Error(`expected small or large, got ${name}`);
console.log(machine());
const speeds: { with: number[]; without: number[] } = { with: [], without: [] };
const list = (values: readonly number[], digits = 0): string =>
  values.map((value) => value.toFixed(digits)).join(', ');
for (let round = 0; round < kind.rounds; round++)
  for (const pace of [kind.pace, 'never']) {
    const seen = await seenOf(kind, pace);
    (pace === 'never' ? speeds.without : speeds.with).push(seen.stepsPerSecond);
    console.log(
      `${pace}: ${seen.stepsPerSecond.toFixed(3)} steps a second; held up for ` +
        `[${list(seen.heldUpMs)}] ms, written after [${list(seen.writtenMs)}] ms; peak memory: ` +
        `coordinator ${seen.peakMiB[0]} MiB, worker ${seen.peakMiB[1]} MiB`,
    );
  }
const [withThem, without] = [speeds.with, speeds.without].map((values) =>
  list([median(values)], 3),
);
console.log(`steps a second, medians: every ${kind.pace} ${withThem}, never ${without}`);
