/** Why a run on many workers is not the run on one, as far as two result files tell. */
import {
  constantRatio,
  growsFromRounding,
  hasEqualShares,
  learnsNothing,
  meanLogRatio,
  relativeDifferences,
  relativeSpeed,
  ROUNDING,
  sampleCountOf,
  varianceOfUnweighted,
} from './curve-evidence.ts';
import type { LossCurve } from './loss-curve.ts';
import { differentSettings } from './run-settings.ts';

/** What a difference can look like; a person reads it as in `LOOKS_LIKE`. */
export const LOOKS_LIKE = {
  'not-finite': 'a loss that is not finite',
  'different-data':
    'different data, initial weights or model: the losses differ before the first update',
  'different-loss':
    'the same training, with the loss counted differently (a sum for a mean, or the reverse)',
  'missing-exchange': 'missing gradient exchange: every worker follows its own part of the data',
  'wrong-weighting':
    'wrong weighting of unequal shares: workers count alike, whatever their samples',
  'corrupted-worker': 'one corrupted worker: updates that are wrong from one step on',
  'other-hyperparameters': 'other hyperparameters: the same start, but updates of another size',
  'diverging-updates': 'wrong updates from the first on: the run does not learn',
  rounding: 'rounding, not a mistake in the method: differences begin tiny and grow step by step',
  'final-state': 'a difference that no loss shows: in the last update, or in the optimizer state',
} as const;
/** A cause that a difference of two runs can have. */
export type Cause = keyof typeof LOOKS_LIKE;

/** A cautious answer: what it looks like, what speaks for it, and what else would look the same. */
export interface Diagnosis {
  readonly cause: Cause;
  readonly looks_like: string;
  /**
   * First step in which the runs differ by more than rounding, else in which they differ at all.
   */
  readonly first_diverging_step: number | null;
  readonly evidence: readonly string[];
  readonly alternatives: readonly Cause[];
}

/** Differences from here on are no longer a matter of rounding, whatever the tolerance. */
const CLEARLY_APART = 0.01;

/** What a difference looks like. The runs must have the same steps. */
export function diagnose(single: LossCurve, multi: LossCurve, tolerance: number): Diagnosis {
  const differences = relativeDifferences(single, multi);
  const differing = differences.findIndex((difference) => difference > 0);
  const large = differences.findIndex(
    (difference) => difference > Math.max(tolerance, CLEARLY_APART),
  );
  const jump = differences.findIndex((difference) => difference > ROUNDING);
  const first = jump < 0 ? differing : jump;
  const settings = differentSettings(single.config, multi.config);
  const found = causeOf({
    single,
    multi,
    differences,
    first,
    large: large < 0 ? differences.length - 1 : large,
    areSettingsEqual: settings.length === 0,
  });
  return {
    cause: found.cause,
    looks_like: LOOKS_LIKE[found.cause],
    first_diverging_step: single.steps[first]?.step ?? null,
    evidence: [
      ...found.evidence,
      ...(settings.length === 0
        ? []
        : [`the files name different settings: ${settings.join(', ')}`]),
    ],
    alternatives: found.alternatives ?? [],
  };
}

interface Found {
  readonly cause: Cause;
  readonly evidence: readonly string[];
  readonly alternatives?: readonly Cause[];
}

interface Sight {
  readonly single: LossCurve;
  readonly multi: LossCurve;
  readonly differences: readonly number[];
  /**
   * Position of the first difference beyond rounding, or of the first at all; -1: there is none.
   */
  readonly first: number;
  /** Position of the first that is clear to see, or the last position. */
  readonly large: number;
  /** Settings as far as both files name them. */
  readonly areSettingsEqual: boolean;
}

function causeOf(sight: Sight): Found {
  const { single, multi, differences, first, large } = sight;
  const wrong = [single, multi].flatMap(({ path, steps }) =>
    steps
      .filter(({ loss }) => !Number.isFinite(loss))
      .slice(0, 1)
      .map(({ step, loss }) => ({ path, step, loss })),
  );
  if (wrong.length > 0)
    return {
      cause: 'not-finite',
      evidence: wrong.map(
        ({ path, step, loss }) => `the loss of step ${step} in ${path} is ${loss}`,
      ),
    };
  if (first < 0) return { cause: 'final-state', evidence: ['all losses are the same'] };
  if (growsFromRounding(differences, large)) return rounding(sight);
  if (first === 0) return differentStart(sight);
  if (first > 1) return laterDivergence(sight);
  return earlyDivergence(sight);
}

function rounding({ single, differences, large }: Sight): Found {
  const begin = differences.findIndex((difference) => difference > 0);
  return {
    cause: 'rounding',
    evidence: [
      `the first difference, in step ${single.steps[begin]?.step}, is ` +
        `${percent(differences[begin] ?? 0)}, and it reaches ` +
        `${percent(differences[large] ?? 0)} in step ${single.steps[large]?.step} without a jump`,
    ],
    alternatives: ['corrupted-worker'],
  };
}

function differentStart({ single, multi, differences }: Sight): Found {
  const factor = constantRatio(single, multi);
  if (factor !== undefined)
    return {
      cause: 'different-loss',
      evidence: [`every loss of the multi run is ${factor.toPrecision(6)} times the single run's`],
    };
  const [one, other] = [single.steps[0], multi.steps[0]];
  const samples = [one, other].map((step) => step && sampleCountOf(step));
  const areDifferent = samples.every((count) => count !== undefined) && samples[0] !== samples[1];
  return {
    cause: 'different-data',
    evidence: [
      `in the first step the losses are ${one?.loss} and ${other?.loss} ` +
        `(${percent(differences[0] ?? 0)} apart), before any update`,
      ...(areDifferent
        ? [`the first step has ${samples[0]} samples in one and ${samples[1]} in the other`]
        : []),
    ],
  };
}

/**
 * Explains runs that were equal for an update or more: the step before the difference went wrong.
 */
function laterDivergence({ single, multi, differences, first }: Sight): Found {
  const [before, at] = [multi.steps[first - 1], single.steps[first]];
  const agreement =
    `steps ${single.steps[0]?.step} to ${single.steps[first - 1]?.step} agree ` +
    `${differences.slice(0, first).every((one) => one === 0) ? 'exactly' : 'within rounding'}; ` +
    `step ${at?.step} differs by ${percent(differences[first] ?? 0)}, so the update of step ` +
    `${before?.step} was another`;
  const shares = multi.steps.slice(0, first).map(hasEqualShares);
  if (shares.at(-1) === false && shares.slice(0, -1).every((isEqual) => isEqual === true))
    return {
      cause: 'wrong-weighting',
      evidence: [
        agreement,
        `step ${before?.step} is the first with unequal shares (${sharesText(before)})`,
      ],
      alternatives: ['corrupted-worker'],
    };
  const earlier = multi.steps[first - 2];
  const newcomers = [...(before?.samples.keys() ?? [])].filter(
    (worker) => earlier?.samples.has(worker) === false,
  );
  return {
    cause: 'corrupted-worker',
    evidence: [
      agreement,
      ...(newcomers.length > 0 && earlier !== undefined && earlier.samples.size > 0
        ? [`step ${before?.step} is the first with work of worker ${newcomers.join(', ')}`]
        : []),
      ...(learnsNothing(multi) && !learnsNothing(single)
        ? ['from there on the run learns nothing any more']
        : []),
    ],
  };
}

/** Steps in which a run's noise has not yet taken over. */
const EARLY_STEPS = 6;
/**
 * In real runs only a larger step size brings the early losses down so far, and only a smaller one
 * keeps them up so long.
 */
const FASTER = -0.06;
const SLOWER = 0.55;
/**
 * Replicas on parts of the data end so far above; unweighted means of shares like 3 to 1 do not.
 */
const DRIFT = 0.18;
/** With shares as unequal as 7 to 1, an unweighted mean is as noisy as no exchange between two. */
const NOISY_AS_NO_EXCHANGE = 1.8;

/** The very first update was another: everything that is wrong all the time. */
function earlyDivergence(sight: Sight): Found {
  const { single, multi, differences, first } = sight;
  const start =
    'the first losses agree, and the difference begins with the first update ' +
    `(${percent(differences[first] ?? 0)} in step ${single.steps[first]?.step})`;
  if (learnsNothing(multi) && !learnsNothing(single))
    return {
      cause: 'diverging-updates',
      evidence: [start, 'the multi run ends no better than it began, the single run learns'],
      alternatives: ['corrupted-worker', 'other-hyperparameters'],
    };
  if (!sight.areSettingsEqual) return { cause: 'other-hyperparameters', evidence: [start] };
  const early = meanLogRatio(single, multi, first, EARLY_STEPS);
  const speed = relativeSpeed(single, multi);
  if (early < FASTER || (speed !== undefined && speed < SLOWER))
    return {
      cause: 'other-hyperparameters',
      evidence: [
        start,
        early < FASTER
          ? "in the first steps the multi run's loss falls faster (on average " +
            `${percent(1 - Math.exp(early))} lower), which neither missing exchange nor wrong ` +
            'weighting does'
          : `the multi run comes to the same losses ${speed?.toFixed(2)} times as fast, as with ` +
            'smaller updates',
      ],
      alternatives: ['corrupted-worker'],
    };
  if (isAlone(multi))
    return {
      cause: 'other-hyperparameters',
      evidence: [
        start,
        'the multi run has one worker, so there was nothing to exchange or to weigh',
      ],
      alternatives: ['corrupted-worker'],
    };
  return exchangeOrWeighting(sight, start);
}

function isAlone({ workerCount, steps }: LossCurve): boolean {
  const counts = steps.map(({ samples }) => samples.size);
  return (workerCount ?? 2) < 2 || counts.every((count) => count === 1);
}

function exchangeOrWeighting({ single, multi, first }: Sight, start: string): Found {
  const drift = meanLogRatio(single, multi, first, single.steps.length);
  const above =
    `over all steps the multi run's loss lies ${percent(Math.abs(Math.exp(drift) - 1))} ` +
    `${drift < 0 ? 'below' : 'above'} the single run's`;
  const shared = multi.steps[0];
  const areEqual = shared && hasEqualShares(shared);
  if (areEqual === true)
    return {
      cause: 'missing-exchange',
      evidence: [
        start,
        above,
        'all workers had equally many samples, so weighting cannot be the reason',
      ],
      alternatives: ['corrupted-worker', 'other-hyperparameters'],
    };
  if (areEqual === undefined || shared === undefined)
    return {
      cause: 'missing-exchange',
      evidence: [start, above, 'the file does not tell the samples of each worker'],
      alternatives: ['wrong-weighting', 'corrupted-worker', 'other-hyperparameters'],
    };
  const isNoisy = varianceOfUnweighted(shared) >= NOISY_AS_NO_EXCHANGE;
  const cause = drift > DRIFT && !isNoisy ? 'missing-exchange' : 'wrong-weighting';
  return {
    cause,
    evidence: [
      start,
      above,
      `shares are unequal (${sharesText(shared)}); an unweighted mean of them ` +
        (isNoisy
          ? 'may well do as much'
          : cause === 'wrong-weighting'
            ? 'does as much'
            : 'would do less'),
    ],
    alternatives: [
      cause === 'wrong-weighting' ? 'missing-exchange' : 'wrong-weighting',
      'corrupted-worker',
    ],
  };
}

function sharesText(step: LossCurve['steps'][number] | undefined): string {
  return [...(step?.samples ?? [])]
    .map(([worker, count]) => `worker ${worker}: ${count}`)
    .join(', ');
}

/** A share of one as a percentage of three digits. */
function percent(share: number): string {
  return Number.isFinite(share) ? `${Number((share * 100).toPrecision(3))}%` : 'infinitely much';
}
