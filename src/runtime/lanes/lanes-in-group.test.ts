/** Lanes of several workers that add up granted steps in memory that they have in common. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import {
  closePools,
  digestOf,
  grantsOf,
  initialState,
  makeJob,
  makePool,
  MICRO_BATCHES,
  planOf,
} from '../../../test/lane-pools.ts';
import type { CommonMemory } from '../../collectives/collective.ts';
import { sharedBytesOf } from '../../collectives/shm/shared-sum.ts';
import { reserveMemory } from '../../kernels/reserve-memory.ts';
import { noteBytesOf, readNotes } from '../../plan/attempt-note.ts';
import type { Grant, Job } from '../../protocol/messages.ts';
import type { EngineAttempt, GroupSeat } from '../engine.ts';
import type { LanePool } from './lane-pool.ts';
import { layoutOf } from './lane-job.ts';

const GENERATION = 7;

after(closePools);

/** Seats of a group of so many workers, as if each were a process of its own. */
function makeSeats(job: Job, size: number): GroupSeat[] {
  const sumBytes = 4 * layoutOf(job).paddedLength;
  const noteBytes = noteBytesOf(job.parameters.length, MICRO_BATCHES);
  const byteLength = sumBytes + size * noteBytes;
  const bytes = sharedBytesOf({ index: 0, size, byteLength });
  const memory = reserveMemory(bytes, { shared: true, what: 'sums of a test' });
  return Array.from({ length: size }, (_, place): GroupSeat => {
    const common: CommonMemory = { index: place, size, byteLength, memory };
    return { generation: GENERATION, common, place, sumBytes, noteBytes };
  });
}

interface Member {
  readonly pool: LanePool;
  readonly seat: GroupSeat;
  readonly attempts: EngineAttempt[];
}

/** Workers with so many lanes each, in one group, with the initial state. */
async function makeGroup(job: Job, laneCounts: readonly number[]): Promise<Member[]> {
  const seats = makeSeats(job, laneCounts.length);
  return Promise.all(
    laneCounts.map(async (laneCount, place): Promise<Member> => {
      const attempts: EngineAttempt[] = [];
      const hear = (told: readonly EngineAttempt[]): void => void attempts.push(...told);
      const { pool } = await makePool(laneCount, job, undefined, hear);
      pool.importState(initialState(), () => {});
      return { pool, seat: seats[place]!, attempts };
    }),
  );
}

/** What is granted to a group whose members compute `shares`. */
function granted(maximum: number, shares: readonly number[]): Grant[] {
  const group = { generation: GENERATION, shares: [...shares] };
  return grantsOf(maximum).map(({ start, ...grant }) => ({
    ...grant,
    ...(start && { start: { ...start, group } }),
  }));
}

function followAll({ pool, seat }: Member, grants: readonly Grant[]): void {
  for (const grant of grants) pool.follow(grant, grant.start && seat);
}

/** Halts a worker; resolves once it has told all. */
async function halt({ pool }: Member): Promise<void> {
  return new Promise((resolve) => pool.halt(GENERATION, resolve));
}

/** The digest of a worker that has gone through all that is granted alone. */
async function aloneWith(job: Job, maximum: number): Promise<string> {
  const { pool } = await makePool(1, job);
  pool.importState(initialState(), () => {});
  for (const grant of grantsOf(maximum)) pool.follow(grant);
  return digestOf(pool);
}

describe('LanePool in a group with memory in common', () => {
  for (const [laneCounts, shares] of [
    [
      [1, 1],
      [3, 3],
    ],
    [
      [2, 1],
      [4, 2],
    ],
    [
      [2, 1, 2],
      [1, 4, 1],
    ],
  ] as const)
    test(`ends with the state of one worker, with ${laneCounts.join()} lanes`, async () => {
      const job = makeJob();
      // The grid is too narrow at first.
      const grants = granted(1e-4, shares);
      const members = await makeGroup(job, laneCounts);

      for (const member of members) followAll(member, grants);
      const digests = await Promise.all(members.map(async ({ pool }) => digestOf(pool)));

      const alone = await aloneWith(job, 1e-4);
      assert.deepEqual(new Set(digests), new Set([alone]));
      const [first, ...others] = members;
      assert.ok(first!.attempts.length > 5);
      for (const { attempts } of others)
        assert.deepEqual(
          attempts.map(({ ofGroup }) => ofGroup?.notes),
          first!.attempts.map(({ ofGroup }) => ofGroup?.notes),
        );
    });

  test('tells its own records, and what all have told each other of each attempt', async () => {
    const job = makeJob();
    const members = await makeGroup(job, [1, 2]);

    for (const member of members) followAll(member, granted(4, [4, 2]));
    await Promise.all(members.map(async ({ pool }) => digestOf(pool)));

    const last = members.map(({ attempts }) => attempts.at(-1)!);
    const inOrder = last.map(({ records }) =>
      [...records].sort((a, b) => a.microBatch - b.microBatch),
    );
    assert.deepEqual(
      inOrder.map((records) => records.map(({ microBatch }) => microBatch)),
      [
        [0, 1, 2, 3],
        [4, 5],
      ],
    );
    const { noteBytes } = members[0]!.seat;
    const notes = readNotes(last[0]!.ofGroup!.notes, noteBytes, job.parameters.length);
    assert.deepEqual(
      notes.map(({ losses }) => losses.map(({ lossSum }) => lossSum)),
      inOrder.map((records) => records.map(({ lossSum }) => lossSum)),
    );
    assert.ok(last.every(({ ofGroup }) => ofGroup!.addingMs >= 0));
  });

  test('is halted while it waits for a worker that never comes, and has committed nothing', async () => {
    const [member] = await makeGroup(makeJob(), [2, 1]);
    const initial = await digestOf(member!.pool);
    followAll(member!, granted(4, [3, 3]));

    await halt(member!);

    assert.deepEqual(member!.attempts, []);
    assert.equal(await digestOf(member!.pool), initial);
  });

  test('is at most one step from another when it is halted, and tells all that it committed', async () => {
    const job = makeJob();
    const members = await makeGroup(job, [1, 1]);
    const [first] = granted(4, [3, 3]);
    const many = Array.from({ length: 500 }, () => first!.updates[0]!);
    for (const member of members) followAll(member, [{ ...first!, updates: many }]);
    while (members.some(({ attempts }) => attempts.length === 0))
      await new Promise((resolve) => setTimeout(resolve, 1));

    await halt(members[0]!);
    const told = members[0]!.attempts.length;
    await halt(members[1]!);

    const counts = members.map(({ attempts }) => attempts.length);
    assert.ok(Math.abs(counts[0]! - counts[1]!) <= 1, counts.join());
    assert.ok(told < 500);
    // What both are told to do from then on begins where they are.
    const { pool } = members[0]!;
    const { pool: alone } = await makePool(1, job);
    alone.importState(initialState(), () => {});
    const { group: _, ...start } = first!.start!;
    alone.follow({ ...first!, start, updates: many.slice(0, told) });
    assert.equal(await digestOf(pool), await digestOf(alone));
    assert.equal(members[0]!.attempts.length, told);
  });

  test('is done with memory of a group at once if it is not in it, or not any more', async () => {
    const members = await makeGroup(makeJob(), [1, 1]);
    await halt(members[0]!);
    for (const member of members) followAll(member, granted(4, [3, 3]));
    for (const { pool } of members) await digestOf(pool);
    const [{ pool }] = members as [Member];

    let isDone = false;
    pool.halt(GENERATION, () => (isDone = true));

    assert.ok(isDone);
    pool.begin(planOf(1_000, 5, [0]));
  });
});
