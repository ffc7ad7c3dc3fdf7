import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ProtocolError } from '../base/errors.ts';
import type { Connection } from '../transport/connection.ts';
import { connectMemoryRing } from './neighbour-rings.contract.ts';
import { Ring } from './ring.ts';

const BYTES = 64;
/** A chunk of a rank of two is one segment. */
const SEGMENT = new Uint8Array(BYTES / 2);

interface Frame {
  readonly header: object;
  readonly payload?: Uint8Array;
}

/** A rank that adds ones, and a previous rank of two that sends what it is told to. */
async function createPair(byteLength = BYTES) {
  const ring = await connectMemoryRing(2);
  const sent: unknown[] = [];
  const totals: Uint8Array[] = [];
  const breaks: string[] = [];
  const { next, previous } = ring.neighbours[1]!;
  for (const end of [next, previous]) {
    end.limits = { maxHeaderBytes: 1 << 12, maxPayloadBytes: byteLength };
    end.handlers = { onFrame: (header) => void sent.push(header), onClose: () => {} };
  }
  const kept = keepPayloads(ring.neighbours[0]!.next);
  const rank = new Ring({
    index: 0,
    size: 2,
    byteLength,
    neighbours: ring.neighbours[0]!,
    onBroken: (error, neighbour) => {
      assert.ok(error instanceof ProtocolError);
      assert.equal(neighbour, 'previous');
      breaks.push(error.message);
    },
  });
  const begin = (sequence: number): void => {
    const ones = new Uint8Array(new Int32Array(byteLength / 4).fill(1).buffer);
    rank.reduce(sequence, ones, (total) => void totals.push(total.slice()));
  };
  const send = async (...frames: readonly Frame[]): Promise<void> => {
    for (const { header, payload } of frames) next.send(header, payload);
    for (let i = 0; i < 20; i++) await ring.pass();
  };
  return {
    begin,
    send,
    sent,
    kept,
    totals,
    breaks,
    handlers: ring.neighbours[0]!.previous.handlers,
  };
}

/** What is sent, where it lies: a connection may read it until it is flushed. */
function keepPayloads(connection: Connection): Uint8Array[] {
  const kept: Uint8Array[] = [];
  const send = connection.send.bind(connection);
  connection.send = (header, payload, onFlushed) => {
    if (payload instanceof Uint8Array) kept.push(payload);
    send(header, payload, onFlushed);
  };
  return kept;
}

function segment(sequence: unknown, index: unknown, payload = SEGMENT): Frame {
  return { header: { kind: 'segment', sequence, index }, payload };
}

describe('Ring', () => {
  test('passes on what came before its own sum, added up, once that is there', async () => {
    const { begin, send, sent, totals, breaks } = await createPair();

    await send(
      segment(
        7,
        0,
        SEGMENT.map((_, i) => (i % 4 === 0 ? 2 : 0)),
      ),
    );
    assert.deepEqual(sent, []);
    begin(7);
    await send(
      segment(
        7,
        1,
        SEGMENT.map((_, i) => (i % 4 === 0 ? 5 : 0)),
      ),
    );

    assert.deepEqual(sent, [segment(7, 0).header, segment(7, 1).header]);
    const [total] = totals;
    assert.deepEqual(
      [...new Int32Array(total!.buffer)],
      [5, 5, 5, 5, 5, 5, 5, 5, 3, 3, 3, 3, 3, 3, 3, 3],
    );
    assert.deepEqual(breaks, []);
  });

  test('adds its own sum to a segment that was half there when it began', async () => {
    const { begin, send, totals, handlers } = await createPair();
    const { header } = segment(1, 0);

    const target = handlers.payloadTarget!(header, SEGMENT.length)!;
    target.fill(2, 0, 8);
    begin(1);
    target.fill(2, 8);
    handlers.onFrame(header, target);
    await send(segment(1, 1));

    assert.deepEqual(
      [...new Int32Array(totals[0]!.buffer, BYTES / 2)],
      Array.from({ length: 8 }, () => 0x02020203),
    );
  });

  test('leaves what is still to be sent of a sum alone when the next one comes', async () => {
    const { begin, send, kept } = await createPair();

    begin(0);
    await send(segment(0, 0, SEGMENT.slice().fill(2)), segment(0, 1));
    await send(segment(1, 0, SEGMENT.slice().fill(9)));

    const threes = Array.from({ length: 8 }, () => 0x02020203);
    assert.equal(kept.length, 2);
    assert.deepEqual([...new Int32Array(kept[1]!.slice().buffer)], threes);
  });

  test('is at most four segments ahead of what it has received', async () => {
    const segmentBytes = 512 << 10;
    const { begin, send, sent, totals } = await createPair(12 * segmentBytes);
    const payload = new Uint8Array(segmentBytes);

    begin(0);
    await send();
    const counts = [sent.length];
    for (let index = 0; index < 12; index++) {
      await send(segment(0, index, payload));
      counts.push(sent.length);
    }

    assert.deepEqual(counts, [4, 5, 6, 7, 8, 9, 10, 11, 12, 12, 12, 12, 12]);
    assert.equal(totals.length, 1);
  });

  const refused: readonly (readonly [string, number | undefined, readonly Frame[], RegExp])[] = [
    ['of another sum', 3, [segment(4, 0)], /expected segment 0 of sum 3, got segment 0 of sum 4/],
    ['out of its turn', 3, [segment(3, 1)], /expected segment 0 of sum 3, got segment 1 of sum 3/],
    ['that is one too many', undefined, [segment(3, 2)], /expected segment 0 of sum to come/],
    ['that is a total before its own sum', undefined, [segment(3, 0), segment(3, 1)], /segment 1/],
    ['of the next sum before this one', undefined, [segment(3, 0), segment(4, 0)], /of sum 4/],
    ['that is too short', 3, [segment(3, 0, new Uint8Array(16))], /of 32 bytes, got 16/],
    ['that is too long', 3, [segment(3, 0, new Uint8Array(48))], /of 32 bytes, got 48/],
    ['without numbers', 3, [{ header: { kind: 'segment', sequence: 3, index: 0 } }], /got 0/],
    ['with a number that is none', 3, [segment(3, -1)], /expected a segment of a sum/],
    ['of a sum that is no number', 3, [segment('3', 0)], /expected a segment of a sum/],
  ];
  for (const [what, begun, frames, message] of refused)
    test(`refuses a segment ${what}, names it and applies nothing`, async () => {
      const { begin, send, sent, totals, breaks } = await createPair();
      if (begun !== undefined) begin(begun);

      await send(...frames, segment(3, 0), segment(3, 1));
      begin(5);
      await send();

      assert.equal(breaks.length, 1);
      assert.match(breaks[0]!, message);
      assert.deepEqual(totals, []);
      assert.equal(sent.length, begun === undefined ? 0 : 1);
    });

  test('names both sums when the previous rank has begun another', async () => {
    const { begin, send, totals, breaks } = await createPair();

    await send(segment(9, 0));
    begin(8);

    assert.deepEqual(breaks, ['ring: expected sum 8, got sum 9']);
    assert.deepEqual(totals, []);
  });
});
