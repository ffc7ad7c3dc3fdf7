/**
 * A worker that has lost its coordinator takes its state along: it belongs to the run, which may go
 * on from there when its coordinator is started again.
 */
import type { Clock } from '../base/clock.ts';
import { copyOf } from '../base/shortage.ts';
import type { Job } from '../protocol/messages.ts';
import type { Engine } from '../runtime/engine.ts';
import type { OwnCourse } from './own-course.ts';
import type { OwnSteps } from './own-steps.ts';
import type { Peers } from './peers.ts';
import type { Replica } from './replica.ts';

/** What is computed ends by then, and for a long micro-batch later: as long as that may take. */
const PATIENCE_MS = 10_000;
const PATIENCE_TRIALS = 4;

/** What a worker has of a run when it is in it no more. */
export interface Luggage {
  readonly job: Job;
  /** Updates in the state. */
  readonly step: number;
  readonly bytes: Uint8Array;
  readonly stateDigest: string;
  readonly ownSteps: OwnSteps;
}

/** What a worker consists of that parts. */
export interface PartingOptions {
  readonly clock: Clock;
  readonly engine: Engine;
  readonly replica: Replica;
  readonly own: OwnCourse;
  readonly peers: Pick<Peers, 'close'>;
  /** What a micro-batch takes, if that is known. */
  readonly trialMs: number | undefined;
}

/** What was taken along; undefined if there is no state, or it could not be had in time. */
type TakenState = Pick<Luggage, 'step' | 'bytes' | 'stateDigest'>;

/**
 * Ends what the engine does, and takes its state; calls back once, at the latest when `cancel`,
 * which is given back, is called.
 */
export function part(
  { clock, engine, replica, own, peers, trialMs = PATIENCE_MS }: PartingOptions,
  onParted: (state: TakenState | undefined) => void,
): { cancel(): void } {
  let isOver = false;
  const end = (state?: TakenState): void => {
    if (isOver) return;
    isOver = true;
    deadline.cancel();
    peers.close();
    onParted(state);
  };
  const deadline = clock.after(PATIENCE_MS + PATIENCE_TRIALS * trialMs, () => end());
  own.part(engine, () => {
    if (isOver) return;
    peers.close();
    // What is not begun will not be missed; what was granted to this worker alone is short.
    if (!own.isUnderWay) engine.release(Number.MAX_SAFE_INTEGER);
    replica.settle(engine);
    if (replica.step === undefined) return end();
    let taken: Omit<TakenState, 'stateDigest'> | undefined;
    engine.exportState((state) => {
      // What was granted to this worker alone is done by then.
      const [{ step }, bytes] = [replica, copyOf(state)];
      if (step !== undefined && bytes !== undefined) taken = { step, bytes };
    });
    engine.digest((_, stateDigest) => end(taken && { ...taken, stateDigest }));
  });
  return { cancel: () => end() };
}
