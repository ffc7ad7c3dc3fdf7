/**
 * Runs to which a random schedule happens, with real processes: each worker comes by way of a relay
 * of its own.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { joinLinkText, parseJoinLink } from '../../src/access/join-link.ts';
import { ownAddresses } from '../../src/launch/own-addresses.ts';
import { EVERY_ADDRESS } from '../../src/transport/loopback.ts';
import { openRelay, type Relay } from '../../src/transport/relay.ts';
import type { Owner } from './owner.ts';
import { type Program, REPOSITORY, startLockstep, temporaryFolder, waitFor } from './processes.ts';
import {
  type Disturbance,
  type DisturbanceKind,
  drawSchedule,
  type Schedule,
  SCHEDULED,
  scheduleText,
} from './random-schedule.ts';
import { assertSameModel, type Outcome, referenceOf, Run } from './runs.ts';

/** A run commits no step for this long only if it hangs; a silent worker is kept half a minute. */
const HANG_MS = 75_000;
/** Who was in the run at its end ends by itself within this; who was not, once it is told to. */
const WORKER_END_MS = 15_000;
/** Of a failed run so many characters of what each process said are shown, and so many events. */
const SHOWN = { coordinator: 3_000, worker: 1_000, events: 25 } as const;

/** A run that came to the end that it must come to. */
export interface ScheduledOutcome {
  readonly outcome: Outcome;
  /** What happened to it before it was over. */
  readonly done: readonly DisturbanceKind[];
  readonly seconds: number;
  /** The longest time between two steps. */
  readonly longestPauseMs: number;
}

/**
 * Runs the schedule of a seed. The run must end, with the model, the losses and the ledger of one
 * undisturbed worker, and leave no process. Throws an error that says all about it when it does not.
 */
export async function runSchedule(owner: Owner, seed: number): Promise<ScheduledOutcome> {
  const schedule = drawSchedule(seed);
  const reference = await referenceOf(owner, SCHEDULED);
  const scheduled = new ScheduledRun(owner, schedule);
  try {
    const startedMs = performance.now();
    const outcome = await scheduled.toItsEnd();
    assertSameModel(outcome, reference);
    const seconds = (performance.now() - startedMs) / 1000;
    const longestPauseMs = longestPauseOf(scheduled.run);
    return { outcome, done: scheduled.done, seconds, longestPauseMs };
  } catch (error) {
    throw new Error(scheduled.report(error), { cause: error });
  } finally {
    scheduled.undoAll();
  }
}

/** A worker with the relay that is its way to the coordinator. */
interface Member {
  readonly program: Program;
  readonly relay: Relay;
}

class ScheduledRun {
  readonly run: Run;
  readonly done: DisturbanceKind[] = [];
  readonly #owner: Owner;
  readonly #schedule: Schedule;
  readonly #folder: string;
  readonly #members: Member[] = [];
  /** Workers that were killed, or told to leave. */
  readonly #taken = new Set<Member>();
  /** What ends what goes on for a while. */
  readonly #undoing = new Set<() => void>();

  constructor(owner: Owner, schedule: Schedule) {
    this.#owner = owner;
    this.#schedule = schedule;
    this.#folder = temporaryFolder(owner);
    const args = [...SCHEDULED, ...this.#settings(), '--out-dir', this.#folder, '--name', 'run'];
    const program = this.#start('desk', ['coordinator', ...args, '--json']);
    this.run = new Run(program, join(this.#folder, 'run'));
  }

  async toItsEnd(): Promise<Outcome> {
    const { workers, events } = this.#schedule;
    for (let i = 0; i < workers; i++) await this.#join();
    await this.run.reachesStep(1);
    for (const { step, withinMs, what } of events) {
      const latestMs = performance.now() + withinMs;
      await this.#until(() => performance.now() >= latestMs || this.#steps() >= step);
      if (this.run.program.isOver) break;
      await this.#disturb(what);
      this.done.push(what.kind);
    }
    await this.#until(() => false);
    this.undoAll();
    for (const member of this.#members) await this.#ends(member);
    return this.run.outcome();
  }

  /** Thaws who is frozen, and heals every link. */
  undoAll(): void {
    for (const undo of this.#undoing) undo();
  }

  #settings(): readonly string[] {
    const { workers, collective, isLed, isAudited, isSecured } = this.#schedule;
    return [
      ...['--workers', String(workers), '--collective', collective],
      ...(isLed ? ['--stop-on-divergence'] : []),
      ...(isAudited ? ['--audit', '0.1'] : []),
      ...(isSecured ? ['--host', EVERY_ADDRESS, '--link-file', this.#link] : []),
    ];
  }

  get #link(): string {
    return join(this.#folder, 'link');
  }

  /** Starts `lockstep` as a user with files of its own. */
  #start(user: string, args: readonly string[]): Program {
    const environment = { LOCKSTEP_HOME: join(this.#folder, user) };
    return startLockstep(this.#owner, args, REPOSITORY, environment);
  }

  async #join(): Promise<void> {
    const [, port] = (await this.run.address()).split(':');
    // Whoever does not come from loopback must have the key.
    const [own] = this.#schedule.isSecured ? ownAddresses() : [];
    const relay = await openRelay({ host: own ?? '127.0.0.1', port: Number(port) });
    this.#owner.after(async () => relay.close());
    const lanes = ['--lanes', String(this.#schedule.lanes)];
    const way = [...this.#wayBy(relay), ...lanes];
    this.#members.push({ program: this.#start(`user-${this.#members.length}`, way), relay });
  }

  #wayBy({ address }: Relay): readonly string[] {
    if (!this.#schedule.isSecured) return ['worker', '--join', `${address.host}:${address.port}`];
    const { token } = parseJoinLink(readFileSync(this.#link, 'utf8'));
    return ['join', joinLinkText({ addresses: [address], token })];
  }

  /** Steps that are committed. */
  #steps(): number {
    return this.run.eventsOf('step').at(-1)?.step ?? 0;
  }

  /** Waits until `isMet`, or the run is over. On a busy machine it takes long, but it goes on. */
  async #until(isMet: () => boolean): Promise<void> {
    const isOver = (): boolean => this.run.program.isOver || isMet();
    while (!isOver()) {
      const known = this.#steps();
      await waitFor('the next step', () => isOver() || this.#steps() > known, HANG_MS);
    }
  }

  async #disturb(what: Disturbance): Promise<void> {
    switch (what.kind) {
      case 'join':
        return this.#join();
      case 'freeze-coordinator':
        return this.#freeze(this.run.program, what.forMs);
      case 'freeze':
        return this.#freeze(this.#member(what.worker).program, what.forMs);
      case 'partition':
        return this.#part(this.#member(what.worker), what.lost, what.forMs);
      case 'reset':
        return this.#member(what.worker).relay.resetAll();
      case 'kill':
        return this.#take(this.#member(what.worker), 'SIGKILL');
      case 'leave':
        return this.#take(this.#member(what.worker), 'SIGTERM');
      default:
        what satisfies never;
    }
  }

  #member(worker: number): Member {
    const member = this.#members[worker];
    assert.ok(member !== undefined, `worker ${worker} was not started`);
    return member;
  }

  #take(member: Member, signal: 'SIGKILL' | 'SIGTERM'): void {
    this.#taken.add(member);
    member.program.signal(signal);
  }

  #freeze(program: Program, forMs: number): void {
    program.signal('SIGSTOP');
    this.#undoAfter(forMs, () => program.signal('SIGCONT'));
  }

  #part({ relay }: Member, lost: 'up' | 'down' | 'both', forMs: number): void {
    const ways = lost === 'both' ? (['up', 'down'] as const) : [lost];
    const setAll = (kind: 'drop' | 'pass'): void => {
      for (const way of ways) relay.set({ [way]: { kind } });
    };
    setAll('drop');
    this.#undoAfter(forMs, () => setAll('pass'));
  }

  /** Of two that overlap the first to end ends both. */
  #undoAfter(ms: number, undo: () => void): void {
    const once = (): void => {
      clearTimeout(timer);
      if (this.#undoing.delete(once)) undo();
    };
    const timer = setTimeout(once, ms);
    this.#undoing.add(once);
  }

  async #ends(member: Member): Promise<void> {
    const { program } = member;
    if (!this.#taken.has(member)) {
      if (this.#isInRun(program.pid)) {
        const { status } = await program.end(WORKER_END_MS);
        return assert.equal(status, 0, `worker ${this.#members.indexOf(member)} has failed`);
      }
      // It came too late, or looks for the coordinator that it has lost.
      program.signal('SIGTERM');
    }
    await program.end(WORKER_END_MS);
  }

  /** Whether a worker was in the run when that ended. */
  #isInRun(pid: number): boolean {
    const ends = this.run
      .events()
      .filter((event) => event.kind === 'worker-joined' || event.kind === 'worker-lost');
    const joined = ends.findLast((event) => 'processId' in event && event.processId === pid);
    return joined !== undefined && ends.findLast(sameWorkerAs(joined))?.kind === 'worker-joined';
  }

  /** All that is known of it, and how to repeat it. */
  report(error: unknown): string {
    const { seed } = this.#schedule;
    const steps = this.run.eventsOf('step').length;
    const others = this.run.events().filter(({ kind }) => kind !== 'step');
    return [
      error instanceof Error ? error.message : String(error),
      scheduleText(this.#schedule),
      `${this.done.length} of them were done; ${steps} steps were committed. Its last events:`,
      ...others.slice(-SHOWN.events).map((event) => JSON.stringify(event)),
      `The coordinator said:\n${this.run.program.stderr.slice(-SHOWN.coordinator)}`,
      ...this.#members.map(
        ({ program }, i) => `Worker ${i} said:\n${program.stderr.slice(-SHOWN.worker)}`,
      ),
      `To repeat it: npm run bench -- schedules --seed ${seed} --count 1`,
    ].join('\n');
  }
}

function sameWorkerAs(one: { readonly workerId: string }) {
  return ({ workerId }: { readonly workerId: string }): boolean => workerId === one.workerId;
}

function longestPauseOf(run: Run): number {
  const times = run
    .eventsOf('step')
    .map((event) => Date.parse((event as unknown as { time: string }).time));
  return Math.max(...times.map((ms, i) => ms - (times[i - 1] ?? ms)));
}
