/** How each fault gets into a run: into one of its worker processes, onto a link, onto the disk. */
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RandomWords } from '../../base/random.ts';
import { siblingModule } from '../../base/module-url.ts';
import { LocalWorkers, type SelfCommand } from '../../launch/local-workers.ts';
import type { WorkerPlace } from '../../launch/training-run.ts';
import type { RunEvent } from '../../metrics/events.ts';
import { openRelay, type Relay, type RelayRules } from '../../transport/relay.ts';
import { type Fault, type FaultName, FAULTS } from './fault-catalogue.ts';
import { type FaultOrder, injectionIn } from './fault-order.ts';
import { type Injection, NO_WORKER } from './fault-verdict.ts';

/** Where and when a fault is injected. */
export interface FaultPlan {
  readonly fault: Fault;
  /** The affected worker, or NO_WORKER. */
  readonly rank: number;
  /** The step that is under way when it begins. */
  readonly step: number;
  readonly seed: number;
}

/** The hands of a fault in one run. Who made it closes it. */
export interface Injector {
  placeWorker(rank: number, usual: WorkerPlace): Promise<WorkerPlace>;
  /** The run's files are in `folder`. */
  onFolder(folder: string): void;
  /** Called from within the coordinator: what it does is done before the run goes on. */
  onEvent(event: RunEvent): void;
  /** When the fault began; undefined while it has not. To be asked before the run's files go. */
  injection(): Injection | undefined;
  close(): Promise<void>;
}

/** Nobody's hands: for a clean run. */
export const NO_FAULT: Injector = {
  placeWorker: async (_rank, usual) => Promise.resolve(usual),
  onFolder: () => {},
  onEvent: () => {},
  injection: () => undefined,
  close: async () => Promise.resolve(),
};

/** A full device that the kernel provides. */
const FULL_DEVICE = '/dev/full';

/** Why a fault cannot be injected on this machine; undefined when it can. */
export function obstacleTo(
  { name }: Fault,
  isThere: (path: string) => boolean = existsSync,
): string | undefined {
  if (name === 'disk_full' && !isThere(FULL_DEVICE)) return `this system has no ${FULL_DEVICE}`;
  if (name === 'worker_timeout' && process.platform === 'win32')
    return 'this system has no SIGSTOP';
  return undefined;
}

/**
 * Chooses by the seed which worker has the fault, and from when: in the first quarter, so that it
 * can show.
 */
export function planFault(
  fault: Fault,
  { workers, steps, seed }: { workers: number; steps: number; seed: number },
): FaultPlan {
  const words = new RandomWords(
    seed,
    'fault',
    0,
    FAULTS.findIndex(({ name }) => name === fault.name),
  );
  const rank = fault.name === 'disk_full' ? NO_WORKER : words.below(0, workers);
  const step =
    fault.name === 'wrong_data' ? 0 : 1 + words.below(1, Math.max(1, Math.floor(steps / 4)));
  return { fault, rank, step, seed };
}

/** The hands that inject `plan`. */
export function injectorOf(plan: FaultPlan): Injector {
  return INJECTORS[plan.fault.name as FaultName](plan);
}

const INJECTORS: Readonly<Record<FaultName, (plan: FaultPlan) => Injector>> = {
  slow_worker: inWorker,
  gradient_sync_anomaly: inWorker,
  gradient_scale_10: inWorker,
  gradient_zeros: inWorker,
  gradient_nan: inWorker,
  gradient_sign_flip: inWorker,
  gradient_scale_half: inWorker,
  gradient_bit_flip: inWorker,
  gradient_mantissa_bit: inWorker,
  stale_worker: inWorker,
  wrong_data: inWorker,
  clock_jump: inWorker,
  worker_timeout: (plan) => bySignal(plan, 'SIGSTOP'),
  kill: (plan) => bySignal(plan, 'SIGKILL'),
  half_open: (plan) => onLink(plan, CUT),
  partition: (plan) => onLink(plan, CUT, 'heals'),
  corrupted_frame: (plan) => onLink(plan, { up: { kind: 'corrupt', afterBytes: 30, bit: 4 } }),
  delayed_frames: (plan) =>
    onLink(plan, { up: { kind: 'delay', ms: 100 }, down: { kind: 'delay', ms: 100 } }),
  duplicate_worker: asSecondWorker,
  disk_full: onDisk,
};

/** What a faulty worker is started with in place of an honest one. */
function faultyWorker({ fault, step, seed }: FaultPlan, workerId?: string): SelfCommand {
  const order: FaultOrder = {
    fault: fault.name,
    step,
    seed,
    ...(workerId !== undefined && { workerId }),
  };
  const program = fileURLToPath(siblingModule(import.meta.url, 'faulty-worker-process'));
  return { program: process.execPath, arguments: [program, JSON.stringify(order)] };
}

/** A faulty worker process in place of an honest one; its log says when the fault began. */
function inWorker(plan: FaultPlan): Injector {
  let log = '';
  return {
    ...NO_FAULT,
    placeWorker: async (rank, usual) =>
      Promise.resolve(rank === plan.rank ? { ...usual, self: faultyWorker(plan) } : usual),
    onFolder: (folder) => (log = join(folder, 'logs', `rank_${plan.rank}.log`)),
    injection: () => (existsSync(log) ? injectionIn(readFileSync(log, 'utf8')) : undefined),
  };
}

/** Something that is done once, when the step under way is the one of the plan. */
class Once {
  readonly #step: number;
  readonly #act: () => boolean;
  injection: Injection | undefined;

  /** `act` says whether it could be done. */
  constructor(step: number, act: () => boolean) {
    this.#step = step;
    this.#act = act;
  }

  onEvent(event: RunEvent): void {
    if (event.kind !== 'step' || event.step < this.#step || this.injection !== undefined) return;
    const injection = { step: event.step, atMs: Date.now() };
    if (this.#act()) this.injection = injection;
  }
}

/** A signal to the worker's process. */
function bySignal({ rank, step }: FaultPlan, signal: 'SIGSTOP' | 'SIGKILL'): Injector {
  let processId: number | undefined;
  const once = new Once(step, () => {
    if (processId !== undefined) process.kill(processId, signal);
    return processId !== undefined;
  });
  return {
    ...NO_FAULT,
    onEvent: (event) => {
      if (event.kind === 'worker-joined' && event.rank === rank) processId = event.processId;
      // It may have ended.
      if (event.kind === 'worker-lost' && event.rank === rank) processId = undefined;
      once.onEvent(event);
    },
    injection: () => once.injection,
  };
}

const OPEN: RelayRules = { up: { kind: 'pass' }, down: { kind: 'pass' } };
const CUT: RelayRules = { up: { kind: 'drop' }, down: { kind: 'drop' } };

function setRules(relay: Relay | undefined, rules: RelayRules): boolean {
  relay?.set(rules);
  return relay !== undefined;
}

/** Puts a relay that goes bad before the coordinator; a link that heals does so once noticed. */
function onLink({ rank, step }: FaultPlan, rules: RelayRules, heals?: 'heals'): Injector {
  let relay: Relay | undefined;
  const once = new Once(step, () => setRules(relay, rules));
  return {
    ...NO_FAULT,
    placeWorker: async (placed, usual) => {
      if (placed !== rank) return usual;
      relay = await openRelay(usual.address);
      return { ...usual, address: relay.address };
    },
    onEvent: (event) => {
      once.onEvent(event);
      if (heals !== undefined && event.kind === 'worker-stalled' && event.rank === rank)
        setRules(relay, OPEN);
    },
    injection: () => once.injection,
    close: async () => relay?.close(),
  };
}

/**
 * A second process with the worker's id. It is started with the run, and gets through to the
 * coordinator later.
 */
function asSecondWorker(plan: FaultPlan): Injector {
  const workerId = randomUUID();
  const seconds = new LocalWorkers({ onDied: () => {} });
  const self = faultyWorker(plan, workerId);
  let relay: Relay | undefined;
  let folder = '';
  const kill = (): void => seconds.killNow();
  process.once('exit', kill);
  const once = new Once(plan.step, () => setRules(relay, OPEN));
  return {
    ...NO_FAULT,
    placeWorker: async (rank, usual) => {
      if (rank !== plan.rank) return usual;
      relay = await openRelay(usual.address);
      relay.set(CUT);
      return { ...usual, self };
    },
    onFolder: (path) => (folder = path),
    onEvent: (event) => {
      if (event.kind === 'run-started' && relay !== undefined) {
        const logPath = join(folder, 'logs', 'second.log');
        seconds.start(self, relay.address, {
          rank: plan.rank,
          device: 'cpu',
          lanes: 1,
          dataDir: undefined,
          logPath,
        });
      }
      once.onEvent(event);
    },
    injection: () => once.injection,
    close: async () => {
      kill();
      await seconds.stop();
      process.removeListener('exit', kill);
      await relay?.close();
    },
  };
}

/** Puts files that the run has still to make on a full device from then on. */
function onDisk({ step }: FaultPlan): Injector {
  let folder = '';
  const once = new Once(step, () => {
    for (const name of ['model.onnx', 'model.safetensors', 'summary.json'])
      symlinkSync(FULL_DEVICE, join(folder, `${name}.partial`));
    return true;
  });
  return {
    ...NO_FAULT,
    onFolder: (path) => (folder = path),
    onEvent: (event) => once.onEvent(event),
    injection: () => once.injection,
  };
}
