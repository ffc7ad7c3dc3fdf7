/**
 * The file of a W&B run that was offline, which `wandb sync` uploads: a log in blocks, each record
 * a `Record` of protobuf.
 *
 * Source: wandb/sdk/internal/datastore.py, wandb/proto/wandb_internal.proto.
 */
import { crc32 } from 'node:zlib';
import { ProtoWriter } from '../graph/file/proto-writer.ts';
import type { MetricPoint, RunEnd } from './metric-point.ts';

const BLOCK_BYTES = 32_768;
const HEAD_BYTES = 7;
const FILE_HEAD = Buffer.from([0x3a, 0x57, 0x26, 0x42, 0xe1, 0xbe, 0]);
/** Kinds of parts of a record. */
const PART = { whole: 1, first: 2, middle: 3, last: 4 } as const;
const RECORD = {
  num: 1,
  history: 2,
  summary: 3,
  run: 17,
  exit: 18,
  final: 20,
  header: 21,
} as const;
const FOOTER = 22;
const ITEM = { key: 1, valueJson: 16 } as const;
const RUN = { id: 1, project: 3, config: 4, displayName: 8, host: 13, startTime: 17 } as const;
/** The oldest version of W&B that reads what is written here. */
const VERSIONS = { producer: '0.19.0', minConsumer: '0' } as const;

/** A run as W&B names it. */
export interface WandbRun {
  /** Eight letters and digits. */
  readonly id: string;
  readonly project: string;
  readonly name: string;
  readonly host: string;
  readonly startMs: number;
  readonly config: Readonly<Record<string, unknown>>;
}

/** Turns points into the bytes of a file, in order: begin, add, end. */
export class WandbLog {
  readonly #run: WandbRun;
  #position = 0;
  #recordCount = 0;
  #lineCount = 0;
  /** Numbers of the step that is not yet written, since more of it may come. */
  #open: MetricPoint | undefined;
  readonly #summary: Record<string, number> = {};

  constructor(run: WandbRun) {
    this.#run = run;
  }

  /** What the file begins with. */
  begin(): Buffer {
    const { id, project, name, host, startMs, config } = this.#run;
    this.#position = FILE_HEAD.length;
    const header = this.#record(RECORD.header, (inner) =>
      inner.message(1, (versions) => {
        versions.string(1, VERSIONS.producer);
        versions.string(2, VERSIONS.minConsumer);
      }),
    );
    const run = this.#record(RECORD.run, (inner) => {
      inner.string(RUN.id, id);
      inner.string(RUN.project, project);
      inner.message(RUN.config, (all) => writeItems(all, config));
      inner.string(RUN.displayName, name);
      inner.string(RUN.host, host);
      inner.message(RUN.startTime, (time) => {
        time.int(1, Math.floor(startMs / 1000));
        time.int(2, Math.floor(startMs % 1000) * 1_000_000);
      });
    });
    return Buffer.concat([FILE_HEAD, header, run]);
  }

  /** Takes numbers; gives those of the step before, once nothing more of it comes. */
  add(point: MetricPoint): Buffer {
    const before = this.#open;
    if (before?.step === point.step) {
      this.#open = { ...point, values: { ...before.values, ...point.values } };
      return Buffer.alloc(0);
    }
    this.#open = point;
    return before === undefined ? Buffer.alloc(0) : this.#line(before);
  }

  /** What is left, the last values, and how the run ended. */
  end(how: RunEnd): Buffer {
    const last = this.#open === undefined ? Buffer.alloc(0) : this.#line(this.#open);
    const endMs = this.#open?.timeMs ?? this.#run.startMs;
    this.#open = undefined;
    const summary = this.#record(RECORD.summary, (inner) => writeItems(inner, this.#summary));
    const exit = this.#record(RECORD.exit, (inner) => {
      inner.int(1, how === 'finished' ? 0 : 1);
      inner.int(2, Math.round((endMs - this.#run.startMs) / 1000));
    });
    const final = this.#record(RECORD.final, () => {});
    const footer = this.#record(FOOTER, () => {});
    return Buffer.concat([last, summary, exit, final, footer]);
  }

  /** A line of the history. Its number rises whatever the step does, as W&B wants it. */
  #line({ step, timeMs, values }: MetricPoint): Buffer {
    const number = this.#lineCount++;
    const about = {
      _step: number,
      _runtime: (timeMs - this.#run.startMs) / 1000,
      _timestamp: timeMs / 1000,
    };
    Object.assign(this.#summary, values, { step });
    return this.#record(RECORD.history, (inner) => {
      writeItems(inner, { ...values, step, ...about });
      inner.message(2, (message) => message.int(1, number));
    });
  }

  #record(field: number, write: (inner: ProtoWriter) => void): Buffer {
    const record = new ProtoWriter();
    record.int(RECORD.num, ++this.#recordCount);
    record.message(field, write);
    return this.#framed(record.finish());
  }

  /** A record in as many parts as blocks that it is in. */
  #framed(data: Uint8Array): Buffer {
    const pieces: Buffer[] = [];
    let offset = 0;
    do {
      let room = BLOCK_BYTES - (this.#position % BLOCK_BYTES);
      if (room < HEAD_BYTES) {
        pieces.push(Buffer.alloc(room));
        this.#position += room;
        room = BLOCK_BYTES;
      }
      const part = data.subarray(offset, offset + room - HEAD_BYTES);
      const isFirst = offset === 0;
      offset += part.length;
      const isLast = offset === data.length;
      const kind = isFirst ? (isLast ? PART.whole : PART.first) : isLast ? PART.last : PART.middle;
      const head = Buffer.alloc(HEAD_BYTES);
      head.writeUInt32LE(crc32(part, crc32(Buffer.from([kind]))), 0);
      head.writeUInt16LE(part.length, 4);
      head[6] = kind;
      pieces.push(head, Buffer.from(part));
      this.#position += HEAD_BYTES + part.length;
    } while (offset < data.length);
    return Buffer.concat(pieces);
  }
}

function writeItems(target: ProtoWriter, values: Readonly<Record<string, unknown>>): void {
  for (const [key, value] of Object.entries(values))
    target.message(1, (item) => {
      item.string(ITEM.key, key);
      item.string(ITEM.valueJson, jsonOf(value));
    });
}

/** JSON as W&B reads it, which has words for what is no finite number. */
function jsonOf(value: unknown): string {
  if (typeof value !== 'number' || Number.isFinite(value)) return JSON.stringify(value) ?? 'null';
  return Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity';
}
