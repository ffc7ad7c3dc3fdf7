import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GraphError } from '../../base/errors.ts';
import { readMessage, type FieldHandler } from './proto-reader.ts';
import { ProtoWriter } from './proto-writer.ts';

function read(
  bytes: readonly number[],
  handlers: Readonly<Record<number, FieldHandler>> = {},
): void {
  readMessage(Uint8Array.from(bytes), 'test', handlers);
}

const descend: FieldHandler = (field) => field.message({ 1: descend });

function nested(depth: number): Uint8Array {
  const writer = new ProtoWriter();
  if (depth > 0) writer.bytes(1, nested(depth - 1));
  return writer.finish();
}

describe('readMessage', () => {
  test('reads what ProtoWriter wrote', () => {
    const writer = new ProtoWriter();
    writer.int(1, -5);
    writer.int(2, 2 ** 53 - 1);
    writer.float(3, 0.25);
    writer.string(4, 'größe');
    writer.message(5, (inner) => inner.int(1, 7));
    const seen: unknown[] = [];

    readMessage(writer.finish(), 'test', {
      1: (field) => seen.push(field.int()),
      2: (field) => seen.push(field.int()),
      3: (field) => seen.push(field.float()),
      4: (field) => seen.push(field.string()),
      5: (field) => field.message({ 1: (inner) => seen.push(inner.int()) }),
    });

    assert.deepEqual(seen, [-5, 2 ** 53 - 1, 0.25, 'größe', 7]);
  });

  test('reads repeated numbers one by one and packed', () => {
    const seen: unknown[] = [];

    read([0x08, 0x03, 0x0a, 0x02, 0x04, 0x05], { 1: (field) => seen.push(field.ints()) });
    read([0x0a, 0x04, 0, 0, 0x80, 0x3f], { 1: (field) => seen.push([...field.floats()]) });

    assert.deepEqual(seen, [[3], [4, 5], [1]]);
  });

  const malformed: Readonly<Record<string, readonly [number[], Record<number, FieldHandler>?]>> = {
    'a number that ends early': [[0x08, 0x80]],
    'a key that ends early': [[0x80]],
    'a number of eleven bytes': [[0x08, ...Array<number>(10).fill(0x80), 1]],
    'a length beyond the end': [[0x0a, 5, 1, 2]],
    'a float that ends early': [[0x0d, 0, 0]],
    'a double that ends early': [[0x09, 0, 0, 0, 0]],
    'a group': [[0x0b, 0x0c]],
    'field number 0': [[0x00, 0]],
    'a field number beyond 2^29': [[0x80, 0x80, 0x80, 0x80, 0x10, 0]],
    'a string where a number belongs': [[0x0a, 1, 65], { 1: (field) => void field.int() }],
    'a number where a string belongs': [[0x08, 65], { 1: (field) => void field.string() }],
    'a number where a message belongs': [[0x08, 65], { 1: descend }],
    'a string that is not UTF-8': [[0x0a, 1, 0xff], { 1: (field) => void field.string() }],
    'an integer that a number cannot hold': [
      [0x08, ...Array<number>(8).fill(0xff), 0x7f],
      { 1: (field) => void field.int() },
    ],
    'a packed list that ends inside a float': [
      [0x0a, 3, 0, 0, 0],
      { 1: (field) => void field.floats() },
    ],
  };
  for (const [what, [bytes, handlers]] of Object.entries(malformed)) {
    test(`refuses ${what}`, () => {
      assert.throws(() => read(bytes, handlers), GraphError);
    });
  }

  test('refuses messages that are nested too deep', () => {
    readMessage(nested(16), 'test', { 1: descend });

    assert.throws(() => readMessage(nested(1000), 'test', { 1: descend }), GraphError);
  });
});
