/** What every body of `Collective` promises. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type LockstepError, ProtocolError } from '../base/errors.ts';
import type { Collective, CollectiveBody } from './collective.ts';
import type { ConnectRing, NeighbourRing } from './neighbour-rings.contract.ts';

/** Bytes of sums: fewer units than ranks, chunks of unequal length, and several segments. */
const SHORT = [16, 48, 4_112];
const LONG = 5 * (1 << 20) + 16;
/** Ranks and bytes of groups in which all orders are tried. */
const GROUPS = [
  [2, 1_600_000],
  [3, 600_000],
  [4, 4_112],
] as const;

/** Bytes of sums that begin in the callback of the one before, and how many. */
const CHAINS = [
  [16, 20],
  [4_112, 20],
  [3_000_000, 4],
] as const;

/** A rank and everything that it was told. */
interface Rank {
  readonly collective: Collective;
  readonly totals: Uint8Array[];
  readonly breaks: { readonly error: LockstepError; readonly rank: number }[];
}

/** A group in one process. */
interface Group {
  readonly ring: Connections;
  readonly ranks: readonly Rank[];
  readonly byteLength: number;
}

/** What connects ranks, in whatever way. */
export interface Connections extends Pick<NeighbourRing, 'pass' | 'until' | 'close'> {
  /** Makes a rank's part, which tells at which rank it broke. */
  readonly makeRank: (
    index: number,
    byteLength: number,
    onBroken: (error: LockstepError, rank: number) => void,
  ) => Collective;
  /** Cuts all connections of a rank. */
  readonly cut: (index: number) => void;
}

/** Connects so many ranks. */
export type Connect = (size: number) => Promise<Connections>;

/** Connects ranks that add up by one body in one ring. */
export function inOneRing(body: CollectiveBody, connectRing: ConnectRing): Connect {
  return async (size) => {
    const ring = await connectRing(size);
    return {
      ...ring,
      makeRank: (index, byteLength, onBroken) =>
        body({
          ...{ index, size, byteLength },
          neighbours: ring.neighbours[index]!,
          onBroken: (error, neighbour) =>
            onBroken(error, (index + (neighbour === 'next' ? 1 : size - 1)) % size),
        }),
      cut: (index) => {
        ring.neighbours[index]!.previous.destroy();
        ring.neighbours[index]!.next.destroy();
      },
    };
  };
}

/** Registers the tests of one body over one kind of connections. */
export function checkCollective(name: string, body: CollectiveBody, connectRing: ConnectRing) {
  checkSums(name, inOneRing(body, connectRing));
  checkStrangers(name, body, connectRing);
}

/** Registers the tests of what ranks get, however they are connected. */
export function checkSums(name: string, connect: Connect, sizes: readonly number[] = [2, 3, 4, 5]) {
  describe(name, () => {
    for (const size of sizes)
      test(`gives all ${size} ranks the same exact sum, wrapped, whatever its length`, async () => {
        for (const byteLength of [...SHORT, LONG])
          await withGroup(size, byteLength, async (group) => {
            await addUp(group, 0, ranksOf(group));
          });
      });

    test('adds up sum after sum, in whatever order ranks come to it', async () => {
      for (const [size, byteLength] of GROUPS)
        await withGroup(size, byteLength, async (group) => {
          const orders = permutations(ranksOf(group));
          for (const [sequence, order] of orders.entries()) await addUp(group, sequence, order);
        });
    });

    for (const [byteLength, count] of CHAINS)
      test(`begins the next sum of ${byteLength} bytes inside the last one's callback`, async () => {
        for (const size of [2, 3])
          await withGroup(size, byteLength, async ({ ring, ranks }) => {
            const ends = ranks.map((rank) => chainSums(rank, ranks, byteLength, count));
            await ring.until(() => ends.every((isDone) => isDone()));
          });
      });

    test('tells every other rank once that a neighbour is gone, and nothing else', async () => {
      await withGroup(4, 4_112, async (group) => {
        const { ring, ranks } = group;
        await addUp(group, 0, ranksOf(group));
        for (const rank of [0, 2, 3]) begin(group, 1, rank);
        await ring.pass();

        ring.cut(1);
        const others = ranks.filter((_, rank) => rank !== 1);
        await ring.until(() => others.every(({ breaks }) => breaks.length > 0));
        for (const rank of [0, 2, 3]) begin(group, 2, rank);
        await ring.pass();

        assert.deepEqual(
          others.map(({ breaks, totals }) => [breaks.length, totals.length]),
          [
            [1, 1],
            [1, 1],
            [1, 1],
          ],
        );
        assert.ok(
          others.some(({ breaks }) => breaks[0]!.rank === 1),
          'a neighbour says who is gone',
        );
      });
    });

    test('ends its connections when it is closed, and calls nobody', async () => {
      await withGroup(3, 4_112, async (group) => {
        const [first, ...others] = group.ranks;
        begin(group, 0, 0);

        first!.collective.close();
        first!.collective.close();
        begin(group, 1, 0);
        await group.ring.until(() => others.every(({ breaks }) => breaks.length > 0));
        await group.ring.pass();

        assert.deepEqual([first!.breaks.length, first!.totals.length], [0, 0]);
        assert.deepEqual(
          others.map(({ breaks }) => breaks.length),
          [1, 1],
        );
      });
    });

    test('refuses a sum of another length, and one that comes out of turn', async () => {
      await withGroup(2, 64, async (group) => {
        const { collective } = group.ranks[0]!;
        const ignore = (): void => {};

        assert.throws(() => collective.reduce(0, new Uint8Array(48), ignore), { code: 'INTERNAL' });
        await addUp(group, 5, [0, 1]);
        assert.throws(() => collective.reduce(5, new Uint8Array(64), ignore), { code: 'INTERNAL' });
        await addUp(group, 6, [1, 0]);
      });
    });
  });

  async function withGroup(
    size: number,
    byteLength: number,
    use: (group: Group) => Promise<void>,
  ): Promise<void> {
    const ring = await connect(size);
    const ranks = Array.from({ length: size }, (_, index) => makeRank(ring, index, byteLength));
    try {
      await use({ ring, ranks, byteLength });
    } finally {
      for (const { collective } of ranks) collective.close();
      await ring.close();
    }
  }
}

/** Registers the test of what comes from who is no rank of a ring. */
function checkStrangers(name: string, body: CollectiveBody, connectRing: ConnectRing) {
  describe(name, () => {
    for (const from of ['previous', 'next'] as const)
      test(`refuses a foreign frame of the ${from} rank, and says so`, async () => {
        const ring = await connectRing(2);
        const breaks: { error: LockstepError; neighbour: string }[] = [];
        const collective = body({
          ...{ index: 0, size: 2, byteLength: 64, neighbours: ring.neighbours[0]! },
          onBroken: (error, neighbour) => void breaks.push({ error, neighbour }),
        });
        try {
          const stranger = ring.neighbours[1]!;
          const limits = { maxHeaderBytes: 1 << 12, maxPayloadBytes: 0 };
          for (const end of [stranger.next, stranger.previous]) {
            end.limits = limits;
            end.handlers = { onFrame: () => {}, onClose: () => {} };
          }
          (from === 'previous' ? stranger.next : stranger.previous).send({ kind: 'stranger' });
          await ring.until(() => breaks.length > 0);
          await ring.pass();

          const [only, ...more] = breaks;
          assert.deepEqual([only!.neighbour, more.length], [from, 0]);
          assert.ok(only!.error instanceof ProtocolError, String(only!.error));
        } finally {
          collective.close();
          await ring.close();
        }
      });
  });
}

function makeRank(ring: Connections, index: number, byteLength: number): Rank {
  const breaks: Rank['breaks'] = [];
  const collective = ring.makeRank(
    index,
    byteLength,
    (error, rank) => void breaks.push({ error, rank }),
  );
  return { collective, totals: [], breaks };
}

function ranksOf({ ranks }: Group): number[] {
  return [...ranks.keys()];
}

function permutations(values: readonly number[]): number[][] {
  if (values.length <= 1) return [[...values]];
  return values.flatMap((value) =>
    permutations(values.filter((other) => other !== value)).map((rest) => [value, ...rest]),
  );
}

/** Has the ranks begin one sum, with pauses between, and compares their totals. */
async function addUp(group: Group, sequence: number, order: readonly number[]): Promise<void> {
  const { ring, ranks, byteLength } = group;
  const before = ranks[0]!.totals.length;
  for (const rank of order) {
    begin(group, sequence, rank);
    await ring.pass();
  }
  await ring.until(() => ranks.every(({ totals }) => totals.length > before));
  const expected = totalOf(ranks.length, sequence, byteLength);
  for (const [rank, { totals, breaks }] of ranks.entries()) {
    assert.deepEqual(breaks, []);
    assertSame(totals.at(-1)!, expected, `sum ${sequence} at rank ${rank}`);
    totals.splice(0, totals.length - 1);
  }
}

/** The rank's numbers are its own until the callback, and garbage from then on. */
function begin({ ranks, byteLength }: Group, sequence: number, index: number): void {
  const { collective, totals } = ranks[index]!;
  const own = numbersOf(index, sequence, byteLength);
  collective.reduce(sequence, own, (total) => {
    totals.push(total.slice());
    own.fill(0xff);
  });
}

/** Begins `count` sums one in the callback of the other; says whether all are there. */
function chainSums(
  { collective }: Rank,
  ranks: readonly Rank[],
  byteLength: number,
  count: number,
): () => boolean {
  const index = ranks.findIndex((rank) => rank.collective === collective);
  const own = new Uint8Array(byteLength);
  let sums = 0;
  const beginNext = (): void => {
    own.set(numbersOf(index, sums, byteLength));
    collective.reduce(sums, own, (total) => {
      const expected = totalOf(ranks.length, sums, byteLength);
      assertSame(total, expected, `sum ${sums} at rank ${index}`);
      own.fill(0xff);
      if (++sums < count) beginNext();
      assertSame(total, expected, 'the total while the next sum has begun');
    });
  };
  beginNext();
  return () => sums === count;
}

function assertSame(actual: Uint8Array, expected: Uint8Array, what: string): void {
  assert.ok(Buffer.compare(actual, expected) === 0, `${what} is another`);
}

/** All int32, so that sums wrap. */
function numbersOf(rank: number, sequence: number, byteLength: number): Uint8Array {
  const numbers = new Int32Array(byteLength / 4);
  let state = 1 + rank + 100 * sequence;
  for (let i = 0; i < numbers.length; i++)
    numbers[i] = state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
  return new Uint8Array(numbers.buffer);
}

function totalOf(size: number, sequence: number, byteLength: number): Uint8Array {
  const total = new Int32Array(byteLength / 4);
  for (let rank = 0; rank < size; rank++) {
    const numbers = new Int32Array(numbersOf(rank, sequence, byteLength).buffer);
    for (let i = 0; i < total.length; i++) total[i] = (total[i]! + numbers[i]!) | 0;
  }
  return new Uint8Array(total.buffer);
}
