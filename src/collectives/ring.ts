/**
 * Ring all-reduce (Patarasuk and Yuan, 2009): the sum is cut into one chunk per rank. Each chunk
 * goes once around the ring and is added to at every rank (reduce-scatter), then once more as the
 * total (all-gather). So a rank sends 2 (n - 1) / n times the bytes of a sum, whatever n is.
 *
 * Chunks travel in segments, each of which is received where its total will be and passed on as soon
 * as it is there. A rank whose own sum is not ready takes in what comes: that is at most a sum.
 *
 * Two short sums have room, and take turns. What is still to be sent of one is never overwritten by
 * the one after the next: its first segment comes after everybody has the total of the next one, to
 * which this rank's part was sent behind all of the first. So a total stays until this rank has
 * begun the next sum, and all have its total. Of long sums there is room for one: its
 * total is given once all of it has left, and the few segments of the next one that come before that
 * wait.
 */
import { invariant, ProtocolError } from '../base/errors.ts';
import { type Kernels, loadKernels } from '../kernels/kernels.ts';
import { reserveMemory } from '../kernels/reserve-memory.ts';
import type { Collective, CollectiveOptions, GroupPlace } from './collective.ts';
import { RingEnds } from './ring-ends.ts';

const SEGMENT_BYTES = 512 << 10;
/**
 * How many segments a rank may be ahead of what it has received: enough for links of gigabits, few
 * enough for the memory that carries payloads on one machine, and for the processor's cache.
 */
const MAX_AHEAD = 4;
/** Of longer sums there is one in memory, not two. */
const MAX_DOUBLE_BYTES = 64 << 20;
/** What 128-bit vectors hold. */
const UNIT_BYTES = 16;

/** A part of a sum. */
interface Segment {
  readonly offset: number;
  readonly byteLength: number;
  /** Whether it is a total, or the sum of the ranks that it has come by. */
  readonly isTotal: boolean;
  /** It goes no further. */
  readonly isLast: boolean;
}

/** Header of a frame between neighbours, with a segment as payload. */
interface SegmentHeader {
  readonly kind: 'segment';
  /** That of `reduce`. */
  readonly sequence: number;
  /** Of the segments that this neighbour sends for this sum, from 0. */
  readonly index: number;
}

/** What a rank adds, and who gets the total. */
interface Part {
  readonly own: Uint8Array;
  readonly done: (total: Uint8Array) => void;
  readonly onHeard: (() => void) | undefined;
}

/** A segment of the next sum, in memory of its own. */
interface Waiting {
  readonly header: SegmentHeader;
  readonly payload: Uint8Array;
}

/** A rank of a ring. */
export class Ring implements Collective {
  readonly #place: GroupPlace;
  readonly #ends: RingEnds;
  readonly #memory: WebAssembly.Memory;
  readonly #kernels: Kernels;
  /** All segments that come from the previous rank for one sum, in their order. */
  readonly #expected: readonly Segment[];
  /** All segments that go to the next rank, in their order: its own chunk, then what comes. */
  readonly #outgoing: readonly Segment[];
  /** Segments of the own chunk. */
  readonly #ownCount: number;
  /** How many sums have room. */
  readonly #places: 1 | 2;
  /** Segments of a long sum that have not left yet. */
  #unflushed = 0;
  readonly #waiting: Waiting[] = [];
  /** Where the sum under way lies in the memory: the first place or the second. */
  #base = 0;
  /** That of the sum under way; undefined before its first segment and `reduce`. */
  #sequence: number | undefined;
  /** Undefined until `reduce`. */
  #part: Part | undefined;
  #received = 0;
  #sent = 0;
  #lastSequence = -1;

  /** Of sums of more than `maxDoubleBytes` there is one in memory, unless totals are kept. */
  constructor(options: CollectiveOptions, maxDoubleBytes = MAX_DOUBLE_BYTES) {
    const { byteLength, isTotalKept = false } = options;
    invariant(byteLength > 0 && byteLength % UNIT_BYTES === 0, 'a sum has whole units');
    this.#place = options;
    this.#expected = segmentsReceived(options);
    const own = segmentsOf(options, options.index);
    this.#ownCount = own.length;
    this.#outgoing = [...own, ...this.#expected.filter(({ isLast }) => !isLast)];
    this.#places = byteLength > maxDoubleBytes && !isTotalKept ? 1 : 2;
    // The sums, and a segment of one's own that is to be added.
    const bytes = this.#places * byteLength + Math.min(byteLength, SEGMENT_BYTES);
    this.#memory = reserveMemory(bytes, { shared: false, what: 'sums of gradients' });
    this.#kernels = loadKernels(this.#memory, false);
    this.#ends = new RingEnds(options, {
      maxPayloadBytes: SEGMENT_BYTES,
      onFrame: (header, payload) => this.#receive(parseHeader(header), payload),
      payloadTarget: (header, length) => this.#targetOf(parseHeader(header), length),
    });
  }

  reduce(
    sequence: number,
    own: Uint8Array,
    done: (total: Uint8Array) => void,
    onHeard?: () => void,
  ): void {
    if (this.#ends.isOver) return;
    invariant(this.#part === undefined, 'a sum begins after the one before');
    invariant(sequence > this.#lastSequence, 'the numbers of sums rise');
    invariant(own.length === this.#place.byteLength, 'sums of a group have one length');
    if (this.#sequence !== undefined && this.#sequence !== sequence)
      return this.#ends.break(
        new ProtocolError(`ring: expected sum ${sequence}, got sum ${this.#sequence}`),
        'previous',
      );
    this.#sequence = sequence;
    this.#part = { own, done, onHeard };
    if (this.#received > 0) onHeard?.();
    for (const segment of this.#expected.slice(0, this.#received)) this.#addOwn(segment, own);
    this.#proceed(this.#part);
  }

  close(): void {
    this.#ends.close();
  }

  /** Where a segment is received; what came before goes nowhere. */
  #targetOf({ sequence, index }: SegmentHeader, length: number): Uint8Array | undefined {
    if (this.#ends.isOver || this.#isKnown(sequence, index)) return undefined;
    if (this.#isDraining) return undefined;
    return this.#bytesOf(this.#nextSegment(sequence, index, length));
  }

  #receive(header: SegmentHeader, payload: Uint8Array): void {
    const { sequence, index } = header;
    if (this.#ends.isOver || this.#isKnown(sequence, index)) return;
    if (this.#isDraining) return this.#keepWaiting({ header, payload });
    const segment = this.#nextSegment(sequence, index, payload.length);
    this.#sequence = sequence;
    this.#received++;
    if (this.#part === undefined) return;
    if (this.#received === 1) this.#part.onHeard?.();
    this.#addOwn(segment, this.#part.own);
    this.#proceed(this.#part);
  }

  /** All of a long sum is there, and not all of it has left. */
  get #isDraining(): boolean {
    return this.#unflushed > 0 && this.#received === this.#expected.length;
  }

  #keepWaiting(waiting: Waiting): void {
    // The same may come twice.
    if (this.#waiting.length > 2 * MAX_AHEAD)
      throw new ProtocolError('ring: the previous rank is too far ahead');
    this.#waiting.push(waiting);
  }

  #takeWaiting(): void {
    for (const { header, payload } of this.#waiting.splice(0)) {
      this.#targetOf(header, payload.length)?.set(payload);
      this.#receive(header, payload);
    }
  }

  /** Whether it came before. */
  #isKnown(sequence: number, index: number): boolean {
    return (
      sequence <= this.#lastSequence || (sequence === this.#sequence && index < this.#received)
    );
  }

  /** The segment that must come now. */
  #nextSegment(sequence: number, index: number, length: number): Segment {
    const segment = this.#expected[index];
    const isNext = index === this.#received && sequence === (this.#sequence ?? sequence);
    if (!isNext || segment === undefined || (segment.isTotal && this.#part === undefined))
      throw new ProtocolError(
        `ring: expected segment ${this.#received} of sum ${this.#sequence ?? 'to come'}, got ` +
          `segment ${index} of sum ${sequence}`,
      );
    if (length !== segment.byteLength)
      throw new ProtocolError(
        `ring: expected a segment of ${segment.byteLength} bytes, got ${length}`,
      );
    return segment;
  }

  /** Adds the own numbers to what has come, unless it is a total. */
  #addOwn({ offset, byteLength, isTotal }: Segment, own: Uint8Array): void {
    if (isTotal) return;
    const scratch = this.#places * this.#place.byteLength;
    this.#bytes(scratch, byteLength).set(own.subarray(offset, offset + byteLength));
    this.#kernels.addInt32(this.#base + offset, scratch, byteLength / 4);
  }

  #proceed({ own, done }: Part): void {
    const isComplete = this.#received === this.#expected.length;
    const mostAhead = isComplete ? Infinity : this.#received + MAX_AHEAD;
    const most = Math.min(this.#ownCount + this.#received, mostAhead, this.#outgoing.length);
    while (this.#sent < most) this.#sendNext(own);
    if (isComplete && !this.#isDraining) this.#finish(done);
  }

  #sendNext(own: Uint8Array): void {
    const index = this.#sent++;
    const segment = this.#outgoing[index];
    invariant(segment !== undefined, 'there is a segment to send');
    const { offset, byteLength } = segment;
    const isOwn = index < this.#ownCount;
    const header: SegmentHeader = { kind: 'segment', sequence: this.#sequence ?? 0, index };
    const payload = isOwn ? own.subarray(offset, offset + byteLength) : this.#bytesOf(segment);
    if (this.#places === 2) return this.#ends.send(header, payload);
    this.#unflushed++;
    this.#ends.send(header, payload, () => this.#flushed());
  }

  #flushed(): void {
    this.#unflushed--;
    if (this.#part === undefined || this.#ends.isOver || this.#unflushed > 0) return;
    if (this.#received === this.#expected.length) this.#finish(this.#part.done);
  }

  #finish(done: Part['done']): void {
    const { byteLength } = this.#place;
    const total = this.#bytes(this.#base, byteLength);
    if (this.#places === 2) this.#base = byteLength - this.#base;
    this.#lastSequence = this.#sequence ?? 0;
    this.#sequence = this.#part = undefined;
    this.#received = this.#sent = 0;
    done(total);
    this.#takeWaiting();
  }

  #bytesOf({ offset, byteLength }: Segment): Uint8Array {
    return this.#bytes(this.#base + offset, byteLength);
  }

  #bytes(offset: number, byteLength: number): Uint8Array {
    return new Uint8Array(this.#memory.buffer, offset, byteLength);
  }
}

function parseHeader(header: unknown): SegmentHeader {
  const { kind, sequence, index } = (header ?? {}) as Readonly<Record<string, unknown>>;
  if (kind === 'segment' && isCount(sequence) && isCount(index)) return { kind, sequence, index };
  throw new ProtocolError('ring: expected a segment of a sum');
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

/** The segments of a chunk; none if sums are too short for that many ranks. */
function segmentsOf({ size, byteLength }: GroupPlace, chunk: number): Segment[] {
  const boundary = (c: number): number =>
    Math.floor((byteLength / UNIT_BYTES) * (c / size)) * UNIT_BYTES;
  const end = boundary(chunk + 1);
  const segments: Segment[] = [];
  for (let offset = boundary(chunk); offset < end; offset += SEGMENT_BYTES) {
    const length = Math.min(SEGMENT_BYTES, end - offset);
    segments.push({ offset, byteLength: length, isTotal: false, isLast: false });
  }
  return segments;
}

/** What comes from the previous rank: first all sums so far, then all totals. */
function segmentsReceived(place: GroupPlace): Segment[] {
  const { index, size } = place;
  return Array.from({ length: 2 * (size - 1) }, (_, hop) => {
    const isTotal = hop >= size - 1;
    const isLast = hop === 2 * (size - 1) - 1;
    const chunk = (((index - hop - 1) % size) + size) % size;
    return segmentsOf(place, chunk).map((segment) => ({ ...segment, isTotal, isLast }));
  }).flat();
}
