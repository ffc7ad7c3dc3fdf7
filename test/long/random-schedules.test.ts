/**
 * Runs to which much happens at once. More of it, and one alone by its seed:
 * `npm run bench -- schedules`.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  type DisturbanceKind,
  drawSchedule,
  KINDS,
  scheduleText,
} from '../cluster/random-schedule.ts';
import { runSchedule } from '../cluster/scheduled-run.ts';

/** Of the first 67 those with few workers, and short waits; all kinds of runs are among them. */
const SEEDS: readonly number[] = [
  1, 3, 8, 9, 10, 20, 23, 27, 28, 29, 31, 37, 39, 53, 55, 59, 61, 62, 63, 64,
];
/** Mostly they wait. */
const AT_A_TIME = 2;
const MANY = 2_000;

describe('a random schedule', () => {
  test('is the same for the same seed', () => {
    for (const seed of SEEDS) assert.deepEqual(drawSchedule(seed), drawSchedule(seed));
  });

  test('leaves somebody in the run, and never disturbs who is not there', () => {
    for (let seed = 1; seed <= MANY; seed++) {
      const schedule = drawSchedule(seed);
      const present = new Set(Array.from({ length: schedule.workers }, (_, i) => i));
      let started = schedule.workers;
      for (const { what } of schedule.events) {
        if (what.kind === 'join') present.add(started++);
        if (!('worker' in what)) continue;
        assert.ok(present.has(what.worker), scheduleText(schedule));
        if (what.kind === 'kill' || what.kind === 'leave') present.delete(what.worker);
      }
      assert.ok(present.size > 0, scheduleText(schedule));
    }
  });
});

const happened = new Set<DisturbanceKind>();

describe('a run to which a random schedule happens', { concurrency: AT_A_TIME }, () => {
  for (const seed of SEEDS)
    test(`ends with the model of one undisturbed worker: seed ${seed}`, async (t) => {
      const { done, seconds } = await runSchedule(t, seed);

      for (const kind of done) happened.add(kind);
      t.diagnostic(`${scheduleText(drawSchedule(seed))}\n  ${seconds.toFixed(1)} s`);
    });
});

describe('all these schedules together', () => {
  test('had everything happen', () => {
    assert.deepEqual([...happened].sort(), [...KINDS].sort());
  });
});
