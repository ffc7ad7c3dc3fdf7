import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { crc32 } from 'node:zlib';
import * as fc from 'fast-check';
import { ProtocolError } from '../base/errors.ts';
import { RandomWords } from '../base/random.ts';
import type { FrameLimits } from './connection.ts';
import { encodeFrameHead, payloadFactsOf, FRAME_PREFIX_BYTES } from './frame.ts';
import { FrameDecoder } from './frame-decoder.ts';

interface Frame {
  readonly header: unknown;
  readonly payload: Uint8Array;
}

const WIDE: FrameLimits = { maxHeaderBytes: 1 << 20, maxPayloadBytes: 1 << 20 };

function encodeFrame(header: object, payload: Uint8Array = new Uint8Array(0)): Uint8Array {
  return Buffer.concat([encodeFrameHead(header, payloadFactsOf(payload)), payload]);
}

/** A decoder that collects copies of its frames. */
function createCollector(
  limits: FrameLimits = WIDE,
  payloadTarget: (header: unknown, byteLength: number) => Uint8Array | undefined = () => undefined,
): { decoder: FrameDecoder; frames: Frame[] } {
  const frames: Frame[] = [];
  const decoder = new FrameDecoder({
    limits: () => limits,
    payloadTarget,
    frame: (header, payload) => void frames.push({ header, payload: payload.slice() }),
  });
  return { decoder, frames };
}

/** The prefix alone, with whatever it claims, and the right checksum of itself. */
function prefix({
  magic = 0x54534b4c,
  layout = 2,
  headerLength = 2,
  payloadLength = 0,
  headerCrc = 0,
}): Uint8Array {
  const bytes = new Uint8Array(FRAME_PREFIX_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, magic, true);
  view.setUint8(4, layout);
  view.setUint32(8, headerLength, true);
  view.setUint32(12, payloadLength, true);
  view.setUint32(16, headerCrc, true);
  view.setUint32(24, crc32(bytes.subarray(0, 24)), true);
  return bytes;
}

const someFrame = fc.record({
  header: fc.dictionary(fc.string(), fc.jsonValue()),
  payload: fc.uint8Array({ maxLength: 300 }),
});

describe('FrameDecoder', () => {
  test('gives back every frame whatever pieces the bytes arrive in', () => {
    fc.assert(
      fc.property(
        fc.array(someFrame, { maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 97 }), { minLength: 1 }),
        (sent, cuts) => {
          const stream = Buffer.concat(
            sent.map(({ header, payload }) => encodeFrame(header, payload)),
          );
          const { decoder, frames } = createCollector();

          let offset = 0;
          for (let i = 0; offset < stream.length; i++) {
            const end = offset + cuts[i % cuts.length]!;
            decoder.push(stream.subarray(offset, end));
            offset = end;
          }

          assert.deepEqual(
            frames.map(({ header, payload }) => [header, [...payload]]),
            sent.map(({ header, payload }) => [JSON.parse(JSON.stringify(header)), [...payload]]),
          );
          assert.equal(decoder.isBetweenFrames, true);
        },
      ),
    );
  });

  test('is between frames only before the first byte and after the last byte of a frame', () => {
    const bytes = encodeFrame({ kind: 'x' }, new Uint8Array(5));
    const { decoder } = createCollector();

    for (const byte of bytes.subarray(0, -1)) {
      decoder.push(Uint8Array.of(byte));
      assert.equal(decoder.isBetweenFrames, false);
    }
    decoder.push(bytes.subarray(-1));

    assert.equal(decoder.isBetweenFrames, true);
  });

  test('writes payloads into the memory that its owner names, again and again', () => {
    const target = new Uint8Array(64).fill(9);
    const asked: [unknown, number][] = [];
    const { decoder, frames } = createCollector(WIDE, (header, byteLength) => {
      asked.push([header, byteLength]);
      return target;
    });

    decoder.push(encodeFrame({ n: 1 }, Uint8Array.of(1, 2, 3, 4)));
    decoder.push(encodeFrame({ n: 2 }, Uint8Array.of(5, 6)));

    assert.deepEqual(asked, [
      [{ n: 1 }, 4],
      [{ n: 2 }, 2],
    ]);
    assert.deepEqual(
      frames.map(({ payload }) => [...payload]),
      [
        [1, 2, 3, 4],
        [5, 6],
      ],
    );
    assert.deepEqual([...target.subarray(0, 5)], [5, 6, 3, 4, 9]);
  });

  test('does not ask for memory when a frame has no payload', () => {
    const { decoder, frames } = createCollector(WIDE, () => assert.fail('asked for memory'));

    decoder.push(encodeFrame({ kind: 'x' }));

    assert.equal(frames.length, 1);
  });

  test('refuses a payload that is longer than the memory named for it', () => {
    const { decoder } = createCollector(WIDE, () => new Uint8Array(3));

    assert.throws(() => decoder.push(encodeFrame({}, new Uint8Array(4))), ProtocolError);
  });

  test('takes header and payload of exactly the allowed size', () => {
    const header = { kind: 'x' };
    const maxHeaderBytes = JSON.stringify(header).length;
    const { decoder, frames } = createCollector({ maxHeaderBytes, maxPayloadBytes: 4 });

    decoder.push(encodeFrame(header, new Uint8Array(4)));

    assert.equal(frames.length, 1);
  });

  test(
    'refuses lengths beyond the limits as soon as the prefix is there, before it takes any ' +
      'memory',
    () => {
      const limits = { maxHeaderBytes: 100, maxPayloadBytes: 1000 };
      const before = process.memoryUsage().arrayBuffers;

      for (const claim of [
        { headerLength: 101 },
        { headerLength: 0xffffffff },
        { headerLength: 0 },
        { payloadLength: 1001 },
        { payloadLength: 0xffffffff },
      ]) {
        const { decoder } = createCollector(limits, () => assert.fail('asked for memory'));
        assert.throws(() => decoder.push(prefix(claim)), ProtocolError, JSON.stringify(claim));
      }

      assert.ok(process.memoryUsage().arrayBuffers - before < 1 << 20);
    },
  );

  test('reads the limits afresh for every frame', () => {
    let limits: FrameLimits = { maxHeaderBytes: 100, maxPayloadBytes: 0 };
    const decoder = new FrameDecoder({
      limits: () => limits,
      payloadTarget: () => undefined,
      frame: () => (limits = WIDE),
    });

    decoder.push(encodeFrame({ kind: 'hello' }));
    decoder.push(encodeFrame({ kind: 'data' }, new Uint8Array(1000)));

    assert.equal(decoder.isBetweenFrames, true);
  });

  test('refuses other bytes at once and names the likely reason', () => {
    for (const bytes of ['GET / HTTP/1.1\r\nHost: x\r\n\r\n', '220 ', 'L', 'LOCK'.repeat(10)]) {
      const { decoder } = createCollector();
      const push = (): void => decoder.push(Buffer.from(bytes));
      // One that begins as ours may be ours.
      if (bytes === 'L') assert.doesNotThrow(push);
      else assert.throws(push, { name: 'ProtocolError', message: /Is the other end Lockstep\?/ });
    }
  });

  test('refuses another frame layout and says which end to update', () => {
    const { decoder } = createCollector();

    assert.throws(() => decoder.push(prefix({ layout: 1 })), {
      name: 'ProtocolError',
      message: /expected frame layout 2, got 1\. Update the older end/,
    });
  });

  test('refuses a header that is not JSON, or not UTF-8', () => {
    for (const header of [
      Buffer.from('{'),
      Buffer.from('nonsense'),
      Uint8Array.of(0x22, 0xff, 0x22),
    ]) {
      const { decoder } = createCollector();
      const bytes = Buffer.concat([
        prefix({ headerLength: header.length, headerCrc: crc32(header) }),
        header,
      ]);
      assert.throws(() => decoder.push(bytes), {
        name: 'ProtocolError',
        message: /expected a JSON header/,
      });
    }
  });

  test('survives a header nested as deep as its limit allows', () => {
    const depth = WIDE.maxHeaderBytes / 2;
    const header = Buffer.from('['.repeat(depth) + ']'.repeat(depth));
    const { decoder } = createCollector();

    try {
      decoder.push(
        Buffer.concat([prefix({ headerLength: header.length, headerCrc: crc32(header) }), header]),
      );
    } catch (error) {
      assert.ok(error instanceof ProtocolError);
    }
  });

  test('delivers nothing after it was stopped, not even the rest of the same piece', () => {
    const seen: unknown[] = [];
    const decoder: FrameDecoder = new FrameDecoder({
      limits: () => WIDE,
      payloadTarget: () => undefined,
      frame: (header) => {
        seen.push(header);
        decoder.stop();
      },
    });

    decoder.push(Buffer.concat([encodeFrame({ n: 1 }), encodeFrame({ n: 2 })]));
    decoder.push(encodeFrame({ n: 3 }));

    assert.deepEqual(seen, [{ n: 1 }]);
    assert.equal(decoder.isBetweenFrames, true);
  });

  test('says which part of a frame was damaged, and delivers nothing of it', () => {
    const bytes = encodeFrame({ kind: 'state' }, new Uint8Array(50));
    for (const [at, part] of [
      [9, 'prefix'],
      [FRAME_PREFIX_BYTES + 3, 'header'],
      [bytes.length - 1, 'payload'],
    ] as const) {
      const damaged = Buffer.from(bytes);
      damaged[at]! ^= 1 << 4;
      const { decoder, frames } = createCollector();
      decoder.push(bytes);

      assert.throws(() => decoder.push(damaged), {
        name: 'ProtocolError',
        message: new RegExp(`it was damaged on its way: expected a ${part} with CRC-32 `),
      });
      assert.equal(frames.length, 1);
    }
  });

  test('asks for no memory on the word of a damaged header', () => {
    const bytes = encodeFrame({ kind: 'state' }, new Uint8Array(50));
    bytes[FRAME_PREFIX_BYTES + 10]! ^= 1;
    const { decoder } = createCollector(WIDE, () => assert.fail('asked for memory'));

    assert.throws(() => decoder.push(bytes), ProtocolError);
  });

  test('refuses each of 100,000 frames of which one bit was flipped on its way', () => {
    const random = new RandomWords(7, 'synthetic', 1);
    const payloads = [
      new Uint8Array(0),
      Uint8Array.from({ length: 400 }, (_, i) => (i * 37) & 0xff),
    ];
    const streams = payloads.map((payload) =>
      encodeFrame(
        { kind: 'contribution', pass: 12, records: [{ microBatch: 3, lossSum: 0.25 }] },
        payload,
      ),
    );
    let refused = 0;

    for (let i = 0; i < 100_000; i++) {
      const bytes = Buffer.from(streams[i % 2]!);
      const bit = random.below(i, bytes.length * 8);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      const { decoder, frames } = createCollector();
      try {
        decoder.push(bytes);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        refused++;
      }
      assert.equal(frames.length, 0, `bit ${bit} of stream ${i % 2} went unnoticed`);
    }

    assert.equal(refused, 100_000);
  });

  test('throws nothing but ProtocolError on random bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), onlyProtocolErrors));
  });

  test('throws nothing but ProtocolError on frames with changed, lost or added bytes', () => {
    const mutation = fc.record({
      at: fc.nat(),
      byte: fc.integer({ min: 0, max: 255 }),
      how: fc.nat(2),
    });
    fc.assert(
      fc.property(
        fc.array(someFrame, { minLength: 1, maxLength: 3 }),
        fc.array(mutation),
        (frames, mutations) => {
          const bytes = [
            ...Buffer.concat(frames.map(({ header, payload }) => encodeFrame(header, payload))),
          ];
          for (const { at, byte, how } of mutations) {
            const index = at % (bytes.length + 1);
            if (how === 0) bytes[index] = byte;
            else if (how === 1) bytes.splice(index, 1);
            else bytes.splice(index, 0, byte);
          }
          onlyProtocolErrors(Uint8Array.from(bytes));
        },
      ),
      { numRuns: 500 },
    );
  });
});

function onlyProtocolErrors(bytes: Uint8Array): void {
  const { decoder } = createCollector({ maxHeaderBytes: 4096, maxPayloadBytes: 4096 });
  try {
    for (let offset = 0; offset < bytes.length; offset += 37)
      decoder.push(bytes.subarray(offset, offset + 37));
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
  }
}
