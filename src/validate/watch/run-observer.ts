/** Watches a run while it trains: steps, health file, memory and power. */
import type { Clock, Timer } from '../../base/clock.ts';
import { LockstepError } from '../../base/errors.ts';
import type { EventSink } from '../../metrics/event-sink.ts';
import type { RunEvent } from '../../metrics/events.ts';
import { MemoryWatch } from './memory.ts';
import { writeOutput } from '../results/output-file.ts';
import { PowerMeter, type PowerSource } from './power-meter.ts';
import { RunHealth } from './run-health.ts';
import { type Moment, StepRecorder } from './step-recorder.ts';

/** What is watched, and where it is written. */
export interface RunObserverOptions {
  readonly runId: string;
  readonly totalSteps: number;
  readonly healthPath: string;
  /** Name of this machine: processes of others cannot be looked at. */
  readonly host: string;
  readonly power: PowerSource | undefined;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly wallNow: () => number;
  /** The health file cannot be written; told once, and tried again at every look. */
  readonly onFailed: (error: LockstepError) => void;
}

/** Health file, memory and power are looked at this often. */
const INTERVAL_MS = 200;

/** A sink that keeps what a result file needs, and writes the health file meanwhile. */
export class RunObserver implements EventSink {
  readonly steps: StepRecorder = new StepRecorder();
  readonly memory: MemoryWatch = new MemoryWatch();
  readonly #options: RunObserverOptions;
  readonly #health: RunHealth;
  #power: PowerMeter | undefined;
  readonly #processIds = new Map<number, number>();
  #timer: Timer | undefined;
  #hasFailed = false;

  constructor(options: RunObserverOptions) {
    this.#options = options;
    this.#health = new RunHealth(options.runId, options.totalSteps);
  }

  get health(): RunHealth {
    return this.#health;
  }

  get power(): PowerMeter | undefined {
    return this.#power;
  }

  /** Begins; writes the first health file. */
  start(): void {
    this.#writeHealth(false);
    this.#again();
  }

  /** Takes an event at the moment it happens. Between two looks it only counts. */
  onEvent(event: RunEvent): void {
    if (event.kind === 'run-started') this.start();
    const now = this.#now();
    this.steps.add(event, now);
    this.#health.add(event, now.wallMs);
    if (event.kind === 'worker-joined') this.#greet(event.rank, event.processId, event.host);
    // The last moment when all workers are there.
    if (event.kind === 'step' && event.step === this.#options.totalSteps) this.#look();
  }

  /** Ends; the last health file says whether training came to its end. */
  finish(isComplete: boolean): void {
    this.close();
    this.#writeHealth(isComplete);
  }

  /** Stops looking. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#options.power?.close();
  }

  #greet(rank: number, processId: number, host: string): void {
    const { power } = this.#options;
    if (host === this.#options.host) this.#processIds.set(rank, processId);
    // Power is that of training: it counts from the last worker's joining before the first step.
    if (this.steps.count === 0 && power !== undefined) {
      this.#power = new PowerMeter(power);
      this.#power.sample(this.#now(), 0);
    }
  }

  #look(): void {
    this.memory.sample(this.#processIds.values());
    this.#power?.sample(this.#now(), this.steps.count);
  }

  #again(): void {
    this.#timer = this.#options.clock.after(INTERVAL_MS, () => {
      this.#look();
      this.#writeHealth(false);
      this.#again();
    });
  }

  #writeHealth(isComplete: boolean): void {
    const { healthPath, wallNow, onFailed } = this.#options;
    const file = this.#health.file(wallNow(), isComplete);
    try {
      writeOutput(healthPath, `${JSON.stringify(file, null, 2)}\n`);
    } catch (error) {
      if (!(error instanceof LockstepError)) throw error;
      if (!this.#hasFailed) onFailed(error);
      this.#hasFailed = true;
    }
  }

  #now(): Moment {
    return { ms: this.#options.clock.now(), wallMs: this.#options.wallNow() };
  }
}
