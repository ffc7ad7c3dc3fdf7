/** Gradient sums at the coordinator: memory for those that come in, and totals that go out. */
import { StarReducer } from '../collectives/star.ts';
import type { Member } from '../membership/member.ts';
import type { Commit } from '../protocol/messages.ts';
import { Broadcast } from '../transport/connection.ts';
import type { Leaving, PassListener } from './pass-listener.ts';
import type { PassSpec } from './pass.ts';

/** Whether the contributions of a pass have sums, which are added up here. */
export function isSummed({ work, reduction }: Pick<PassSpec, 'work' | 'reduction'>): boolean {
  return work === 'train' && reduction === 'star';
}

/** The sum of the pass under way, and the totals of those before that are not all sent. */
export class Sums implements PassListener {
  readonly #reducer: StarReducer;
  /** Memory that each member's contributions are received into. */
  readonly #scratch = new Map<Member, Uint8Array>();
  #isClogged = false;

  constructor(elementCount: number) {
    this.#reducer = new StarReducer(elementCount);
  }

  /** Bytes of a sum. */
  get byteLength(): number {
    return this.#reducer.byteLength;
  }

  /** Whether no pass could begin because all totals are on their way. */
  get isClogged(): boolean {
    return this.#isClogged;
  }

  /** Makes room for the sum of a pass; false while all totals are on their way to somebody. */
  begin(pass: Pick<PassSpec, 'work' | 'reduction'>): boolean {
    this.#isClogged = isSummed(pass) && !this.#reducer.begin();
    return !this.#isClogged;
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

  /** Adds the sum of one contribution. */
  add(sum: Uint8Array): void {
    this.#reducer.add(sum);
  }

  /** The checksum of a sum, 0 to 2^32 - 1. */
  checksumOf(sum: Uint8Array): number {
    return this.#reducer.checksumOf(sum);
  }

  /** Sends `commit`, with the total if there is one; `onFlushed` at every receiver that has it. */
  send(commit: Commit, pass: PassSpec, receivers: readonly Member[], onFlushed: () => void): void {
    if (!isSummed(pass)) {
      for (const { link } of receivers) link.sendData(commit);
      return;
    }
    const total = this.#reducer.finish();
    const payload = new Broadcast(total.bytes);
    for (const { link } of receivers) {
      total.retain();
      link.sendData(commit, payload, () => {
        total.release();
        onFlushed();
      });
    }
    total.release();
  }

  /** Whoever is lost needs no memory any more. */
  left({ how, member }: Leaving): void {
    if (how !== 'lost') return;
    const scratch = this.#scratch.get(member);
    if (scratch !== undefined) this.#reducer.returnScratch(scratch);
    this.#scratch.delete(member);
  }
}
