/**
 * What one worker that is ten times slower (`--throttle 1,1,10`) costs the two others with strategy
 * async, in samples per second and in accuracy, against the two alone and against sync: default
 * MNIST.
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

const TWO = ['--workers', '2'];
const THREE = ['--workers', '3', '--throttle', '1,1,10'];
const CASES = {
  'sync, two': [...TWO, '--strategy', 'sync'],
  'sync, and a slow one': [...THREE, '--strategy', 'sync'],
  'parameter-server, two': [...TWO, '--strategy', 'parameter-server'],
  'parameter-server, and a slow one': [...THREE, '--strategy', 'parameter-server'],
  'async, two': [...TWO, '--strategy', 'async'],
  'async, and a slow one': [...THREE, '--strategy', 'async'],
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

function main(rounds: number, epochs: string): void {
  console.log(`${machine()}; ${epochs} epochs`);
  const all = new Map<string, RunSummary[]>(Object.keys(CASES).map((name) => [name, []]));
  for (let round = 0; round < rounds; round++)
    for (const [name, flags] of Object.entries(CASES)) all.get(name)?.push(measure(flags, epochs));
  const rate = (name: string): number =>
    median((all.get(name) ?? []).map(({ samplesPerSecond = 0 }) => samplesPerSecond));
  for (const [name, summaries] of all) {
    const accuracy = median(summaries.map(({ testAccuracy = 0 }) => testAccuracy));
    const added = median(summaries.map(({ late }) => late?.addedSamples ?? 0));
    console.log(
      `${name.padEnd(34)} ${rate(name).toFixed(0).padStart(7)} samples/s, ` +
        `${((100 * rate(name)) / rate('async, two')).toFixed(0)} % of async, two; ` +
        `accuracy ${(100 * accuracy).toFixed(2)} %; ${added} samples added later`,
    );
  }
}

const [rounds = '3', , epochs = '2'] = process.argv.slice(2);
main(Number(rounds), epochs);
