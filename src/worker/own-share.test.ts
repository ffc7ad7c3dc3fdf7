import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { recordOf } from '../../test/pass-facts.ts';
import { makeTestPlan } from '../../test/scripted-worker.ts';
import type { Neighbours } from '../collectives/collective.ts';
import { connectMemoryRing } from '../collectives/neighbour-rings.contract.ts';
import { Ring } from '../collectives/ring.ts';
import { noteBytesIn } from '../plan/attempt-note.ts';
import { OwnShare } from './own-share.ts';

/** A sum of equal elements, four unless told. */
function sumOf(value: number, elements = 4): Uint8Array {
  return new Uint8Array(new Int32Array(elements).fill(value).buffer);
}

/** Bytes of all WebAssembly memories that are made from now on. */
function countMemory(t: TestContext): () => number {
  const { Memory } = WebAssembly;
  let bytes = 0;
  class CountedMemory extends Memory {
    constructor(descriptor: WebAssembly.MemoryDescriptor) {
      super(descriptor);
      bytes += this.buffer.byteLength;
    }
  }
  WebAssembly.Memory = CountedMemory;
  t.after(() => (WebAssembly.Memory = Memory));
  return () => bytes;
}

describe('OwnShare', () => {
  test('is zeros, of the length that is asked for, while nothing is done', () => {
    const share = new OwnShare(() => undefined);

    assert.deepEqual(share.sum(16), new Uint8Array(16));
    assert.deepEqual(share.sum(32), new Uint8Array(32));
    assert.deepEqual(share.records, []);
  });

  test('is the one sum that the engine has lent, without a copy', () => {
    const share = new OwnShare(() => undefined);
    const lent = sumOf(3);

    share.add([recordOf(0), recordOf(1)], lent);

    assert.equal(share.sum(16), lent);
    assert.deepEqual(
      share.records.map(({ microBatch }) => microBatch),
      [0, 1],
    );
  });

  test('is the total of all sums, whatever becomes of the memory of those before the last', () => {
    const share = new OwnShare(() => undefined);
    const lent = sumOf(3);
    for (const [microBatch, value] of [3, -5, 7].entries()) {
      share.secure();
      lent.set(sumOf(value));
      share.add([recordOf(microBatch)], lent);
    }

    assert.deepEqual([...share.sum(16)], [...sumOf(5)]);
    assert.deepEqual([...share.sum(16)], [...sumOf(5)]);
    assert.equal(share.records.length, 3);
  });

  test('keeps what is done when the engine goes on, and nothing comes of that', () => {
    const share = new OwnShare(() => undefined);
    const lent = sumOf(3);
    share.add([recordOf(0)], lent);

    share.secure();
    lent.fill(9);

    assert.deepEqual([...share.sum(16)], [...sumOf(3)]);
  });

  test('begins every pass with nothing, in memory that is used again', () => {
    const share = new OwnShare(() => undefined);
    for (let pass = 0; pass < 100; pass++) {
      share.clear();
      share.add([recordOf(0)], sumOf(pass));
      share.secure();
      // Some passes are over before their sum is asked for.
      if (pass % 3 === 0) continue;
      share.add([recordOf(1)], sumOf(1));
      assert.deepEqual([...share.sum(16)], [...sumOf(pass + 1)], `pass ${pass}`);
      assert.equal(share.records.length, 2);
    }
  });

  test('keeps what is done in memory that the engine can spare, and takes none of its own', () => {
    const spare = new Uint8Array(16);
    let isFree = true;
    const share = new OwnShare(() => (isFree ? spare : undefined));
    const lent = sumOf(3);
    share.add([recordOf(0)], lent);

    share.secure();
    isFree = false;
    share.add([recordOf(1)], sumOf(4));

    assert.equal(share.isGiven, false);
    assert.equal(share.sum(16), spare);
    assert.deepEqual([...spare], [...sumOf(7)]);
    assert.equal(share.isGiven, true);

    // The engine makes an update from it: the next pass has to do without.
    share.clear();
    assert.equal(share.isGiven, false);
    share.add([recordOf(0)], lent);
    share.secure();
    assert.notEqual(share.sum(16), spare);
    assert.deepEqual([...spare], [...sumOf(7)]);
  });
});

describe('Sums of a long model that go around a ring', () => {
  /** Elements of the model that GPT-2 is called after, padded. */
  const LONG = 124_439_808;

  test('take a worker one buffer of their size besides those that its engine has', (t) => {
    const bytes = countMemory(t);
    const neighbours = {} as Neighbours;
    const ends = { send: () => {}, close: () => {}, bytesSent: 0, bytesReceived: 0 };
    Object.assign(neighbours, { previous: { ...ends }, next: { ...ends } });

    const place = { index: 0, size: 2, byteLength: 4 * LONG };
    new Ring({ ...place, neighbours, onBroken: () => {} }).close();

    assert.ok(bytes() >= 4 * LONG && bytes() < 4 * LONG + (1 << 20), `${bytes()}`);
    // What workers tell of a step would be a second one, with the sum before it: it is not told so.
    assert.equal(noteBytesIn(makeTestPlan({ sumElements: LONG }), 2), 0);
  });

  test('take no more where a worker computes on after a sum of its own', async (t) => {
    const ELEMENTS = 1 << 18;
    const bytes = countMemory(t);
    const ring = await connectMemoryRing(2);
    const engines = [0, 1].map(() => ({
      gathered: sumOf(0, ELEMENTS),
      received: sumOf(0, ELEMENTS),
    }));
    const totals: Uint8Array[] = [];
    const parts = engines.map(({ received }, index) => ({
      share: new OwnShare(() => received),
      // As where sums are long: there is one in its memory.
      collective: new Ring(
        {
          ...{ index, size: 2, byteLength: 4 * ELEMENTS },
          neighbours: ring.neighbours[index]!,
          onBroken: ({ message }) => assert.fail(message),
        },
        0,
      ),
    }));
    for (let pass = 0; pass < 3; pass++) {
      totals.length = 0;
      for (const [index, { share, collective }] of parts.entries()) {
        const { gathered, received } = engines[index]!;
        share.clear();
        for (let microBatch = 0; microBatch <= index + pass; microBatch++) {
          share.secure();
          gathered.set(sumOf(10 ** index, ELEMENTS));
          share.add([recordOf(microBatch)], gathered);
        }
        const own = share.sum(4 * ELEMENTS);
        assert.equal(own, index + pass === 0 ? gathered : received);
        collective.reduce(pass, own, (total) => {
          // The total takes the place of what was kept, from where it is applied.
          received.set(total);
          totals.push(received);
        });
      }
      await ring.until(() => totals.length === 2);
      const expected = sumOf(pass + 1 + 10 * (pass + 2), ELEMENTS);
      for (const total of totals) assert.ok(Buffer.from(total).equals(expected), `pass ${pass}`);
    }
    for (const { collective } of parts) collective.close();
    await ring.close();

    // Of each: the sum, and a segment that is to be added to it.
    const most = 2 * (4 * ELEMENTS + (512 << 10));
    assert.ok(bytes() <= most, `${bytes()} bytes, ${most} at most`);
  });
});
