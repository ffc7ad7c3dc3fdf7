/** Whether two runs are the same training: step by step, within a tolerance or bit for bit. */
import { type Diagnosis, diagnose } from './diagnose.ts';
import type { CurveStep, LossCurve } from './loss-curve.ts';
import { StructureError } from '../results/read-result.ts';

/** How close the runs have to be. */
export interface Demand {
  /** Part of the single run's loss: 0.01 is one percent. */
  readonly tolerance: number;
  /** Bits of all losses and the digests have to be equal. */
  readonly isExact: boolean;
}

/** One step of both runs; keys as MiniCluster writes them. */
export interface StepComparison {
  readonly step: number;
  readonly single_loss: number | null;
  readonly multi_loss: number | null;
  /** Null where a loss is not finite. */
  readonly delta: number | null;
  /** Null where it is infinite: the single run's loss is 0, the other's is not. */
  readonly delta_percent: number | null;
  readonly passed: boolean;
  readonly tolerance: number;
  /** With `--exact`. */
  readonly bits_equal?: boolean;
}

/** The report of `validate`; keys as MiniCluster writes them, and ours. */
export interface ValidationReport {
  readonly single_run_path: string;
  readonly multi_run_path: string;
  readonly tolerance: number;
  readonly num_steps_compared: number;
  readonly num_steps_passed: number;
  readonly num_steps_failed: number;
  readonly overall_passed: boolean;
  readonly summary: string;
  readonly exact: boolean;
  /** Whether weights and optimizer states are equal; null where one of the files has no digest. */
  readonly digests_equal: boolean | null;
  /** The first step whose losses are not the same, however close; null when all are. */
  readonly first_different_step: number | null;
  readonly first_failed_step: number | null;
  /** Why it fails, as far as the files tell. */
  readonly diagnosis?: Diagnosis;
  readonly step_comparisons: readonly StepComparison[];
}

/**
 * Compares two runs. Throws StructureError when their steps are not the same ones, or lack what
 * `--exact` compares.
 */
export function compareRuns(single: LossCurve, multi: LossCurve, demand: Demand): ValidationReport {
  const pairs = pairSteps(single, multi);
  if (demand.isExact) for (const run of [single, multi]) requireBits(run);
  const steps = pairs.map(([one, other]) => compareStep(one, other, demand));
  const failed = steps.filter(({ passed }) => !passed);
  const digestsEqual = compareDigests(single, multi);
  const passed = failed.length === 0 && (!demand.isExact || digestsEqual === true);
  return {
    single_run_path: single.path,
    multi_run_path: multi.path,
    tolerance: demand.tolerance,
    num_steps_compared: steps.length,
    num_steps_passed: steps.length - failed.length,
    num_steps_failed: failed.length,
    overall_passed: passed,
    summary: summaryOf(steps.length, failed, digestsEqual, demand),
    exact: demand.isExact,
    digests_equal: digestsEqual,
    first_different_step: steps.find(({ delta }) => delta !== 0)?.step ?? null,
    first_failed_step: failed[0]?.step ?? null,
    ...(!passed && { diagnosis: diagnose(single, multi, demand.tolerance) }),
    step_comparisons: steps,
  };
}

function pairSteps(single: LossCurve, multi: LossCurve): (readonly [CurveStep, CurveStep])[] {
  if (single.steps.length !== multi.steps.length)
    throw new StructureError(
      `comparing runs: expected as many steps in both, got ${single.steps.length} in ` +
        `${single.path} and ${multi.steps.length} in ${multi.path}. Did one end early, or was ` +
        'it started with another --steps?',
    );
  return single.steps.map((one, index) => {
    const other = multi.steps[index];
    if (other === undefined || other.step !== one.step)
      throw new StructureError(
        `comparing runs: expected step ${one.step} at position ${index} of both, got step ` +
          `${other?.step} in ${multi.path}`,
      );
    return [one, other];
  });
}

function requireBits({ path, steps }: LossCurve): void {
  const without = steps.find(({ lossBits }) => lossBits === undefined);
  if (without !== undefined)
    throw new StructureError(
      `comparing ${path} bit for bit: step ${without.step} has no loss_bits. Write the file ` +
        'with `lockstep run`, or leave --exact out',
    );
}

function compareStep(
  one: CurveStep,
  other: CurveStep,
  { tolerance, isExact }: Demand,
): StepComparison {
  const delta = one.loss === other.loss ? 0 : Math.abs(one.loss - other.loss);
  const percent = delta === 0 ? 0 : (delta / Math.abs(one.loss)) * 100;
  const areBitsEqual = one.lossBits === other.lossBits;
  const isFinite = Number.isFinite(one.loss) && Number.isFinite(other.loss);
  return {
    step: one.step,
    single_loss: orNull(one.loss),
    multi_loss: orNull(other.loss),
    delta: isFinite ? delta : null,
    delta_percent: isFinite ? orNull(percent) : null,
    passed: isFinite && percent <= tolerance * 100 && (!isExact || areBitsEqual),
    tolerance,
    ...(isExact && { bits_equal: areBitsEqual }),
  };
}

function compareDigests(single: LossCurve, multi: LossCurve): boolean | null {
  const [one, other] =
    single.stateDigest !== undefined && multi.stateDigest !== undefined
      ? [single.stateDigest, multi.stateDigest]
      : [single.weightsDigest, multi.weightsDigest];
  return one === undefined || other === undefined
    ? null
    : one.toLowerCase() === other.toLowerCase();
}

/** Gives a fraction in percent, to two places unless these would all be 0. */
export function percentText(fraction: number): string {
  const percent = fraction * 100;
  const isTiny = percent > 0 && percent < 0.01;
  return `${isTiny ? percent.toPrecision(2) : percent.toFixed(2)}%`;
}

function summaryOf(
  count: number,
  failed: readonly StepComparison[],
  digestsEqual: boolean | null,
  { tolerance, isExact }: Demand,
): string {
  const bound = isExact ? 'bit for bit' : `within ${percentText(tolerance)} tolerance`;
  const [first] = failed;
  if (first !== undefined)
    return (
      `FAILED: ${failed.length} of ${count} steps are not the same ${bound}; the first is step ` +
      `${first.step}: ${lossText(first.single_loss)} and ${lossText(first.multi_loss)}`
    );
  if (isExact && digestsEqual !== true)
    return digestsEqual === null
      ? `FAILED: all ${count} losses are the same bit for bit, but not both files have a digest ` +
          'of the weights'
      : `FAILED: all ${count} losses are the same bit for bit, but the digests of the final ` +
          'states differ';
  const digests = isExact ? ', and so are the digests' : '';
  return isExact
    ? `PASSED: All ${count} steps are the same bit for bit${digests}`
    : `PASSED: All ${count} steps passed correctness check ${bound}`;
}

function lossText(loss: number | null): string {
  return loss === null ? 'a loss that is not finite' : `loss ${loss}`;
}

function orNull(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
