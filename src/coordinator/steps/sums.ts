/**
 * Gradient sums at the coordinator: memory for those that come in, totals that go out, and the
 * commits of the last steps for members that are behind.
 */
import { invariant } from '../../base/errors.ts';
import { mostPackedBytes, packSum, unpackSum } from '../../collectives/packed-sum.ts';
import { StarReducer, type Total } from '../../collectives/star.ts';
import type { Member } from '../../membership/member.ts';
import type { Commit } from '../../protocol/messages.ts';
import { Broadcast } from '../../transport/connection.ts';
import type { Leaving, PassListener } from './pass-listener.ts';
import type { PassSpec } from './pass.ts';

/** Whether the contributions of a pass have sums, which are added up here. */
export function isSummed({ work, reduction }: Pick<PassSpec, 'work' | 'reduction'>): boolean {
  return work === 'train' && reduction === 'star';
}

/** Has the length of no sum: a payload that cannot be unpacked. */
const NO_SUM = new Uint8Array(1);

/** Counts the most bytes that a sum of `elementCount` elements takes on its way. */
export function mostSumBytes(elementCount: number, isPacked: boolean): number {
  return isPacked ? mostPackedBytes(elementCount) : 4 * elementCount;
}

/** A commit that can still be sent, with its total unless the pass was reduced alone. */
interface KeptCommit {
  readonly commit: Commit;
  readonly total: Total | undefined;
}

/** The sum of the pass under way, and the totals of those before. */
export class Sums implements PassListener {
  readonly #reducer: StarReducer;
  /** Memory that each member's contributions are received into. */
  readonly #scratch = new Map<Member, Uint8Array>();
  /** Where sums travel packed: the last one that came, unpacked. */
  readonly #unpacked: Uint8Array | undefined;
  /** By step, oldest first; every one keeps its total from being reused. */
  readonly #kept = new Map<number, KeptCommit>();

  constructor(elementCount: number, isPacked = false) {
    this.#reducer = new StarReducer(elementCount);
    if (isPacked) this.#unpacked = new Uint8Array(this.#reducer.byteLength);
  }

  /** Bytes of a sum. */
  get byteLength(): number {
    return this.#reducer.byteLength;
  }

  /**
   * Makes room for the sum of a pass, for which the oldest commits are forgotten; false while all
   * totals are on their way to somebody.
   */
  begin(pass: Pick<PassSpec, 'work' | 'reduction'>): boolean {
    if (!isSummed(pass)) return true;
    while (!this.#reducer.begin()) {
      const [oldest] = this.#kept.keys();
      if (oldest === undefined) return false;
      this.#forget(oldest);
    }
    return true;
  }

  /** Memory for the payload of a frame that `member` is sending, if it can be a sum. */
  targetFor(member: Member, kind: unknown, byteLength: number): Uint8Array | undefined {
    if (kind !== 'contribution' || byteLength !== this.byteLength) return undefined;
    const kept = this.#scratch.get(member);
    // Only who has the state can contribute; whoever has not yet may never give the memory back.
    if (kept !== undefined || member.phase !== 'active') return kept;
    const taken = this.#reducer.takeScratch();
    if (taken !== undefined) this.#scratch.set(member, taken);
    return taken;
  }

  /**
   * What came with a contribution as a sum that can be added, if it is one; it is overwritten by
   * the next.
   */
  received(payload: Uint8Array): Uint8Array {
    if (this.#unpacked === undefined || payload.length === 0) return payload;
    return unpackSum(payload, this.#unpacked) ? this.#unpacked : NO_SUM;
  }

  /** Adds the sum of one contribution. */
  add(sum: Uint8Array): void {
    this.#reducer.add(sum);
  }

  /** The checksum of a sum, 0 to 2^32 - 1. */
  checksumOf(sum: Uint8Array): number {
    return this.#reducer.checksumOf(sum);
  }

  /** Keeps `commit` with the total of its pass; with `isOnly` none of the commits before. */
  keep(commit: Commit, pass: PassSpec, isOnly: boolean): void {
    if (isOnly) this.forgetAll();
    const total = isSummed(pass) ? this.#finish() : undefined;
    this.#kept.set(commit.step, { commit, total });
  }

  /** Whether all commits from that of `step` to the newest are kept, with totals. */
  reachesBack(step: number, newestStep: number): boolean {
    for (let s = step; s < newestStep; s++)
      if (this.#kept.get(s)?.total === undefined) return false;
    return true;
  }

  /** Sends the commit of `step`, which is kept; `onFlushed` for each receiver that has it. */
  send(step: number, receivers: readonly Member[], onFlushed: (member: Member) => void): void {
    const kept = this.#kept.get(step);
    invariant(kept !== undefined, `the commit of step ${step} is kept`);
    const { commit, total } = kept;
    const payload = total === undefined ? undefined : new Broadcast(total.bytes);
    for (const member of receivers) {
      total?.retain();
      member.link.sendData(commit, payload, () => {
        total?.release();
        onFlushed(member);
      });
    }
  }

  /** Forgets the commits of the last steps: the run goes on from another state. */
  forgetAll(): void {
    for (const step of [...this.#kept.keys()]) this.#forget(step);
  }

  /** Whoever is lost needs no memory any more. */
  left({ how, member }: Leaving): void {
    if (how !== 'lost') return;
    const scratch = this.#scratch.get(member);
    if (scratch !== undefined) this.#reducer.returnScratch(scratch);
    this.#scratch.delete(member);
  }

  #finish(): Total {
    const total = this.#reducer.finish();
    if (this.#unpacked === undefined) return total;
    const bytes = packSum(total.bytes);
    total.release();
    return { bytes, retain: () => {}, release: () => {} };
  }

  #forget(step: number): void {
    this.#kept.get(step)?.total?.release();
    this.#kept.delete(step);
  }
}
