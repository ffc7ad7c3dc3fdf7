import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parameterCount } from '../numeric/parameters.ts';
import {
  encodeException,
  encodeFileCall,
  encodeFileReply,
  exceptionText,
  parseFileCall,
  parseFileReply,
} from './seed-interface.ts';
import { MemoryBudget } from '../../transport/memory-budget.ts';
import { ThriftDecoder } from './thrift-decoder.ts';
import { encodeThrift } from './thrift-encoder.ts';
import type { ThriftMessage } from './thrift-values.ts';

const SHAPE = { features: 3, hidden: 2, classes: 4 };
const START = Float64Array.from({ length: parameterCount(SHAPE) }, (_, i) => i / 7);
const CALL = {
  path: 'letters/train_letters1.txt',
  shape: SHAPE,
  start: START,
  epochs: 15,
  eta: 0.0001,
  policy: 2,
};

function decode(bytes: Uint8Array, pieceBytes = bytes.length): ThriftMessage[] {
  const messages: ThriftMessage[] = [];
  const decoder = new ThriftDecoder((message) => messages.push(message));
  for (let at = 0; at < bytes.length; at += pieceBytes)
    decoder.push(bytes.subarray(at, at + pieceBytes));
  return messages;
}

const hex = (text: string): Uint8Array =>
  Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

describe('ThriftDecoder', () => {
  test('reads back what was written, in pieces of any size', () => {
    const bytes = Buffer.concat([encodeFileCall(7, CALL), encodeFileCall(8, CALL)]);

    for (const pieceBytes of [1, 3, 64, bytes.length]) {
      const messages = decode(bytes, pieceBytes);
      assert.deepEqual(
        messages.map(({ sequence }) => sequence),
        [7, 8],
      );
      assert.deepEqual(parseFileCall(messages[1]!), CALL);
    }
  });

  test('reads fields of every type that others may send', () => {
    const bytes = hex(
      '80010001 00000001 78 00000005 02 0001 01 03 0002 ff 06 0003 8000 08 0004 fffffffe 0a ' +
        '0005 0000000000000009' +
        '0b 0006 00000002 c3a4 0f 0007 08 00000002 00000001 00000002 0c 0008 02 0001 00 00 0e ' +
        '0009 02 00000001 01 00',
    );

    const [message] = decode(bytes);

    assert.deepEqual([message?.kind, message?.name, message?.sequence], ['call', 'x', 5]);
    assert.deepEqual(
      [...message!.body.values()],
      [true, -1, -32_768, -2, 9, 'ä', [1, 2], new Map([[1, false]]), [true]],
    );
  });

  const bad: readonly (readonly [string, string, RegExp])[] = [
    ['another protocol', '16030100', /strict binary protocol/],
    ['a kind that does not exist', '80010009', /unknown kind 9/],
    [
      'a name without end',
      '80010001 7fffffff',
      /a text of at most 256, got a length of 2147483647/,
    ],
    ['a negative length', '80010001 ffffffff', /got a length of -1/],
    [
      'a list too long',
      '80010001 00000000 00000001 0f0001 0f 7fffffff',
      /a list of at most 131072/,
    ],
    [
      'doubles beyond the bound',
      '80010001 00000000 00000001 0f0001 04 7fffffff',
      /a list of at most 8388608/,
    ],
    [
      'structs in structs without end',
      `80010001 00000000 00000001 ${'0c0001'.repeat(9)}`,
      /nested deeper than 8/,
    ],
    ['a map', '80010001 00000000 00000001 0d0001', /type 13 is not expected/],
  ];
  for (const [what, bytes, message] of bad) {
    test(`refuses ${what} before allocating for it`, () => {
      assert.throws(() => decode(hex(bytes)), { code: 'PROTOCOL_INVALID', message });
    });
  }

  const HEAD = hex('80010001 00000001 78 00000001');
  const bombs: readonly (readonly [string, string, string])[] = [
    ['lists of empty structs', '0f0001 0f 0001ffff', `0c0001ffff${'00'.repeat(0x1ffff)}`],
    ['bytes in one field, again and again', '', '0300017f'.repeat(1 << 16)],
  ];
  for (const [what, head, element] of bombs) {
    test(`refuses more values than weights can have: ${what}`, () => {
      const decoder = new ThriftDecoder(() => {});
      decoder.push(Buffer.concat([HEAD, hex(head)]));
      const bytes = hex(element);

      assert.throws(
        () => {
          for (let i = 0; i < 1 << 18; i++) decoder.push(bytes);
        },
        { code: 'PROTOCOL_INVALID', message: /expected at most 262144 values, got more/ },
      );
    });
  }

  test('refuses a message that takes too much memory once decoded', () => {
    const text = Buffer.concat([hex('00010000'), Buffer.alloc(65_536, 'x')]);
    const decoder = new ThriftDecoder(() => {});
    decoder.push(Buffer.concat([HEAD, hex('0f 0001 0b 00010000')]));

    assert.throws(
      () => {
        for (let i = 0; i < 1_024; i++) decoder.push(text);
      },
      { code: 'PROTOCOL_INVALID', message: /134217728 bytes once decoded/ },
    );
  });

  test('takes memory for doubles as they come, not as they are announced', () => {
    const budget = new MemoryBudget(1 << 20);
    const decoder = new ThriftDecoder(() => {}, budget);

    decoder.push(Buffer.concat([HEAD, hex('0f0001 04 00800000')]));
    assert.ok(budget.bytes < 1_000, `${budget.bytes}`);
    assert.throws(() => decoder.push(new Uint8Array(2 << 20)), /Try again later/);

    decoder.stop();
    assert.equal(budget.bytes, 0);
  });

  test('takes the weights of a network with the largest hidden layer', () => {
    const shape = { features: 1, hidden: 65_536, classes: 2 };
    const start = new Float64Array(parameterCount(shape)).fill(0.5);
    const budget = new MemoryBudget(128 << 20);
    const messages: ThriftMessage[] = [];
    const decoder = new ThriftDecoder((message) => messages.push(message), budget);

    decoder.push(encodeFileCall(1, { ...CALL, shape, start }));

    assert.deepEqual(parseFileCall(messages[0]!).start, start);
    assert.equal(decoder.isBetweenMessages, true);
    decoder.release();
    assert.equal(budget.bytes, 0);
  });
});

describe('the calls of the seed system', () => {
  test('answer with weights, with a rejection, or with an exception', () => {
    const accepted = decode(encodeFileReply(1, { delta: START, trainingError: 0.5 }, SHAPE))[0]!;
    const rejected = decode(encodeFileReply(2, { trainingError: -1 }, SHAPE))[0]!;
    const failed = decode(encodeException(accepted, 'internalError', 'no such file'))[0]!;

    assert.deepEqual(parseFileReply(accepted, SHAPE), { delta: START, trainingError: 0.5 });
    assert.deepEqual(parseFileReply(rejected, SHAPE), { trainingError: -1 });
    assert.equal(exceptionText(failed), 'no such file');
    assert.throws(
      () => parseFileReply(failed, SHAPE),
      /train_with_weights: the node reports: no such file/,
    );
  });

  test('refuse weights of another shape', () => {
    const answer = decode(encodeFileReply(1, { delta: START, trainingError: 0.5 }, SHAPE))[0]!;

    assert.throws(() => parseFileReply(answer, { ...SHAPE, classes: 5 }), {
      code: 'PROTOCOL_INVALID',
      message: /expected V \[3, 5\] and W \[4, 2\], got V \[3, 4\] and W \[4, 2\]/,
    });
  });

  test('name the argument that is missing', () => {
    const [call] = decode(
      encodeThrift('call', 'train_with_weights', 1, { 1: { type: 'i32', value: 3 } }),
    );

    assert.throws(() => parseFileCall(call!), /expected initial_weights as field 2, got nothing/);
  });
});
