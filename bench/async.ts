/**
 * What a worker that is ten times slower costs fast ones with strategy async, in samples per second
 * and in accuracy, against these alone and against sync: default MNIST, and the same with steps of
 * four times as many samples. One fast worker and a slow one have a core each on two cores; two and
 * a slow one share them.
 *
 *   npm run bench -- async                three rounds of two epochs
 *   npm run bench -- async 1 --epochs 1
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunSummary } from '../src/runs/run-summary.ts';
import { median } from './lib/median.ts';
import { lockstepJson, machine } from './lib/processes.ts';

const FAST = { one: ['--workers', '1'], two: ['--workers', '2'] };
const SLOW = {
  one: ['--workers', '2', '--throttle', '1,10'],
  two: ['--workers', '3', '--throttle', '1,1,10'],
};
const LONG = ['--micro-batch', '128', '--global-batch', '768'];

/** Runs with the same flags, of fast workers alone and with the slow one. */
const PAIRS = {
  'one, async': { size: 'one', flags: ['--strategy', 'async'] },
  'one, async, long steps': { size: 'one', flags: ['--strategy', 'async', ...LONG] },
  'two, sync': { size: 'two', flags: ['--strategy', 'sync'] },
  'two, parameter-server': { size: 'two', flags: ['--strategy', 'parameter-server'] },
  'two, async': { size: 'two', flags: ['--strategy', 'async'] },
  'two, async, long steps': { size: 'two', flags: ['--strategy', 'async', ...LONG] },
} as const;

function measure(flags: readonly string[], epochs: string): RunSummary {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-async-'));
  try {
    const how = ['--epochs', epochs, '--lanes', '1', '--seed', '7', '--out-dir', folder];
    return lockstepJson(['train', ...how, ...flags]) as unknown as RunSummary;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

interface Pair {
  readonly alone: RunSummary;
  readonly beside: RunSummary;
}

function main(rounds: number, epochs: string): void {
  console.log(`${machine()}; ${epochs} epochs`);
  const all = new Map<string, Pair[]>(Object.keys(PAIRS).map((name) => [name, []]));
  for (let round = 0; round < rounds; round++)
    for (const [name, { size, flags }] of Object.entries(PAIRS)) {
      const alone = measure([...FAST[size], ...flags], epochs);
      const beside = measure([...SLOW[size], ...flags], epochs);
      all.get(name)?.push({ alone, beside });
    }
  for (const [name, pairs] of all) console.log(lineOf(name, pairs));
}

function lineOf(name: string, pairs: readonly Pair[]): string {
  const rate = ({ samplesPerSecond = 0 }: RunSummary): number => samplesPerSecond;
  const of = (value: (pair: Pair) => number): number => median(pairs.map(value));
  const parts = pairs.map(({ alone, beside }) => (100 * rate(beside)) / rate(alone));
  const accuracies = [
    of(({ alone }) => alone.testAccuracy ?? 0),
    of(({ beside }) => beside.testAccuracy ?? 0),
  ].map((accuracy) => (100 * accuracy).toFixed(2));
  return (
    `${name.padEnd(24)} ${of(({ alone }) => rate(alone)).toFixed(0)} samples/s, and a slow one ` +
    `${of(({ beside }) => rate(beside)).toFixed(0)}: ${median(parts).toFixed(0)} % ` +
    `(${parts.map((part) => part.toFixed(0)).join(', ')}); ` +
    `accuracy ${accuracies.join(' and ')} %; ` +
    `${of(({ beside }) => beside.late?.addedSamples ?? 0)} samples added later`
  );
}

const [rounds = '3', , epochs = '2'] = process.argv.slice(2);
main(Number(rounds), epochs);
