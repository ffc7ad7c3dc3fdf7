/** The worker processes of a collective benchmark on this machine; none outlives it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { systemClock, type Timer } from '../../base/clock.ts';
import { LockstepError, PeerLostError } from '../../base/errors.ts';
import { siblingModule } from '../../base/module-url.ts';
import type { Address } from '../../transport/tcp.ts';
import type { CollectiveFigures } from './bench-collective-figures.ts';
import type { BenchPlan, RankListener } from './bench-collective-rank.ts';

/** What a worker is told first; the second is where the doors of all ranks are. */
export interface RankStart {
  readonly plan: BenchPlan;
  readonly index: number;
  readonly door: Address;
  readonly secret: string;
  /** Time for the neighbours to come. */
  readonly meetMs: number;
}

/** What a worker tells. */
export type FromRank =
  | { readonly kind: 'door'; readonly address: Address }
  | { readonly kind: 'size'; readonly sizeMb: number }
  | { readonly kind: 'note'; readonly text: string }
  | { readonly kind: 'measured'; readonly figures: readonly CollectiveFigures[] }
  /** Its neighbours or a sum did not come in time. */
  | { readonly kind: 'late'; readonly reason: string };

/** Doors of all ranks, and which of them is on this machine. */
export interface CrewHosts {
  readonly doors: readonly Address[];
  readonly rank: number;
}

/** Who works where. */
export interface CrewOptions {
  readonly plan: BenchPlan;
  /** Address of this machine, if all ranks are here. */
  readonly host: string;
  /** If each rank is on a machine of its own. */
  readonly hosts?: CrewHosts | undefined;
  readonly listener: RankListener;
  readonly signal: AbortSignal;
}

const PROGRAM = fileURLToPath(siblingModule(import.meta.url, 'bench-collective-process'));
/** Time for all workers to open their doors. */
const START_TIMEOUT_MS = 20_000;
const MEET_MS = 20_000;
/** Time for people to start the ranks of other machines. */
const MEET_HOSTS_MS = 600_000;
/** What happens often comes a moment before its cause, as when a process dies. */
const GRACE_MS = 1_000;
const MAX_STDERR_CHARACTERS = 2_000;

/** The ranks of this machine. */
export class BenchCrew {
  readonly #options: CrewOptions;
  readonly #ranks: readonly number[];
  readonly #children = new Map<number, ChildProcess>();
  readonly #doors = new Map<number, Address>();
  readonly #late = new Set<number>();
  #finish: (figures: readonly CollectiveFigures[]) => void = () => {};
  #fail: (error: unknown) => void = () => {};

  constructor(options: CrewOptions) {
    this.#options = options;
    const all = Array.from({ length: options.plan.workers }, (_, rank) => rank);
    this.#ranks = options.hosts === undefined ? all : [options.hosts.rank];
  }

  /** Starts the ranks; gives what they all have measured. Throws: what failed first. */
  async measure(): Promise<readonly CollectiveFigures[]> {
    const { signal } = this.#options;
    const killAll = (): void => {
      for (const child of this.#children.values()) child.kill('SIGKILL');
    };
    const interrupt = (): void => this.#fail(signal.reason);
    let deadline: Timer | undefined;
    process.once('exit', killAll);
    signal.addEventListener('abort', interrupt);
    try {
      return await new Promise((resolve, reject) => {
        this.#finish = resolve;
        this.#fail = reject;
        if (signal.aborted) return interrupt();
        deadline = systemClock.after(START_TIMEOUT_MS, () => {
          if (this.#doors.size < this.#ranks.length)
            this.#blameSilent(this.#doors, 'bench-collective: not all workers have started');
        });
        const secret = randomBytes(32).toString('hex');
        for (const rank of this.#ranks) this.#start(rank, secret);
      });
    } finally {
      deadline?.cancel();
      signal.removeEventListener('abort', interrupt);
      killAll();
      await Promise.all([...this.#children.values()].map(ended));
      process.removeListener('exit', killAll);
    }
  }

  #start(rank: number, ownSecret: string): void {
    const { plan, host, hosts } = this.#options;
    const agreed = hosts && createHash('sha256').update(JSON.stringify(hosts.doors)).digest('hex');
    // A group of its own: Ctrl-C reaches the benchmark, and the benchmark ends its workers.
    const child = spawn(process.execPath, [PROGRAM], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      detached: true,
      windowsHide: true,
    });
    this.#children.set(rank, child);
    let words = '';
    child.stderr
      ?.setEncoding('utf8')
      .on('data', (text: string) => (words = (words + text).slice(-MAX_STDERR_CHARACTERS)));
    child.on('message', (message: FromRank) => this.#receive(rank, message));
    child.once('error', (error) => this.#lose(rank, `could not be started: ${error.message}`));
    child.once('close', (code, signal) => {
      if (signal !== null) return this.#lose(rank, `was ended by ${signal}`);
      const how = `ended with exit code ${code}`;
      systemClock.after(GRACE_MS, () => this.#lose(rank, `${how}: ${words.trim()}`));
    });
    const start: RankStart = {
      plan,
      index: rank,
      door: hosts?.doors[rank] ?? { host, port: 0 },
      // People who start ranks by hand agree on nothing but the doors.
      secret: agreed ?? ownSecret,
      meetMs: hosts === undefined ? MEET_MS : MEET_HOSTS_MS,
    };
    tell(child, start);
  }

  #receive(rank: number, message: FromRank): void {
    const { listener } = this.#options;
    switch (message.kind) {
      case 'door':
        return this.#addDoor(rank, message.address);
      case 'size':
        return rank === this.#ranks[0] ? listener.onSize(message.sizeMb) : undefined;
      case 'note':
        return listener.onNote(`rank ${rank}: ${message.text}`);
      case 'measured':
        return this.#finish(message.figures);
      case 'late':
        this.#late.add(rank);
        return void systemClock.after(GRACE_MS, () =>
          this.#blameSilent(this.#late, message.reason),
        );
      default:
        message satisfies never;
    }
  }

  #addDoor(rank: number, address: Address): void {
    const { hosts } = this.#options;
    this.#doors.set(rank, address);
    if (this.#doors.size < this.#ranks.length) return;
    const own = this.#ranks.flatMap((index) => this.#doors.get(index) ?? []);
    for (const child of this.#children.values()) tell(child, hosts?.doors ?? own);
  }

  /** Names those who are not among `heard`: the others are there, or wait for them. */
  #blameSilent(heard: { has(rank: number): boolean }, reason: string): void {
    const missing = this.#ranks.filter((rank) => !heard.has(rank));
    const named = missing.length === 0 ? '' : ` Nothing is heard of rank ${missing.join(', ')}.`;
    const words = `${reason}.${named} Is this machine very busy?`;
    this.#fail(new LockstepError('COLLECTIVE_TIMEOUT', words, { missing }));
  }

  #lose(rank: number, how: string): void {
    this.#fail(new PeerLostError(`bench-collective: the worker of rank ${rank} ${how}`, { rank }));
  }
}

function tell(child: ChildProcess, message: RankStart | readonly Address[]): void {
  // How it ended says why it is told no more.
  child.send(message, () => {});
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  await new Promise<void>((resolve) => child.once('exit', () => resolve()));
}
