import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { crc32 } from 'node:zlib';
import { stepOf } from '../../test/dashboard-events.ts';
import type { RunEvent } from '../metrics/events.ts';
import { type MetricPoint, pointOf } from './metric-point.ts';
import { tensorBoardHead, tensorBoardRecord } from './tensorboard.ts';
import { WandbLog } from './wandb.ts';

const START_MS = 1_700_000_000_000;
const RUN = {
  ...{ id: 'abcd1234', project: 'lab', name: 'night', host: 'desk', startMs: START_MS },
  config: { lr: 0.1, model: 'mlp' },
};

/** Numbers of steps, norms of gradients and an evaluation, as a run records them. */
function points(count: number): MetricPoint[] {
  const events = Array.from({ length: count }, (_, i): readonly RunEvent[] => [
    stepOf(i + 1),
    { kind: 'gradient-norms', step: i + 1, norms: { 'fc1.weight': 0.25 + i } },
  ]).flat();
  const evaluation: RunEvent = {
    ...{ kind: 'evaluation', step: count, epoch: 0, split: 'test', sampleCount: 9 },
    ...{ lossMean: 0.75, accuracy: 0.875, evaluateMs: 1 },
  };
  return [...events, evaluation].map(
    (event, i) => pointOf(event, START_MS + 500 * i) ?? assert.fail('a point'),
  );
}

/** Fields of a message of protobuf, read by a reader of its own. */
function fieldsOf(bytes: Buffer): { field: number; value: number | Buffer }[] {
  const fields = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++]!;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const [field, type] = [key >> 3, key & 7];
    if (type === 0) fields.push({ field, value: varint() });
    else if (type === 1) fields.push({ field, value: bytes.readDoubleLE((at += 8) - 8) });
    else if (type === 5) fields.push({ field, value: bytes.readFloatLE((at += 4) - 4) });
    else {
      const length = varint();
      fields.push({ field, value: bytes.subarray(at, (at += length)) });
    }
  }
  return fields;
}

function valuesAt(bytes: Buffer, field: number): (number | Buffer)[] {
  return fieldsOf(bytes).flatMap((one) => (one.field === field ? one.value : []));
}

/** CRC-32C bit by bit, as its definition has it. */
function crc32c(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f6_3b78 : 0);
  }
  return ~crc >>> 0;
}

function masked(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282_ead8) >>> 0;
}

/** Events of a file for TensorBoard, each after a look at its checksums. */
function tensorBoardEvents(file: Buffer): Buffer[] {
  const events = [];
  for (let at = 0; at < file.length;) {
    const length = Number(file.readBigUInt64LE(at));
    assert.equal(file.readUInt32LE(at + 8), masked(file.subarray(at, at + 8)));
    const data = file.subarray(at + 12, at + 12 + length);
    assert.equal(file.readUInt32LE(at + 12 + length), masked(data));
    events.push(data);
    at += length + 16;
  }
  return events;
}

/** Records of a file for W&B, put together from their parts in blocks. */
function wandbRecords(file: Buffer): Buffer[] {
  assert.deepEqual(file.subarray(0, 7), Buffer.from(':W&B\xe1\xbe\0', 'latin1'));
  const records: Buffer[] = [];
  let parts: Buffer[] = [];
  for (let at = 7; at < file.length;) {
    const room = 32_768 - (at % 32_768);
    if (room < 7) {
      assert.ok(file.subarray(at, at + room).every((byte) => byte === 0));
      at += room;
      continue;
    }
    const [sum, length, kind] = [file.readUInt32LE(at), file.readUInt16LE(at + 4), file[at + 6]!];
    assert.ok(length + 7 <= room, 'no part is in two blocks');
    const data = file.subarray(at + 7, at + 7 + length);
    assert.equal(sum, crc32(Buffer.concat([Buffer.from([kind]), data])));
    assert.equal(kind === 1 || kind === 2, parts.length === 0, 'parts are in order');
    parts.push(data);
    if (kind === 1 || kind === 4) {
      records.push(Buffer.concat(parts));
      parts = [];
    }
    at += 7 + length;
  }
  return records;
}

function itemsOf(message: Buffer): Record<string, unknown> {
  const items = valuesAt(message, 1).map((item) => {
    const [key] = valuesAt(item as Buffer, 1);
    const [json] = valuesAt(item as Buffer, 16);
    return [String(key), JSON.parse(String(json)) as unknown];
  });
  return Object.fromEntries(items) as Record<string, unknown>;
}

describe('tensorBoardRecord', () => {
  test('has the very numbers of the run, step by step', () => {
    const all = points(50);

    const file = Buffer.concat([tensorBoardHead(START_MS), ...all.map(tensorBoardRecord)]);
    const [head, ...events] = tensorBoardEvents(file);

    assert.equal(String(valuesAt(head!, 3)[0]), 'brain.Event:2');
    const read = events.map((event) => ({
      step: valuesAt(event, 2)[0],
      timeMs: (valuesAt(event, 1)[0] as number) * 1000,
      values: Object.fromEntries(
        valuesAt(valuesAt(event, 5)[0] as Buffer, 1).map((value) => [
          String(valuesAt(value as Buffer, 1)[0]),
          valuesAt(value as Buffer, 2)[0],
        ]),
      ),
    }));
    const expected = all.map(({ step, timeMs, values }) => ({
      ...{ step, timeMs },
      values: Object.fromEntries(Object.entries(values).map(([k, v]) => [k, Math.fround(v)])),
    }));
    assert.deepEqual(read, expected);
  });
});

describe('WandbLog', () => {
  test('has the very numbers of the run, a line a step, in blocks', () => {
    const all = points(600);
    const log = new WandbLog(RUN);

    const file = Buffer.concat([
      log.begin(),
      ...all.map((one) => log.add(one)),
      log.end('finished'),
    ]);
    const records = wandbRecords(file);

    assert.ok(file.length > 3 * 32_768);
    assert.deepEqual(
      records.map((record) => valuesAt(record, 1)[0]),
      records.map((_, i) => i + 1),
    );
    const kinds = records.map((record) => fieldsOf(record)[1]!.field);
    assert.deepEqual(kinds, [21, 17, ...all.slice(0, 600).map(() => 2), 3, 18, 20, 22]);
    const run = valuesAt(records[1]!, 17)[0] as Buffer;
    assert.deepEqual(
      [1, 3, 8, 13].map((field) => String(valuesAt(run, field)[0])),
      [...['abcd1234', 'lab', 'night', 'desk']],
    );
    assert.deepEqual(itemsOf(valuesAt(run, 4)[0] as Buffer), RUN.config);
    const lines = records
      .flatMap((record) => valuesAt(record, 2))
      .map((one) => itemsOf(one as Buffer));
    const merged = new Map<number, Record<string, number>>();
    for (const { step, values } of all) merged.set(step, { ...merged.get(step), ...values, step });
    assert.deepEqual(
      lines.map(({ _step, _runtime, _timestamp, ...values }) => values),
      [...merged.values()],
    );
    assert.deepEqual(
      lines.map(({ _step }) => _step),
      lines.map((_, i) => i),
    );
    const exit = valuesAt(records.at(-3)!, 18)[0] as Buffer;
    assert.deepEqual(valuesAt(exit, 1), [0]);
  });

  test('puts a record that is larger than a block into several parts, and numbers that are none', () => {
    const log = new WandbLog({ ...RUN, config: { long: 'x'.repeat(100_000) } });

    const file = Buffer.concat([
      ...[log.begin(), log.add({ step: 1, timeMs: START_MS, values: { loss: NaN } })],
      log.end('failed'),
    ]);
    const records = wandbRecords(file);

    const config = itemsOf(valuesAt(valuesAt(records[1]!, 17)[0] as Buffer, 4)[0] as Buffer);
    assert.equal(String(config['long']).length, 100_000);
    const [line] = valuesAt(records[2]!, 2);
    assert.ok(String(line).includes('NaN'));
    assert.deepEqual(valuesAt(valuesAt(records.at(-3)!, 18)[0] as Buffer, 1), [1]);
  });
});
