/** `fault-test`: run after run, with a fault or without, and what the detectors made of each. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError, RuntimeError } from '../../base/errors.ts';
import type { TrainConfig } from '../../config/train-config.ts';
import type { DataPlaces } from '../../data/dataset.ts';
import type { SelfCommand } from '../../launch/local-workers.ts';
import { alarmText } from './alarms.ts';
import { type Fault, FAULTS } from './fault-catalogue.ts';
import {
  type FaultPlan,
  injectorOf,
  type Injector,
  NO_FAULT,
  obstacleTo,
  planFault,
} from './fault-injectors.ts';
import { judgeFault, type ObservedRun } from './fault-verdict.ts';
import { observeRun } from './observe-run.ts';
import type { FaultReport, FaultResult } from '../results/result.ts';
import { isoOf } from '../results/timestamp.ts';
import { DEFAULT_WORKLOAD, workloadConfig, type WorkloadName } from '../watch/workloads.ts';

/** What is tested, and how. */
export interface FaultTestOptions extends BenchOptions {
  /** Undefined for all that can be injected on this machine. */
  readonly faults: readonly Fault[] | undefined;
  /** Seed of the first round, plus 1 for each further one: all that is random follows from it. */
  readonly seed: number;
  /** How many times every fault is injected. */
  readonly rounds: number;
  readonly onResult?: (result: FaultResult) => void;
}

/** What all runs of the test have in common. */
interface BenchOptions {
  readonly workers: number;
  /** Steps of every run. */
  readonly steps: number;
  /** Part of the steps that are audited. */
  readonly audit: number;
  /** How far losses may be from the control's, as a part of them, where digests differ. */
  readonly tolerance: number;
  readonly places: DataPlaces;
  readonly self: SelfCommand;
  readonly signal: AbortSignal;
  /** A run begins: a fault's name or `control`. */
  readonly onRun?: (name: string, seed: number) => void;
}

/**
 * A run takes less, unless something hangs: a frozen worker costs five seconds, a slow one half a
 * second per step.
 */
const DEADLINE_MS = 120_000;

/** Characters of a log that go into a message. */
const MAX_LAST_WORDS = 1_000;

/** Fewer leave no room for a fault to begin and to be seen. */
export const LEAST_STEPS = 8;

/** Runs everything, with a clean run in every round, and sums up. Throws: ConfigError. */
export async function runFaultTest(options: FaultTestOptions): Promise<FaultReport> {
  const { faults, seed, rounds } = options;
  for (const fault of faults ?? []) {
    const obstacle = obstacleTo(fault);
    if (obstacle !== undefined)
      throw new ConfigError(`--faults: ${fault.name} cannot be injected here: ${obstacle}`);
  }
  const bench = new TestBench(options);
  try {
    const results: FaultResult[] = [];
    for (let round = 0; round < rounds; round++) {
      for (const fault of faults ?? FAULTS) {
        const result = await bench.try(fault, seed + round);
        results.push(result);
        options.onResult?.(result);
      }
    }
    return sumUp(options, results, bench.controls);
  } finally {
    bench.clear();
  }
}

/** A clean run, and what it was for. */
export interface Control {
  readonly workload: WorkloadName;
  readonly seed: number;
  readonly run: ObservedRun;
}

/** Does the runs, in a folder of their own. */
export class TestBench {
  readonly controls: Control[] = [];
  readonly #options: BenchOptions;
  readonly #folder = mkdtempSync(join(tmpdir(), 'lockstep-fault-test-'));
  #runs = 0;

  constructor(options: BenchOptions) {
    this.#options = options;
  }

  /** Injects one fault, and judges what came of it. */
  async try(fault: Fault, seed: number): Promise<FaultResult> {
    const { workers, steps, tolerance } = this.#options;
    const plan = planFault(fault, { workers, steps, seed });
    const obstacle = obstacleTo(fault);
    if (obstacle !== undefined) return notInjected(plan, obstacle);
    const control = await this.control(fault.workload, seed);
    const injector = injectorOf(plan);
    const run = await this.#run(fault.name, fault.workload, seed, injector);
    const injection = injector.injection();
    return judgeFault({ fault, affectedRank: plan.rank, seed, injection, run, control, tolerance });
  }

  /** The clean run of this workload and seed. Throws RuntimeError when it does not end well. */
  async control(workload: WorkloadName, seed: number): Promise<ObservedRun> {
    const known = this.controls.find((each) => each.workload === workload && each.seed === seed);
    if (known !== undefined) return known.run;
    const run = await this.#run('control', workload, seed, NO_FAULT);
    if (run.end !== 'finished') {
      // Its files go: what they say of the reason must be said here.
      const log = join(this.#folder, `${this.#runs}-control`, 'logs', 'rank_0.log');
      const words = existsSync(log) ? readFileSync(log, 'utf8').trim().slice(-MAX_LAST_WORDS) : '';
      const why =
        run.alarms.map(alarmText).join('; ') || `it was not over after ${DEADLINE_MS / 1000} s`;
      throw new RuntimeError(
        `the clean run that faults are compared with did not end well: ${why}. The log of ` +
          `rank 0 ends with: ${words}`,
      );
    }
    this.controls.push({ workload, seed, run });
    return run;
  }

  /** Removes the files of all runs. */
  clear(): void {
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  async #run(
    name: string,
    workload: WorkloadName,
    seed: number,
    injector: Injector,
  ): Promise<ObservedRun> {
    const { places, self, signal, onRun } = this.#options;
    onRun?.(name, seed);
    return observeRun({
      config: this.#configOf(workload, seed),
      name: `${++this.#runs}-${name}`,
      places,
      self,
      injector,
      deadlineMs: DEADLINE_MS,
      signal,
    });
  }

  #configOf(workload: WorkloadName, seed: number): TrainConfig {
    const { workers, steps, audit } = this.#options;
    return workloadConfig(
      { ...DEFAULT_WORKLOAD, workload, workers, steps, seed },
      { audit, outDir: this.#folder },
    );
  }
}

function notInjected({ fault, rank, seed }: FaultPlan, obstacle: string): FaultResult {
  return {
    fault_type: fault.name,
    affected_rank: rank,
    was_detected: false,
    reason: `not injected: ${obstacle}`,
    named_rank: null,
    seed,
    status: 'not injected',
  };
}

function sumUp(
  options: FaultTestOptions,
  all: readonly FaultResult[],
  controls: readonly Control[],
): FaultReport {
  const { workers, steps, seed, rounds, audit, tolerance } = options;
  const tested = all.filter(({ status }) => status !== 'not injected');
  const detected = tested.filter(({ was_detected: isDetected }) => isDetected).length;
  const missed = tested.length - detected;
  const falseAlarms = controls.flatMap(({ run }) => run.alarms.map(alarmText));
  const [first] = controls;
  return {
    timestamp: isoOf(Date.now()),
    config: { workers, steps, seed, rounds, audit, tolerance },
    num_faults: tested.length,
    num_detected: detected,
    num_missed: missed,
    num_unrecovered: tested.filter(isUnrecovered).length,
    num_not_injected: all.length - tested.length,
    num_false_alarms: falseAlarms.length,
    summary:
      `Fault injection testing complete: ${detected}/${tested.length} faults detected, ` +
      `${missed} missed`,
    results: [...all],
    ...(first !== undefined && {
      control: {
        state_digest: first.run.stateDigest ?? '',
        false_alarms: falseAlarms,
        loss_curve: [...first.run.losses],
      },
    }),
    controls: controls.map(({ workload, seed: of, run }) => ({
      workload,
      seed: of,
      state_digest: run.stateDigest,
      false_alarms: run.alarms.map(alarmText),
      loss_curve: run.losses,
      seconds: run.seconds,
    })),
  };
}

/** Whether a run did not end as if nothing had happened, though it should have. */
export function isUnrecovered(result: FaultResult): boolean {
  return result['expected_to_recover'] === true && result.recovered !== true;
}

/** Whether every fault was detected and survived as it should, and the clean runs were quiet. */
export function isPassed(report: FaultReport): boolean {
  return (
    report.num_missed === 0 && report['num_unrecovered'] === 0 && report['num_false_alarms'] === 0
  );
}
