/** Where a variation begins: the state of another run, which other settings train on. */
import { LockstepError } from '../base/errors.ts';
import type { Manifest, Parent, RunHistory } from '../checkpoint/manifest.ts';
import type { Snapshot } from '../coordinator/steps/trajectory.ts';
import { NO_LOSSES } from '../plan/divergence.ts';
import type { RunPlan } from '../plan/run-plan.ts';
import { optimizerRegionsOf } from '../state/state-layout.ts';
import { planAt, refuseDone, type ResumePoint, stateAt } from './resume-point.ts';

/** The state that a variation begins with, and whose it is. */
export interface ForkPoint {
  /** As a new run's checkpoints name it. */
  readonly parent: Parent;
  readonly manifest: Manifest;
  /** The plan of the parent. */
  readonly plan: RunPlan;
  readonly bytes: Uint8Array;
}

/** Reads a checkpoint for a variation; `changed`: the settings that differ. */
export async function readForkPoint(
  point: ResumePoint,
  run: string,
  changed: Parent['changed'],
): Promise<ForkPoint> {
  const { manifest } = point;
  const { step, stateDigest } = manifest;
  const plan = await planAt(point);
  const parent = { run, step, stateDigest, changed };
  return { parent, manifest, plan, bytes: await stateAt(point, plan) };
}

/** Where a variation stands when it begins, and what is told of the steps before. */
export interface ForkedBeginning {
  readonly snapshot: Snapshot;
  readonly history: RunHistory;
}

/**
 * Begins a run of this plan with the state of another one.
 *
 * Throws: ConfigError when there are no steps left; CHECKPOINT_INVALID, with what differs, when the
 *         plan trains other tensors.
 */
export function forkedBeginning(fork: ForkPoint, plan: RunPlan): ForkedBeginning {
  const { manifest, plan: had, bytes, parent } = fork;
  const { step, standing, history, weightsDigest, stateDigest } = manifest;
  refuseDone(parent.run, manifest, plan);
  const differing = differences(had, plan);
  if (differing.length > 0)
    throw new LockstepError(
      'CHECKPOINT_INVALID',
      [
        `varying ${parent.run} from step ${step}: its state does not fit. Weights alone go into ` +
          'another run by `lockstep checkpoint export` to a .onnx, and --model. What differs:',
        ...differing,
      ],
      { differing },
    );
  const { maxima, ledger, losses } = standing;
  const isSame = hasSameData(had, plan);
  return {
    snapshot: {
      step,
      maxima: isSame ? maxima : undefined,
      ledger,
      losses: isSame ? { ...NO_LOSSES, firstLoss: losses.firstLoss } : NO_LOSSES,
      evaluatedStep: isSame ? standing.evaluatedStep : -1,
      bytes,
      digests: { weightsDigest, stateDigest },
    },
    history: isSame ? withoutDivergence(history) : { epoch: -1, epochLoss: 0, epochSteps: 0 },
  };
}

function withoutDivergence(history: RunHistory): RunHistory {
  const { epoch, epochLoss, epochSteps, evaluation } = history;
  return { epoch, epochLoss, epochSteps, ...(evaluation && { evaluation }) };
}

/** What of two plans must be the same for a state of one to be a state of the other. */
function differences(had: RunPlan, has: RunPlan): string[] {
  const groundsOf = ({ job, update, stateBytes, units }: RunPlan): Record<string, unknown> => ({
    strategy: job.strategy,
    'a step is': units.step,
    parameters: job.parameters,
    'what the optimizer keeps': optimizerRegionsOf(update.optimizer),
    'bytes of the state': stateBytes,
  });
  const [before, now] = [groundsOf(had), groundsOf(has)];
  return Object.keys(now).flatMap((key) => {
    const [x, y] = [JSON.stringify(before[key]), JSON.stringify(now[key])];
    if (x === y) return [];
    return [key === 'parameters' ? firstOther(had, has) : `${key}: ${x}, and now ${y}`];
  });
}

/** Names the first parameter that is another one. */
function firstOther(had: RunPlan, has: RunPlan): string {
  const [before, now] = [had.job.parameters, has.job.parameters];
  const text = (one: RunPlan['job']['parameters'][number] | undefined): string =>
    one === undefined ? 'none' : `${one.name} [${one.shape.join(', ')}]`;
  const longest = before.length > now.length ? before : now;
  const at = longest.findIndex((_, i) => text(before[i]) !== text(now[i]));
  return `parameter ${at}: ${text(before[at])}, and now ${text(now[at])}`;
}

/** Whether both train on the same samples in the same steps, and evaluate the same. */
function hasSameData(had: RunPlan, has: RunPlan): boolean {
  const groundsOf = ({ job, train, evaluate, passesPerEpoch }: RunPlan): string =>
    JSON.stringify([job.dataDigest, job.microBatch, train, evaluate, passesPerEpoch]);
  return groundsOf(had) === groundsOf(has);
}
