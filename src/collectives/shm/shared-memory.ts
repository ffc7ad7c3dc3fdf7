/**
 * All-reduce through memory that the ranks of one machine have in common. Every rank puts down the
 * slices that others add, adds its own slice of everybody, and all read one total: nothing is sent.
 *
 * Ranks wait for each other at barriers: before a piece is added, and behind the last one. Who waits
 * looks for a moment; then it asks to be woken, by a frame around the ring, and the event loop goes
 * on. A rank that is lost is noticed by its connections.
 */
import { systemClock } from '../../base/clock.ts';
import { invariant, ProtocolError } from '../../base/errors.ts';
import type { Collective, CollectiveOptions, GroupPlace } from '../collective.ts';
import { RingEnds } from '../ring-ends.ts';
import type { SharedSum } from './shared-sum.ts';

/** How long a rank looks before it asks to be woken: about what being woken takes. */
const LOOK_MS = 0.05;
/** Looks between two looks at the clock. */
const LOOKS = 50;

/** What a rank adds, and who gets the total. */
interface Part {
  readonly sequence: number;
  readonly own: Uint8Array;
  readonly done: (total: Uint8Array) => void;
  readonly onHeard: (() => void) | undefined;
}

/** What a rank of a group on one machine is made from. */
export interface SharedMemoryParts {
  readonly sum: SharedSum;
  /** `LOOK_MS` if absent. */
  readonly lookMs?: number | undefined;
  /** Lets go of the memory; called once. */
  readonly release: () => void;
}

/** Sent on from rank to rank. */
interface Wake {
  readonly kind: 'wake';
  /** How many ranks it still reaches, this one included. */
  readonly hops: number;
}

/** A rank of a group on one machine. */
export class SharedMemory implements Collective {
  readonly #place: GroupPlace;
  readonly #ends: RingEnds;
  readonly #sum: SharedSum;
  readonly #lookMs: number;
  #part: Part | undefined;
  #lastSequence = -1;
  /** The piece that is put down next, or waited for; that behind the last one is the end. */
  #piece = 0;
  #isAtBarrier = false;
  #isAdvancing = false;

  constructor(options: CollectiveOptions, { sum, lookMs, release }: SharedMemoryParts) {
    this.#place = options;
    this.#sum = sum;
    this.#lookMs = lookMs ?? LOOK_MS;
    this.#ends = new RingEnds(
      options,
      { maxPayloadBytes: 0, onFrame: (header) => this.#wake(parseWake(header, options.size)) },
      release,
    );
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
    this.#part = { sequence, own, done, onHeard };
    this.#advance();
  }

  close(): void {
    this.#ends.close();
  }

  #wake({ hops }: Wake): void {
    if (hops > 1) this.#sendWake(hops - 1);
    this.#advance();
  }

  #sendWake(hops: number): void {
    this.#ends.send({ kind: 'wake', hops } satisfies Wake);
  }

  /**
   * Goes on as far as the others let it. A sum that is begun in the callback of the last one waits
   * until that has returned: so no total changes while somebody looks at it.
   */
  #advance(): void {
    if (this.#isAdvancing) return;
    this.#isAdvancing = true;
    try {
      while (this.#part !== undefined && !this.#ends.isOver && this.#reachBarrier(this.#part))
        this.#leaveBarrier(this.#part);
    } finally {
      this.#isAdvancing = false;
    }
  }

  /** Does what comes before the next barrier, once; says whether all others are there. */
  #reachBarrier({ sequence, own }: Part): boolean {
    if (this.#isAtBarrier) return this.#await();
    this.#isAtBarrier = true;
    if (this.#piece < this.#sum.pieceCount) this.#sum.put(this.#piece, [own]);
    this.#sum.arrive(sequence);
    if (!this.#sum.haveAllArrived()) return this.#await();
    // Others may wait: the last one to arrive wakes them.
    const hops = this.#sum.takeSleepers();
    if (hops > 0) this.#sendWake(hops);
    return true;
  }

  #await(): boolean {
    const endMs = systemClock.now() + this.#lookMs;
    do {
      for (let look = 0; look < LOOKS; look++) if (this.#sum.haveAllArrived()) return true;
    } while (systemClock.now() < endMs);
    this.#sum.askToBeWoken();
    return this.#sum.haveAllArrived();
  }

  #leaveBarrier({ sequence, own, done, onHeard }: Part): void {
    this.#isAtBarrier = false;
    const other = this.#piece === 0 ? this.#sum.rankOfOtherSum(sequence) : undefined;
    if (other !== undefined) return this.#breakWith(other, sequence);
    if (this.#piece === 0) onHeard?.();
    if (this.#piece < this.#sum.pieceCount) {
      this.#sum.add(this.#piece++, [own]);
      return;
    }
    this.#piece = 0;
    this.#part = undefined;
    this.#lastSequence = sequence;
    done(this.#sum.total);
  }

  #breakWith(rank: number, sequence: number): void {
    const { index, size } = this.#place;
    const error = new ProtocolError(
      `shared memory: rank ${rank} adds up another sum than ${sequence}`,
    );
    this.#ends.break(error, rank === (index + 1) % size ? 'next' : 'previous');
  }
}

function parseWake(header: unknown, size: number): Wake {
  const { kind, hops } = (header ?? {}) as Readonly<Record<string, unknown>>;
  if (kind === 'wake' && Number.isSafeInteger(hops) && Number(hops) >= 1 && Number(hops) < size)
    return { kind, hops: Number(hops) };
  throw new ProtocolError('shared memory: expected to be woken');
}
