/** Which policy shares work out best among unequal workers of this machine, measured. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../base/clock.ts';
import type { TrainConfig } from '../../config/train-config.ts';
import { runTraining, type TrainingRunOptions } from '../../launch/training-run.ts';
import type { EventSink } from '../../metrics/event-sink.ts';
import type { RunEvent, StepCommitted } from '../../metrics/events.ts';
import type { BalancePolicy } from '../../plan/balance-policies.ts';

/** What is compared, and who is told how far that is. */
export interface BenchPoliciesOptions extends Pick<
  TrainingRunOptions,
  'places' | 'devices' | 'self' | 'onNote' | 'signal'
> {
  /** Without a policy; `throttle` makes workers unequal. */
  readonly config: TrainConfig;
  readonly policies: readonly BalancePolicy[];
  /** A run begins: what it measures, in words. */
  readonly onRun: (what: string) => void;
}

/** One policy. */
interface PolicyFigures {
  readonly policy: BalancePolicy;
  readonly samples_per_second: number;
  /** Of what the workers do alone, added up; 0 to 1 and beyond. */
  readonly part_of_sum: number;
  /** (longest - shortest) / longest of what workers computed, 0..1. */
  readonly imbalance: number;
  readonly state_digest: string | undefined;
}

/** All of them, and what they are measured by. */
export interface PolicyComparison {
  readonly workers: number;
  readonly throttle: readonly number[];
  readonly micro_batches: number;
  /** What one worker does alone, by its throttle; one for each there is. */
  readonly alone: readonly { readonly throttle: number; readonly samples_per_second: number }[];
  /** What all workers would do that cost each other nothing. */
  readonly sum_alone: number;
  readonly policies: readonly PolicyFigures[];
}

const NAME = 'bench-policies';
/** The part of a run in which speeds are learnt, and that is not measured. */
const WARM_UP = 1 / 3;
/** Steps of a worker alone are so many at least. */
const LEAST_STEPS = 12;

/**
 * Trains once with each policy, and with one worker alone for each throttle that there is;
 * undefined when interrupted. Effect: files of these runs are in a temporary folder, and do not stay.
 *
 * Throws: LockstepError when a run cannot start or go on.
 */
export async function benchPolicies(
  options: BenchPoliciesOptions,
): Promise<PolicyComparison | undefined> {
  const { config, policies, onRun } = options;
  const { workers, throttle: given, globalBatch, microBatch } = config;
  const throttle = Array.from({ length: workers }, (_, i) => given[i % given.length] ?? 1);
  const alone: { throttle: number; samples_per_second: number }[] = [];
  for (const factor of new Set(throttle)) {
    onRun(`one worker alone, ${factor === 1 ? 'not slowed down' : `${factor} times slower`}`);
    const steps = config.steps && Math.max(LEAST_STEPS, Math.ceil(config.steps / factor));
    const figures = await measure(options, { workers: 1, throttle: [factor], steps });
    if (figures === undefined) return undefined;
    alone.push({ throttle: factor, samples_per_second: figures.samplesPerSecond });
  }
  const speedOf = (factor: number): number =>
    alone.find((one) => one.throttle === factor)?.samples_per_second ?? 0;
  const sum_alone = throttle.reduce((sum, factor) => sum + speedOf(factor), 0);
  const figures: PolicyFigures[] = [];
  for (const policy of policies) {
    onRun(policy);
    const measured = await measure(options, { loadBalancePolicy: policy });
    if (measured === undefined) return undefined;
    const { samplesPerSecond: samples_per_second, imbalance, digest: state_digest } = measured;
    const part_of_sum = samples_per_second / sum_alone;
    figures.push({ policy, samples_per_second, part_of_sum, imbalance, state_digest });
  }
  const micro_batches = globalBatch / microBatch;
  return { workers, throttle, micro_batches, alone, sum_alone, policies: figures };
}

interface Measured {
  readonly samplesPerSecond: number;
  readonly imbalance: number;
  readonly digest: string | undefined;
}

/** One run; undefined when interrupted. */
async function measure(
  { config, places, devices, self, onNote, signal }: BenchPoliciesOptions,
  changes: Partial<TrainConfig>,
): Promise<Measured | undefined> {
  const steps = new TimedSteps();
  const outDir = mkdtempSync(join(tmpdir(), `${NAME}-`));
  try {
    const { status, stateDigest } = await runTraining({
      config: { ...config, ...changes, outDir, checkpointEvery: 'never' },
      ...{ name: NAME, places, devices, self, onNote, signal },
      startedMs: systemClock.now(),
      onListening: () => {},
      sinks: [steps],
    });
    return status === 'finished' ? { ...steps.figures(), digest: stateDigest } : undefined;
  } finally {
    rmSync(outDir, { recursive: true, force: true });
  }
}

/** Steps, and when they were heard of. */
class TimedSteps implements EventSink {
  readonly #steps: { readonly step: StepCommitted; readonly atMs: number }[] = [];

  onEvent(event: RunEvent): void {
    if (event.kind === 'step') this.#steps.push({ step: event, atMs: systemClock.now() });
  }

  /** Of the steps after the first ones. */
  figures(): Pick<Measured, 'samplesPerSecond' | 'imbalance'> {
    const [first, ...steps] = this.#steps.slice(Math.floor(WARM_UP * this.#steps.length));
    const last = steps.at(-1);
    if (first === undefined || last === undefined) return { samplesPerSecond: 0, imbalance: 0 };
    const samples = steps.reduce((sum, { step }) => sum + step.sampleCount, 0);
    const busy = new Map<number, number>();
    for (const { step } of steps)
      for (const { rank, computeMs } of step.ranks)
        busy.set(rank, (busy.get(rank) ?? 0) + computeMs);
    const longest = Math.max(...busy.values());
    return {
      samplesPerSecond: (1000 * samples) / (last.atMs - first.atMs),
      imbalance: (longest - Math.min(...busy.values())) / longest,
    };
  }
}
