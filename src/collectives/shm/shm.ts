/**
 * The ranks of a group find out whether they have memory in common. Rank 0 makes a file in memory
 * and hands the offer around the ring; whoever cannot take it hands on none. When it is around,
 * rank 0 tells all, again around the ring, what they add up with: that memory, or what else is
 * given. So all have the same, whatever single ranks cannot do.
 */
import { invariant, messageOf, ProtocolError } from '../../base/errors.ts';
import type { LocalOffer } from '../../transport/frame.ts';
import { isOffer } from '../../transport/offered-file.ts';
import type { Collective, CollectiveBody, CollectiveOptions, LentMemory } from '../collective.ts';
import { RingEnds } from '../ring-ends.ts';
import { type CommonMemories, type FoundMemory, MappedFiles } from './common-memories.ts';
import { SharedMemory } from './shared-memory.ts';
import { SharedSum, sharedBytesOf } from './shared-sum.ts';

/** What is used where memory cannot be shared, and who hears why. */
export interface ShmOptions {
  readonly otherwise: CollectiveBody;
  /** Gets one sentence, at the rank that cannot share; once per group. */
  readonly onUnavailable?: (reason: string) => void;
  /** Where memory comes from; files that are mapped if absent. Called once per group. */
  readonly memories?: () => CommonMemories;
  /** How long a rank looks whether the others are there before it asks to be woken. */
  readonly lookMs?: number;
}

/** What ranks tell the next one until they agree. */
type Word =
  | { readonly kind: 'offer'; readonly offer?: LocalOffer }
  | { readonly kind: 'begin'; readonly isShared: boolean };

/** A sum that is begun before the ranks agree. */
type Begun = Parameters<Collective['reduce']>;

/** A body for ranks of one machine: through shared memory where all can share it. */
export function makeShm(shm: ShmOptions): CollectiveBody {
  return (options) => new LocalGroup(options, shm);
}

class LocalGroup implements Collective {
  readonly #options: CollectiveOptions;
  readonly #shm: ShmOptions;
  /** Until there is a body. */
  readonly #ends: RingEnds;
  #memories: CommonMemories | undefined;
  /** Once it is found. */
  #found: FoundMemory | undefined;
  #isReleased = false;
  /** Threads of this process that may look at the memory. */
  #borrowers = 0;
  #wasOffered = false;
  #begun: Begun | undefined;
  #body: Collective | undefined;
  #onAgreed: (() => void) | undefined;

  constructor(options: CollectiveOptions, shm: ShmOptions) {
    this.#options = options;
    this.#shm = shm;
    this.#ends = new RingEnds(
      options,
      { maxPayloadBytes: 0, onFrame: (header) => this.#hear(parseWord(header)) },
      () => this.#release(),
    );
    if (options.index === 0) this.#offer();
  }

  reduce(...begun: Begun): void {
    if (this.#ends.isOver) return;
    if (this.#body !== undefined) return this.#body.reduce(...begun);
    invariant(this.#begun === undefined, 'a sum begins after the one before');
    invariant(begun[1].length === this.#options.byteLength, 'sums of a group have one length');
    this.#begun = begun;
  }

  whenAgreed(agreed: () => void): void {
    if (this.#body === undefined) this.#onAgreed = agreed;
    else agreed();
  }

  lend(): LentMemory | undefined {
    const memory = this.#found?.memory;
    if (!(this.#body instanceof SharedMemory) || memory === undefined) return undefined;
    const { index, size, byteLength } = this.#options;
    let isGivenBack = false;
    this.#borrowers++;
    const giveBack = (): void => {
      if (isGivenBack) return;
      isGivenBack = true;
      this.#borrowers--;
      if (this.#isReleased) this.#release();
    };
    return { common: { index, size, byteLength, memory }, giveBack };
  }

  close(): void {
    if (this.#body === undefined) this.#ends.close();
    else this.#body.close();
  }

  #offer(): void {
    this.#try((memories, byteLength) => memories.make(byteLength));
    this.#tell();
  }

  #consider(offer: LocalOffer): void {
    this.#try((memories, byteLength) => memories.find(offer, byteLength));
    this.#tell();
  }

  /** Tells of what kept us from sharing, in one sentence. */
  #try(share: (memories: CommonMemories, byteLength: number) => FoundMemory | string): void {
    let reason: string;
    try {
      this.#memories = this.#shm.memories?.() ?? new MappedFiles();
      const found = share(this.#memories, sharedBytesOf(this.#options));
      if (typeof found !== 'string') {
        this.#found = found;
        return;
      }
      reason = `memory shared between processes: ${found}`;
    } catch (error) {
      reason = messageOf(error);
    }
    this.#shm.onUnavailable?.(reason);
  }

  /** Hands the offer on, if this rank can take it. */
  #tell(): void {
    const { offer } = this.#found ?? {};
    this.#send({ kind: 'offer', ...(offer && { offer }) });
  }

  #send(word: Word): void {
    this.#ends.send(word);
  }

  #hear(word: Word): void {
    if (this.#ends.isOver) return;
    const { index, size } = this.#options;
    if (word.kind === 'begin') {
      if (index === 0 || !this.#wasOffered || (word.isShared && this.#found === undefined))
        throw new ProtocolError('shared memory: expected an offer before it begins');
      if (index < size - 1) this.#send(word);
      return this.#begin(word.isShared);
    }
    if (this.#wasOffered) throw new ProtocolError('shared memory: offered a second time');
    this.#wasOffered = true;
    if (index === 0) {
      const isShared = word.offer !== undefined && this.#found !== undefined;
      this.#send({ kind: 'begin', isShared });
      return this.#begin(isShared);
    }
    if (word.offer === undefined) this.#tell();
    else this.#consider(word.offer);
  }

  #begin(isShared: boolean): void {
    this.#memories?.withdraw();
    const memory = this.#found?.memory;
    if (!isShared || memory === undefined) {
      this.#release();
      this.#body = this.#shm.otherwise(this.#options);
    } else {
      const sum = new SharedSum(this.#options, memory);
      const parts = { sum, lookMs: this.#shm.lookMs, release: () => this.#release() };
      this.#body = new SharedMemory(this.#options, parts);
    }
    this.#onAgreed?.();
    if (this.#begun !== undefined) this.#body.reduce(...this.#begun);
    this.#begun = undefined;
  }

  /** Who looks at memory that is not common any more sees zeros: that waits for borrowers. */
  #release(): void {
    this.#isReleased = true;
    this.#memories?.withdraw();
    if (this.#borrowers > 0 || this.#found === undefined) return;
    this.#memories?.release(this.#found.memory);
    this.#found = undefined;
  }
}

function parseWord(header: unknown): Word {
  const { kind, offer, isShared } = (header ?? {}) as Readonly<Record<string, unknown>>;
  if (kind === 'begin' && typeof isShared === 'boolean') return { kind, isShared };
  if (kind === 'offer' && offer === undefined) return { kind };
  if (kind === 'offer' && isOffer(offer)) return { kind, offer };
  throw new ProtocolError('shared memory: expected an offer, or word to begin');
}
