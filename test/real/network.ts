/**
 * A run on links of limited rate: the coordinator in one network namespace, each worker in one of
 * its own, behind a link that passes so much a second in each direction.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunEvent } from '../../src/metrics/events.ts';
import { Program, REPOSITORY } from '../cluster/processes.ts';
import { Run } from '../cluster/runs.ts';

/** Kilobits a second in each direction; undefined: all that the machine can. */
export type Rate = number | undefined;

const HUB_ADDRESS = '10.99.0.1';
/** Of a burst a link passes at once what it has saved, and queues what it passes in the latency. */
const BURST = '32kbit';
const LATENCY = '400ms';
/** Networks of this process so far. */
let serial = 0;

/** Why namespaces cannot be made here, or false. */
export function reasonToSkip(): string | false {
  if (process.getuid?.() !== 0) return 'only root can make network namespaces';
  const hasTools = ['ip', 'tc'].every((program) => spawnSync(program, ['-V']).status === 0);
  return hasTools ? false : 'without iproute2';
}

/** Makes a network, and takes it away with all that runs in it when `use` is done. */
export async function withNetwork<T>(use: (network: Network) => Promise<T>): Promise<T> {
  const network = new Network();
  try {
    return await use(network);
  } finally {
    await network.close();
  }
}

/** The namespaces of one run, and its processes. */
export class Network {
  readonly #name = `lockstep-${process.pid}-${serial++}`;
  readonly #hub = `${this.#name}-hub`;
  readonly #namespaces: string[] = [];
  readonly #programs: Program[] = [];
  readonly #folder = mkdtempSync(join(tmpdir(), 'lockstep-network-'));
  #port = '';

  constructor() {
    this.#addNamespace(this.#hub);
    ip('-n', this.#hub, 'link', 'add', 'bridge', 'type', 'bridge');
    ip('-n', this.#hub, 'address', 'add', `${HUB_ADDRESS}/24`, 'dev', 'bridge');
    ip('-n', this.#hub, 'link', 'set', 'bridge', 'up');
  }

  /** Starts a coordinator; resolves once it listens. */
  async coordinate(args: readonly string[]): Promise<Run> {
    const place = ['--host', HUB_ADDRESS, '--port', '0', '--out-dir', this.#folder];
    const program = this.#start(this.#hub, [
      ...['coordinator', ...args, ...place, '--name', `run-${this.#programs.length}`, '--json'],
    ]);
    const run = new Run(program, join(this.#folder, `run-${this.#programs.length - 1}`));
    this.#port = (await run.address()).split(':').at(-1)!;
    return run;
  }

  /** Starts a worker behind a link of its own, for the coordinator that was started last. */
  join(rate: Rate, wrapper: readonly string[] = []): Joined {
    const index = this.#namespaces.length;
    const namespace = `${this.#name}-${index}`;
    const port = `port${index}`;
    this.#addNamespace(namespace);
    const ends = ['peer', 'name', 'eth0', 'netns', namespace];
    ip('-n', this.#hub, 'link', 'add', port, 'type', 'veth', ...ends);
    ip('-n', this.#hub, 'link', 'set', port, 'master', 'bridge', 'up');
    ip('-n', namespace, 'address', 'add', `10.99.0.${index + 1}/24`, 'dev', 'eth0');
    ip('-n', namespace, 'link', 'set', 'eth0', 'up');
    const limit = (to: Rate): void => {
      setRate(this.#hub, port, to);
      setRate(namespace, 'eth0', to);
    };
    limit(rate);
    const where = ['worker', '--join', `${HUB_ADDRESS}:${this.#port}`, '--lanes', '1'];
    return { program: this.#start(namespace, where, wrapper), limit };
  }

  /** Ends what still runs, and takes the namespaces away. */
  async close(): Promise<void> {
    await Promise.all(this.#programs.map(async (program) => program.release()));
    for (const namespace of this.#namespaces) spawnSync('ip', ['netns', 'delete', namespace]);
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  #addNamespace(name: string): void {
    ip('netns', 'add', name);
    this.#namespaces.push(name);
    ip('-n', name, 'link', 'set', 'lo', 'up');
  }

  #start(namespace: string, args: readonly string[], wrapper: readonly string[] = []): Program {
    const lockstep = [process.execPath, join(REPOSITORY, 'bin/lockstep.js'), ...args];
    const { NODE_TEST_CONTEXT: _, FORCE_COLOR: __, ...inherited } = process.env;
    const child = spawn('ip', ['netns', 'exec', namespace, ...wrapper, ...lockstep], {
      cwd: REPOSITORY,
      env: { ...inherited, LOCKSTEP_NO_BUILD: '1', NO_COLOR: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const program = new Program(child);
    this.#programs.push(program);
    return program;
  }
}

/** A worker in a network. */
export interface Joined {
  readonly program: Program;
  /** From now on its link passes so much. */
  readonly limit: (rate: Rate) => void;
}

/** What must not happen on a link that is only slow: workers lost or stalled, steps undone. */
export function troublesOf(run: Run): readonly RunEvent[] {
  const kinds = ['worker-lost', 'worker-stalled', 'rolled-back'];
  return run.events().filter(({ kind }) => kinds.includes(kind));
}

/** A committed step, and how long after the one before. */
export interface TimedStep {
  readonly step: Extract<RunEvent, { readonly kind: 'step' }>;
  readonly ms: number;
}

/** The steps that a run makes within `seconds`. */
export async function watch(run: Run, seconds: number): Promise<readonly TimedStep[]> {
  const known = Math.max(1, run.eventsOf('step').length);
  await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
  const steps = run.eventsOf('step').slice(known - 1);
  const times = steps.map((step) => Date.parse((step as unknown as { time: string }).time));
  return steps.slice(1).map((step, i) => ({ step, ms: times[i + 1]! - times[i]! }));
}

/** Keeps cores, all unless `count` says, busy with something else while `use` is at it. */
export async function withBusyCores<T>(
  use: () => Promise<T>,
  count: number = cpus().length,
): Promise<T> {
  const loops = Array.from({ length: count }, () => spawn(process.execPath, ['-e', 'for (;;);']));
  try {
    return await use();
  } finally {
    for (const loop of loops) loop.kill('SIGKILL');
  }
}

function setRate(namespace: string, device: string, rate: Rate): void {
  const place = ['netns', 'exec', namespace, 'tc', 'qdisc'];
  const limit = ['tbf', 'rate', `${rate}kbit`, 'burst', BURST, 'latency', LATENCY];
  if (rate !== undefined) ip(...place, 'replace', 'dev', device, 'root', ...limit);
  else spawnSync('ip', [...place, 'delete', 'dev', device, 'root']);
}

function ip(...args: readonly string[]): void {
  const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' });
  assert.equal(status, 0, `ip ${args.join(' ')}: ${stderr}`);
}
