/** The end of a run: the final state, and what every replica says of its own. */
import type { Member } from '../membership/member.ts';
import type { RunParts } from './run-parts.ts';
import type { RunResult } from './coordinator-options.ts';

const NO_DIGEST = { weightsDigest: '', stateDigest: '' };

/** Collects the final state and every replica's digest of it. */
export class RunEnding {
  readonly #parts: RunParts;
  #isUnderWay = false;

  constructor(parts: RunParts) {
    this.#parts = parts;
  }

  /** Whether all steps were done and workers are asked for digests of their state. */
  get isUnderWay(): boolean {
    return this.#isUnderWay;
  }

  /**
   * Whether the state after the last update is kept, which an evaluation that may take long is not
   * to put at risk; if not, it is asked for. Without anybody who has it there is nothing to keep.
   */
  secure(): boolean {
    const { plan, trajectory } = this.#parts;
    const isLast = trajectory.work === 'evaluate' && trajectory.step === plan.totalSteps;
    return !isLast || this.keep();
  }

  /** Whether the present state is kept, or nobody has it; if not, it is asked for. */
  keep(): boolean {
    const { roster, states, trajectory } = this.#parts;
    if (trajectory.isKept || roster.membersIn('active').length === 0) return true;
    if (!states.isFetching) states.fetch();
    return false;
  }

  /**
   * Asks for what is missing. Gives the result once everything is there; `waiting` until then, or
   * `lost` when everyone died after the last commit: then the end of the run is computed again.
   */
  collect(): RunResult | 'waiting' | 'lost' {
    const { roster, states, trajectory } = this.#parts;
    const holders = roster.membersIn('active');
    // Steps may have been undone, too.
    this.#isUnderWay = trajectory.work === 'nothing';
    if (!this.#isUnderWay) return 'lost';
    if (trajectory.isKept) {
      states.askForDigests(holders);
      const isComplete = holders.every((member) => states.digestsOf(member) !== undefined);
      return isComplete ? this.#resultOf(holders) : 'waiting';
    }
    if (holders.length === 0) {
      this.#isUnderWay = false;
      return 'lost';
    }
    if (!states.isFetching) states.fetch();
    return 'waiting';
  }

  #resultOf(holders: readonly Member[]): RunResult {
    const { roster, states, tallies, times, trajectory } = this.#parts;
    return {
      steps: trajectory.step,
      state: trajectory.snapshot.bytes,
      ledger: trajectory.ledger,
      timeSplit: times.split(),
      bytesSent: roster.totalBytes(),
      workers: tallies.of(roster.members()),
      replicaDigests: holders.map((member) => ({
        rank: member.rank,
        ...(states.digestsOf(member) ?? NO_DIGEST),
      })),
    };
  }
}
