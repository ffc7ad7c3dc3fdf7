/**
 * Files of a run whose process is killed (SIGKILL) while it writes them. Half of the time it is
 * within a write; before lines were kept within pages, one of about thirty kills left half a line.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, test } from 'node:test';
import { RandomWords } from '../../src/base/random.ts';
import {
  Program,
  REPOSITORY,
  startLockstep,
  startProgram,
  temporaryFolder,
  waitFor,
} from './processes.ts';

const KILLS = 12;
const AT_ONCE = 4;
const MAX_WAIT_MS = 40;
const SEED = 11;

/** Records steps, and writes a result again and again, as fast as it can. */
const WRITER = `
  const [dist, outDir] = process.argv.slice(1);
  const { RunFiles } = await import(dist + '/runs/run-files.js');
  const { writeOutput } = await import(dist + '/validate/results/output-file.js');
  const files = new RunFiles(outDir, 'run');
  const times = { computeMs: 8, communicateMs: 2, waitMs: 0 };
  for (let step = 1; ; step++) {
    const ranks = [0, 1].map((rank) => ({ rank, samples: step % 977, microBatches: 8, ...times }));
    files.onEvent({ kind: 'step', step, epoch: 0, lossMean: Math.sin(step), stepMs: 10, ranks });
    if (step % 200 === 0)
      writeOutput(outDir + '/result.json', JSON.stringify(Array(5000).fill(step)) + '\\n');
  }`;

function startWriter(t: Parameters<typeof startProgram>[0], outDir: string): Program {
  const dist = pathToFileURL(join(REPOSITORY, 'dist')).href;
  const args = ['--input-type', 'module', '-e', WRITER, dist, outDir];
  return startProgram(t, process.execPath, args);
}

/** What a reader finds, who takes every line for an event. Throws when one is none. */
function assertWhole(outDir: string): number {
  const run = join(outDir, 'run');
  const text = readFileSync(join(run, 'metrics.jsonl'), 'utf8');
  const lines = text.trimEnd().split('\n');
  assert.match(text, /\n *$/, 'the last line has its end');
  const steps = lines.map((line) => (JSON.parse(line) as { step: number }).step);
  assert.deepEqual(
    steps,
    Array.from({ length: steps.length }, (_, index) => index + 1),
  );
  const whole = readdirSync(join(run, 'logs')).filter((name) => name.endsWith('.json'));
  assert.deepEqual(whole, [], 'files of ranks are there when they are whole');
  const result = join(outDir, 'result.json');
  if (existsSync(result))
    assert.equal((JSON.parse(readFileSync(result, 'utf8')) as number[]).length, 5000);
  return steps.length;
}

describe('the files of a run that is killed', () => {
  test(`are whole, whenever that is (${KILLS} kills, seed ${SEED})`, async (t) => {
    await startLockstep(t, ['--version']).end(); // Builds it, too.
    const words = new RandomWords(SEED, 'fault', 0, 0);
    const kill = async (index: number): Promise<void> => {
      const outDir = temporaryFolder(t);
      const writer = startWriter(t, outDir);
      const metrics = join(outDir, 'run/metrics.jsonl');
      await waitFor('a first line', () => existsSync(metrics) && readFileSync(metrics).length > 0);
      await new Promise((later) => setTimeout(later, words.below(index, MAX_WAIT_MS)));
      writer.signal('SIGKILL');
      assert.deepEqual(await writer.end(), { status: null, signal: 'SIGKILL' }, writer.stderr);
      assert.ok(assertWhole(outDir) > 0, `kill ${index}`);
    };

    for (let first = 0; first < KILLS; first += AT_ONCE)
      await Promise.all(Array.from({ length: AT_ONCE }, async (_, index) => kill(first + index)));
  });
});
