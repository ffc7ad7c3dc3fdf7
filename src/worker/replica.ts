/**
 * The state that the worker's engine has, or will have once it has done what it was given, and what
 * the worker owes about it: commits that wait for their turn, a copy, a digest.
 */
import type { Clock } from '../base/clock.ts';
import { invariant } from '../base/errors.ts';
import type { Commit, ToCoordinator } from '../protocol/messages.ts';
import { MAX_PIECE_BYTES } from '../protocol/peer-messages.ts';
import type { Engine } from '../runtime/engine.ts';
import type { CoordinatorLink } from './coordinator-link.ts';

interface PendingCommit {
  readonly commit: Commit;
  readonly totals: Uint8Array | undefined;
}

/** A state on its way to the coordinator, part by part: what else is said goes between them. */
interface Outgoing {
  readonly step: number;
  /** Absent until the engine gives it. */
  bytes?: Uint8Array;
  sent: number;
}

interface NewState {
  readonly step: number;
  readonly serial: number;
  readonly bytes: Uint8Array;
}

/** What was asked about the state after `step` updates; `ask` comes back with the answer. */
interface DigestRequest {
  readonly step: number;
  readonly ask: number;
}

/** Commits that may wait while a lane finishes a micro-batch that others have taken over. */
const MAX_WAITING_COMMITS = 256;

/** One copy of the run's state. Commit n is applied to state n only. */
export class Replica {
  readonly #clock: Clock;
  readonly #link: CoordinatorLink;
  readonly #onApplied: () => void;
  /** What updates took that nobody has been told of. */
  #updateMs = 0;
  /** Updates in the state; undefined without a state. */
  #step: number | undefined;
  /** Updates given to the engine and not applied yet. */
  #applying = 0;
  #newState: NewState | undefined;
  #lastSerial = 0;
  #commits: PendingCommit[] = [];
  /** Lies where a new state could come in. */
  #outgoing: Outgoing | undefined;
  /** Digests that follow the state which is on its way. */
  #answers: ToCoordinator[] = [];
  /** The steps of whose state a copy, or a digest, is asked for. */
  #stateRequest: number | undefined;
  #digestRequest: DigestRequest | undefined;

  /** `onApplied` is called whenever an update is done. */
  constructor(clock: Clock, link: CoordinatorLink, onApplied: () => void) {
    this.#clock = clock;
    this.#link = link;
    this.#onApplied = onApplied;
  }

  /** Updates in the state once the engine has done what it was given; undefined without a state. */
  get step(): number | undefined {
    return this.#step;
  }

  /** What updates took since this was last asked, milliseconds. */
  takeUpdateMs(): number {
    const ms = this.#updateMs;
    this.#updateMs = 0;
    return ms;
  }

  /** Whether a state is on its way that lies where the engine would put another one. */
  get isSending(): boolean {
    return this.#outgoing !== undefined;
  }

  /** Takes a commit, with totals unless the sum is the engine's own; false when too many wait. */
  receiveCommit(commit: Commit, payload: Uint8Array): boolean {
    if (this.#commits.length + this.#applying >= MAX_WAITING_COMMITS) return false;
    this.#commits.push({ commit, totals: payload.length === 0 ? undefined : payload });
    return true;
  }

  /** The engine has done the update of the present step by itself. */
  advanceBy({ step }: Commit): void {
    invariant(step === this.#step, 'the engine goes on from the state that it has');
    this.#step = step + 1;
  }

  /**
   * Takes a state in place of the present one; what was to be done to that is void. One that came
   * before is ignored.
   */
  receiveState(state: NewState): void {
    if (state.serial <= this.#lastSerial) return;
    this.#lastSerial = state.serial;
    this.#newState = state;
    this.#commits = [];
    this.#forgetRequests();
  }

  /** Goes on from a state that this worker had before. */
  goOnFrom(step: number, bytes: Uint8Array): void {
    this.#newState = { step, serial: this.#lastSerial, bytes };
  }

  /** Does what can be done with what has come; nobody is answered any more. */
  settle(engine: Engine): void {
    this.#forgetRequests();
    while (this.advance(engine) !== 'nothing');
  }

  /** A copy of the state after `step` updates is wanted, as soon as it is there. */
  requestState(step: number): void {
    this.#stateRequest = step;
  }

  /** The digest of the state after some updates is wanted, as soon as it is there. */
  requestDigest({ step, ask }: DigestRequest): void {
    this.#digestRequest = { step, ask };
  }

  /** Memory of the engine that the payload of a message can be received into. */
  payloadTarget(kind: unknown, engine: Engine | undefined): Uint8Array | undefined {
    // A waiting commit may have its totals in the engine's memory.
    if (kind === 'commit' && this.#commits.length === 0) return engine?.totalsTarget();
    if (kind !== 'state' || this.#newState !== undefined || this.isSending) return undefined;
    // What was asked of the state before this one is void, and must not be put where this one comes
    // in.
    this.#forgetRequests();
    return engine?.stateTarget();
  }

  /**
   * Gives the engine the one thing that comes next: `imported` when that is another state,
   * `nothing` when all is done until another message comes.
   */
  advance(engine: Engine): 'imported' | 'advanced' | 'nothing' {
    if (this.#newState !== undefined) {
      this.#import(engine, this.#newState);
      return 'imported';
    }
    if (this.#step === undefined) return 'nothing';
    const next = this.#commits[0];
    if (this.#stateRequest === this.#step) this.#export(engine, this.#step);
    else if (next !== undefined && next.commit.step <= this.#step) {
      this.#commits.shift();
      if (next.commit.step === this.#step) this.#apply(engine, next);
    } else if (this.#digestRequest?.step === this.#step)
      this.#sendDigest(engine, this.#digestRequest);
    else return 'nothing';
    return 'advanced';
  }

  #import(engine: Engine, { step, bytes }: NewState): void {
    this.#newState = undefined;
    this.#step = step;
    engine.importState(bytes, () => {});
  }

  #apply(engine: Engine, { commit, totals }: PendingCommit): void {
    const step = commit.step + 1;
    this.#step = step;
    this.#applying++;
    const startedMs = this.#clock.now();
    engine.apply(commit, totals, (norms) => {
      this.#applying--;
      this.#updateMs += this.#clock.now() - startedMs;
      if (norms.length > 0) this.#link.sendSoon({ kind: 'applied', step, norms: [...norms] });
      this.#onApplied();
    });
  }

  #export(engine: Engine, step: number): void {
    this.#stateRequest = undefined;
    const outgoing: Outgoing = { step, sent: 0 };
    this.#outgoing = outgoing;
    engine.exportState((bytes) => {
      outgoing.bytes = bytes;
      this.#sendNext(outgoing);
    });
  }

  /** The next part follows when this one is on its way. */
  #sendNext(outgoing: Outgoing): void {
    const { step, bytes, sent: offset } = outgoing;
    if (this.#outgoing !== outgoing || bytes === undefined) return;
    if (offset === bytes.length) {
      this.#outgoing = undefined;
      for (const answer of this.#answers.splice(0)) this.#link.sendData(answer);
      return;
    }
    const part = bytes.slice(offset, offset + MAX_PIECE_BYTES);
    outgoing.sent += part.length;
    // An end of the connection is told after its flushes.
    const goOn = (): void => void this.#clock.after(0, () => this.#sendNext(outgoing));
    this.#link.sendData({ kind: 'state', step, offset }, part, goOn);
  }

  #sendDigest(engine: Engine, { step, ask }: DigestRequest): void {
    this.#digestRequest = undefined;
    engine.digest((weightsDigest, stateDigest) => {
      const answer = { kind: 'digest', step, ask, weightsDigest, stateDigest } as const;
      if (this.isSending) this.#answers.push(answer);
      else this.#link.sendData(answer);
    });
  }

  #forgetRequests(): void {
    this.#stateRequest = this.#digestRequest = this.#outgoing = undefined;
    this.#answers = [];
  }
}
