import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { ManualClock } from '../../base/clock.ts';
import type { DecidedStep } from '../../coordinator/coordinator-options.ts';
import { initialSnapshot } from '../../coordinator/steps/trajectory.ts';
import type { RunPlan } from '../../plan/run-plan.ts';
import { Journal, JOURNAL_NAME, readJournal } from './journal-file.ts';
import { AdoptedProcess, isAlive, processStamp } from './other-process.ts';
import { recollectionOf } from './recollection.ts';

const HEAD = {
  ...{ software: '1', written: 'now', run: 'run', stepDigest: 'd', port: 5, isInitial: true },
  config: {},
  plan: { totalSteps: 9 } as unknown as RunPlan,
};
const BEGINNING = initialSnapshot(new Uint8Array(0));

function decided(step: number, lossSum = 0.1 + step): DecidedStep {
  const ledger = { expected: 4 * step, counted: 4 * step, dropped: 0, duplicated: 0 };
  const losses = { firstLoss: 1 / 3, highSteps: 0, isDiverged: false };
  const mark = { step, maxima: [1 / 7, step], ledger, losses, evaluatedStep: -1 };
  return { account: { sampleCount: 4, lossSum, correctSum: 2 }, mark, isKnown: false };
}

function journalIn(t: TestContext): { folder: string; journal: Journal; failures: string[] } {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-journal-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const failures: string[] = [];
  const journal = new Journal(folder, HEAD, {
    clock: new ManualClock(),
    flushRecords: () => {},
    onFailed: (reason) => failures.push(reason),
  });
  return { folder, journal, failures };
}

function stepsIn(folder: string): number[] {
  return [...(readJournal(folder)?.steps.keys() ?? [])];
}

describe('the journal of a run', () => {
  test('gives back what was written, to the last digit, as soon as it was added', (t) => {
    const { folder, journal } = journalIn(t);
    const crew = [{ rank: 0, processId: 7, stamp: 'boot.1' }];

    journal.noteCrew(crew);
    for (const step of [1, 2]) journal.add(decided(step));

    const read = readJournal(folder);
    assert.deepEqual(read?.head, HEAD);
    assert.deepEqual([read?.crew, read?.wasUndone], [crew, false]);
    const { account, mark } = decided(2);
    assert.deepEqual(read?.steps.get(2), { account, mark });
    journal.noteUndone();
    assert.equal(readJournal(folder)?.wasUndone, true);
  });

  test('has steps that workers know of by the end of a turn', async (t) => {
    const { folder, journal } = journalIn(t);

    journal.add({ ...decided(1), isKnown: true });
    assert.deepEqual(stepsIn(folder), []);
    await turn();

    assert.deepEqual(stepsIn(folder), [1]);
  });

  test('ends before a line that is torn or damaged, wherever that is', (t) => {
    const { folder, journal } = journalIn(t);
    for (const step of [1, 2, 3]) journal.add(decided(step));
    const path = join(folder, JOURNAL_NAME);
    const whole = readFileSync(path);
    const ends = [...whole.keys()].filter((i) => whole[i] === 10);

    for (let cut = ends[1]! + 1; cut < whole.length; cut += 23) {
      writeFileSync(path, whole.subarray(0, cut));
      const there = ends.filter((end) => end < cut).length - 2;
      assert.equal(stepsIn(folder).length, there, `cut at ${cut}`);
      const damaged = Buffer.from(whole);
      damaged[cut]! ^= 4;
      writeFileSync(path, damaged);
      assert.ok(stepsIn(folder).length < 3, `a flipped bit at ${cut}`);
    }
    journal.close();
    assert.equal(readJournal(folder), undefined);
  });

  test('has a step as it was told last, and nothing after that: the run went back', (t) => {
    const { folder, journal } = journalIn(t);

    for (const step of [1, 2, 3, 4]) journal.add(decided(step));
    journal.add(decided(2, 9));

    assert.deepEqual(stepsIn(folder), [1, 2]);
    assert.equal(readJournal(folder)?.steps.get(2)?.account.lossSum, 9);
  });

  test('keeps the last steps, and who the workers are, however long the run is', (t) => {
    const { folder, journal, failures } = journalIn(t);
    const crew = [{ rank: 0, processId: 7, stamp: 'boot.1' }];
    journal.noteCrew(crew);

    for (let step = 1; step <= 8_300; step++) journal.add(decided(step));

    const read = readJournal(folder);
    const steps = [...(read?.steps.keys() ?? [])];
    assert.ok(steps.length > 4_000 && steps.length < 5_000, `${steps.length} steps`);
    assert.equal(steps.at(-1), 8_300);
    assert.deepEqual([read?.crew, failures], [crew, []]);
  });
});

describe('what is known of the steps before', () => {
  const steps = new Map([5, 6, 7].map((step) => [step, decided(step)]));

  test('is where the run stood after each step that can be put into its records', () => {
    const { known, markAt } = recollectionOf({ steps }, BEGINNING, 5);

    assert.equal(known, 7);
    for (const step of [5, 6, 7]) assert.deepEqual(markAt(step), decided(step).mark);
    assert.equal(markAt(8), undefined);
    assert.deepEqual(markAt(0), BEGINNING);
  });

  test('is nothing of steps whose records have a gap before them', () => {
    const { markAt } = recollectionOf({ steps }, BEGINNING, 3);

    assert.deepEqual([5, 6, 7].map(markAt), [undefined, undefined, undefined]);
  });
});

describe('a process that somebody else has started', () => {
  test('is told from a later one of the same number', () => {
    const [processId, stamp] = [process.pid, processStamp(process.pid)];

    assert.equal(isAlive({ processId, stamp }), stamp !== '');
    assert.equal(isAlive({ processId, stamp: `${stamp}0` }), false);
  });

  test('is heard to end within a moment, and gets no signals after that', (t) => {
    const clock = new ManualClock();
    const adopted = new AdoptedProcess(process.pid, 'another', clock);
    const ended = t.mock.fn();
    adopted.once('exit', ended);

    clock.advance(300);

    assert.equal(ended.mock.callCount(), 1);
    assert.equal(adopted.kill('SIGTERM'), false);
  });
});
