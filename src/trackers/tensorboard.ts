/**
 * TensorBoard's event files: records with their length and checksums, each an `Event` of protobuf.
 *
 * Source: tensorflow/core/util/event.proto, tensorflow/core/lib/io/record_writer.cc.
 */
import { ProtoWriter } from '../graph/file/proto-writer.ts';
import type { MetricPoint } from './metric-point.ts';

const EVENT = { wallTime: 1, step: 2, fileVersion: 3, summary: 5 } as const;
const SUMMARY_VALUE = 1;
const VALUE = { tag: 1, simpleValue: 2 } as const;
const MASK = 0xa2_82_ea_d8;

/** What every file begins with. */
export function tensorBoardHead(timeMs: number): Buffer {
  const event = new ProtoWriter();
  event.double(EVENT.wallTime, timeMs / 1000);
  event.string(EVENT.fileVersion, 'brain.Event:2');
  return recordOf(event.finish());
}

/** The numbers of a step, one scalar each. */
export function tensorBoardRecord({ step, timeMs, values }: MetricPoint): Buffer {
  const event = new ProtoWriter();
  event.double(EVENT.wallTime, timeMs / 1000);
  event.int(EVENT.step, step);
  event.message(EVENT.summary, (summary) => {
    for (const [tag, number] of Object.entries(values))
      summary.message(SUMMARY_VALUE, (value) => {
        value.string(VALUE.tag, tag);
        value.float(VALUE.simpleValue, number);
      });
  });
  return recordOf(event.finish());
}

function recordOf(data: Uint8Array): Buffer {
  const record = Buffer.alloc(data.length + 16);
  record.writeBigUInt64LE(BigInt(data.length), 0);
  record.writeUInt32LE(maskedChecksum(record.subarray(0, 8)), 8);
  record.set(data, 12);
  record.writeUInt32LE(maskedChecksum(data), 12 + data.length);
  return record;
}

/** CRC-32C, turned and moved, so that a checksum of what holds checksums is none of theirs. */
function maskedChecksum(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) crc = (CRC32C[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  crc = ~crc >>> 0;
  return (((crc >>> 15) | (crc << 17)) + MASK) >>> 0;
}

const CRC32C = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? 0x82f6_3b78 ^ (crc >>> 1) : crc >>> 1;
  return crc >>> 0;
});
