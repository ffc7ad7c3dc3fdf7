/**
 * The local workers of a run, and what their ends mean for it: it waits for those that are started
 * again, and it fails when none is left, unless others compute.
 */
import { hostname } from 'node:os';
import { type Clock, systemClock, type Timer } from '../base/clock.ts';
import { type LockstepError, RendezvousError } from '../base/errors.ts';
import type { Coordinator } from '../coordinator/coordinator.ts';
import type { EventSink } from '../metrics/event-sink.ts';
import type { RunEvent } from '../metrics/events.ts';
import type { Hello } from '../protocol/messages.ts';
import type { CrewMember } from '../runs/journal/journal-lines.ts';
import { LocalWorkers, type WorkerDeath } from './local-workers.ts';

/** The run that a crew works for, as the crew sees it. */
export interface CrewedRun {
  readonly coordinator: Pick<Coordinator, 'hasMembers' | 'committedSteps' | 'expectAtMost'>;
  observe(event: RunEvent): void;
  noteCrew(members: readonly CrewMember[]): void;
  fail(error: LockstepError): void;
}

/** Workers of other machines look for a coordinator that they have lost for so long by default. */
const COMEBACK_MS = 60_000;

/** Sees to it that a run has its local workers, and ends a run that nobody will ever finish. */
export class LocalCrew implements EventSink {
  readonly workers: LocalWorkers;
  readonly #logs: string;
  readonly #clock: Clock;
  #run: CrewedRun | undefined;
  /** Deaths that nobody could be told of yet. */
  readonly #early: WorkerDeath[] = [];
  readonly #givenUp: WorkerDeath[] = [];
  readonly #processIds = new Map<string, number>();
  /** Whether others may come: the door is open to them, or one has been in the run before. */
  #mayOthersCome: boolean;
  #vigil: Timer | undefined;

  /**
   * `logs` is the folder of the workers' logs; the door may be open to other machines, and so many
   * workers be starting up at once.
   */
  constructor(
    logs: string,
    isDoorOpen: boolean,
    clock: Clock = systemClock,
    startsAtOnce?: number,
  ) {
    this.#logs = logs;
    this.#mayOthersCome = isDoorOpen;
    this.#clock = clock;
    const onStarted = (): void => this.#run?.noteCrew(this.workers.members());
    this.workers = new LocalWorkers(
      { onDied: (death) => this.#lose(death), onStarted },
      clock,
      startsAtOnce,
    );
  }

  /** From now on the workers are those of `run`, which tells this crew its events. */
  join(run: CrewedRun): void {
    this.#run = run;
    run.noteCrew(this.workers.members());
    for (const death of this.#early.splice(0)) this.#lose(death);
  }

  /** A worker, of this crew or not, has loaded everything, and waits for work. */
  settle({ host, processId }: Pick<Hello, 'host' | 'processId'>): void {
    if (host === hostname()) this.workers.settle(processId);
  }

  /** Hears who is in the run: others than its own workers, and whom it has put out. */
  onEvent(event: RunEvent): void {
    if (event.kind === 'worker-joined') {
      const isOwn = event.host === hostname() && this.workers.has(event.processId);
      if (isOwn) this.#processIds.set(event.workerId, event.processId);
      else this.#mayOthersCome = true;
      this.#endVigil();
    } else if (event.kind === 'worker-distrusted') {
      const processId = this.#processIds.get(event.workerId);
      if (processId !== undefined) this.workers.expel(processId);
    } else if (event.kind === 'worker-lost' || event.kind === 'worker-refused')
      // Not now: the coordinator is in the midst of what it does about it.
      queueMicrotask(() => this.#failIfDeserted());
  }

  /** Ends all workers, and the wait for others. */
  async stop(): Promise<void> {
    this.#run = undefined;
    this.#endVigil();
    await this.workers.stop();
  }

  #lose(death: WorkerDeath): void {
    const run = this.#run;
    if (run === undefined) return void this.#early.push(death);
    if (death.pauseMs === undefined) this.#givenUp.push(death);
    run.observe(eventOf(death, run.coordinator.committedSteps));
    run.coordinator.expectAtMost(Math.max(1, this.workers.count));
    this.#failIfDeserted();
  }

  #failIfDeserted(): void {
    const run = this.#run;
    const hasWorkers = this.workers.isAnyLeft || this.#givenUp.length === 0;
    if (run === undefined || hasWorkers || run.coordinator.hasMembers) return;
    if (!this.#mayOthersCome) return run.fail(this.#desertion());
    if (this.#vigil !== undefined) return;
    const reason = `no worker is left; waiting ${COMEBACK_MS / 1000} s for one to join`;
    run.observe({ kind: 'run-waiting', step: run.coordinator.committedSteps, reason });
    this.#vigil = this.#clock.after(COMEBACK_MS, () => {
      this.#vigil = undefined;
      if (!run.coordinator.hasMembers) run.fail(this.#desertion());
    });
  }

  #endVigil(): void {
    this.#vigil?.cancel();
    this.#vigil = undefined;
  }

  #desertion(): LockstepError {
    const inOrder = this.#givenUp.toSorted((a, b) => a.rank - b.rank);
    const ranksOf = (wanted: string): number[] =>
      inOrder.flatMap(({ rank, reason }) => (reason === wanted ? [rank] : []));
    const reasons = [...new Set(inOrder.map(({ reason }) => reason))].map(
      (reason) => `rank ${ranksOf(reason).join(', ')}: ${reason}`,
    );
    const killedRanks = ranksOf('killed with SIGKILL');
    const remedy =
      killedRanks.length === 0
        ? `see the logs in ${this.#logs} for more`
        : 'if memory ran out, lower --workers, --lanes or --micro-batch, or choose a smaller model';
    const workers = this.#givenUp.length;
    return new RendezvousError(
      `all ${workers} local workers have ended, and no other is in the run; ` +
        `${reasons.join('; ')}; ${remedy}`,
      { workers, killedRanks },
    );
  }
}

function eventOf({ rank, reason, deaths, pauseMs }: WorkerDeath, step: number): RunEvent {
  return pauseMs === undefined
    ? { kind: 'worker-given-up', rank, step, deaths, reason }
    : { kind: 'worker-restarting', rank, step, deaths, pauseMs, reason };
}
