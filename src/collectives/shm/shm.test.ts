import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { afterEach, describe, test } from 'node:test';
import { RuntimeError } from '../../base/errors.ts';
import type { Connection } from '../../transport/connection.ts';
import { listen } from '../../transport/tcp.ts';
import type { Collective } from '../collective.ts';
import { connectTcpRing } from '../neighbour-rings.contract.ts';
import { Ring } from '../ring.ts';
import { MappedFiles } from './common-memories.ts';
import { loadMapper, type Mapper } from './mapped-memory.ts';
import { SharedSum } from './shared-sum.ts';
import { makeShm } from './shm.ts';

const PROGRAM = new URL('rank-process.contract.ts', import.meta.url);
const BYTES = 1_600_000;

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const action of undo.splice(0).reverse()) await action();
});

/** Ranks of this process, each with a mapper of its own; what they tell. */
async function createGroup(loaders: readonly (() => Mapper)[], byteLength = BYTES) {
  const ring = await connectTcpRing(loaders.length);
  const reasons: string[] = [];
  const breaks: string[] = [];
  let rings = 0;
  const ranks = loaders.map((load, index) =>
    makeShm({
      otherwise: (options) => {
        rings++;
        return new Ring(options);
      },
      onUnavailable: (reason) => void reasons.push(`rank ${index}: ${reason}`),
      memories: () => new MappedFiles(load()),
    })({
      index,
      size: loaders.length,
      byteLength,
      neighbours: ring.neighbours[index]!,
      onBroken: (error) => void breaks.push(error.message),
    }),
  );
  undo.push(async () => {
    for (const rank of ranks) rank.close();
    await ring.close();
  });
  return { ring, ranks, reasons, breaks, ringCount: () => rings };
}

/** The first number of a total of every rank, in which rank r adds r + 1. */
async function addUp(
  { ring, ranks }: Awaited<ReturnType<typeof createGroup>>,
  sequence: number,
): Promise<(number | undefined)[]> {
  const totals: (number | undefined)[] = [];
  for (const [rank, collective] of ranks.entries()) {
    const own = new Int32Array(BYTES / 4).fill(rank + 1);
    collective.reduce(sequence, new Uint8Array(own.buffer), (total) =>
      totals.push(new Int32Array(total.buffer, total.byteOffset, 1)[0]),
    );
  }
  await ring.until(() => totals.length === ranks.length);
  return totals;
}

/** Mappings and open files of this process that are ours. */
function leftovers(): string[] {
  const files = readdirSync('/proc/self/fd').map((file) => {
    try {
      return readlinkSync(`/proc/self/fd/${file}`);
    } catch {
      return ''; // The folder itself, which is closed by now.
    }
  });
  const maps = readFileSync('/proc/self/maps', 'utf8').split('\n');
  return [...files, ...maps].filter((line) => line.includes('/dev/shm/lockstep-'));
}

const isHere = process.platform === 'linux';

describe('makeShm', { skip: !isHere && 'there is no file system in memory' }, () => {
  test('adds up in memory that all have in common, and leaves neither file nor mapping', async () => {
    const before = leftovers();
    const group = await createGroup([loadMapper, loadMapper, loadMapper]);

    assert.deepEqual(await addUp(group, 0), [6, 6, 6]);
    assert.notDeepEqual(leftovers(), before);
    for (const rank of group.ranks) rank.close();

    assert.deepEqual(leftovers(), before);
    assert.equal(group.ringCount(), 0);
  });

  test('lends its memory, in which others go on with sums, and keeps it until it is back', async () => {
    const before = leftovers();
    const group = await createGroup([loadMapper, loadMapper]);
    assert.equal(group.ranks[0]!.lend?.(), undefined);
    await addUp(group, 0);
    const lent = group.ranks.map((rank) => rank.lend!()!);

    const sums = lent.map(({ common }) => new SharedSum(common, common.memory));
    for (let piece = 0; piece <= sums[0]!.pieceCount; piece++) {
      const isLast = piece === sums[0]!.pieceCount;
      const parts = [new Uint8Array(16).fill(1), new Uint8Array(BYTES - 16).fill(2)];
      for (const sum of sums) {
        if (!isLast) sum.put(piece, parts);
        assert.equal(sum.haveAllArrived(), true);
        sum.arrive(1);
      }
      for (const sum of sums) if (!isLast) sum.add(piece, parts);
    }
    for (const { total } of sums) assert.deepEqual([total[15], total[16], total.at(-1)], [2, 4, 4]);
    assert.deepEqual(await addUp(group, 2), [3, 3]);

    for (const rank of group.ranks) rank.close();
    assert.equal(sums[0]!.total[0], 3);
    assert.notDeepEqual(leftovers(), before);
    for (const { giveBack } of lent) giveBack();
    assert.deepEqual(leftovers(), before);
  });

  test('adds up with the other body if one rank cannot share, and says why there', async () => {
    const before = leftovers();
    const cannotLoad = (): Mapper => {
      throw new RuntimeError('memory shared between processes: the package koffi is missing');
    };
    const group = await createGroup([loadMapper, cannotLoad, loadMapper]);

    assert.deepEqual(await addUp(group, 0), [6, 6, 6]);

    assert.deepEqual(group.reasons, [
      'rank 1: memory shared between processes: the package koffi is missing',
    ]);
    assert.equal(group.ranks[0]!.lend?.(), undefined);
    assert.equal(group.ringCount(), 3);
    assert.deepEqual(
      leftovers().filter((line) => line.includes('rw-s')),
      before,
    );
  });

  for (const rank of [0, 1])
    test(`adds up with the other body if rank ${rank} cannot map the file`, async () => {
      const cannotMap = (): Mapper => ({ ...loadMapper(), map: () => false });
      const group = await createGroup([0, 1].map((r) => (r === rank ? cannotMap : loadMapper)));

      assert.deepEqual(await addUp(group, 0), [3, 3]);

      assert.deepEqual(group.reasons, [
        `rank ${rank}: memory shared between processes: the file cannot be mapped`,
      ]);
    });

  test('adds up with the other body if memory has no room, and says how much it needs', async () => {
    const isFull = (): Mapper => ({ ...loadMapper(), reserve: () => false });
    const group = await createGroup([isFull, loadMapper]);

    assert.deepEqual(await addUp(group, 0), [3, 3]);

    assert.match(group.reasons.join(), /^rank 0: memory .* has no room for \d+ bytes$/);
  });

  test('refuses a rank that adds up another sum, and applies nothing', async () => {
    const { ring, ranks, breaks } = await createGroup([loadMapper, loadMapper]);
    let totals = 0;

    const begin = (rank: Collective, sequence: number): void =>
      rank.reduce(sequence, new Uint8Array(BYTES), () => totals++);
    begin(ranks[0]!, 1);
    begin(ranks[1]!, 2);
    await ring.until(() => breaks.length === 2);

    assert.ok(
      breaks.some((message) => /adds up another sum than [12]/.test(message)),
      breaks[0],
    );
    assert.equal(totals, 0);
  });

  for (const header of [{ kind: 'wake', hops: 2 }, { kind: 'wake' }, { kind: 'offer' }])
    test(`refuses ${JSON.stringify(header)} once it has begun`, async () => {
      const group = await createGroup([loadMapper, loadMapper]);
      await addUp(group, 0);

      group.ring.neighbours[0]!.next.send(header);
      await group.ring.until(() => group.breaks.length === 2);

      assert.match(group.breaks.join(), /expected to be woken/);
    });

  test('adds up between processes, and hears at once of one that is killed', async () => {
    const rank = await joinProcess();
    const totals: number[] = [];
    const begin = (sequence: number): void => {
      const own = new Int32Array(BYTES / 4).fill(sequence);
      rank.collective.reduce(sequence, new Uint8Array(own.buffer), (total) => {
        totals.push(new Int32Array(total.buffer, total.byteOffset, 1)[0]!);
        begin(sequence + 1);
      });
    };
    begin(0);
    while (rank.heard.length < 20) await once(rank.child, 'message');
    rank.child.kill('SIGKILL');
    const reason = await rank.broken;

    assert.match(reason, /ended the connection|ECONNRESET/);
    assert.deepEqual(
      totals,
      Array.from({ length: 20 }, (_, i) => 1_000 + 2 * i),
    );
    assert.deepEqual(
      rank.heard,
      totals.map((total) => ({ first: total, last: total })),
    );
  });
});

/** A rank here, and one in a process of its own that adds up twenty sums. */
async function joinProcess() {
  const connections: Connection[] = [];
  let enter = (): void => {};
  const both = new Promise<void>((resolve) => (enter = resolve));
  const door = await listen({ host: '127.0.0.1', port: 0 }, (connection) => {
    if (connections.push(connection) === 2) enter();
  });
  undo.push(() => door.close());
  const child: ChildProcess = fork(PROGRAM, [door.address.port, BYTES, 20].map(String), {
    execArgv: ['--import', 'tsx'],
  });
  const exited = once(child, 'exit');
  undo.push(() => {
    child.kill('SIGKILL');
    return exited;
  });
  const heard: unknown[] = [];
  child.on('message', (message) => void heard.push(message));
  await both;
  const [next, previous] = connections;
  let collective!: Collective;
  const broken = new Promise<string>((resolve) => {
    collective = makeShm({ otherwise: () => assert.fail('memory cannot be shared') })({
      index: 0,
      size: 2,
      byteLength: BYTES,
      neighbours: { next: next!, previous: previous! },
      onBroken: (error) => resolve(error.message),
    });
  });
  undo.push(() => collective.close());
  return { collective, child, heard, broken };
}
