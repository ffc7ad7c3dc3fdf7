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
import { Program, REPOSITORY, waitFor } from '../cluster/processes.ts';
import { Run } from '../cluster/runs.ts';

/** Kilobits a second in each direction; undefined: all that the machine can. */
export type Rate = number | undefined;

const HUB_ADDRESS = '10.99.0.1';
/** Of a burst a link passes at once what it has saved, and queues what it passes in the latency. */
const LEAST_BURST_KBIT = 32;
/** What a fast link passes between two looks at it. */
const BURST_SECONDS = 0.002;
const LATENCY = '400ms';
/** More than any link here passes. */
const UNLIMITED_KBIT = 40_000_000;
/** Networks of this process so far. */
let serial = 0;

/** Why namespaces cannot be made here, or false. */
export function reasonToSkip(): string | false {
  if (process.getuid?.() !== 0) return 'only root can make network namespaces';
  const hasTools = ['ip', 'tc'].every((program) => spawnSync(program, ['-V']).status === 0);
  return hasTools ? false : 'without iproute2';
}

/** Words before a command that give its machine a name, which network namespaces do not have. */
export function named(machine: string): readonly string[] {
  const rename = 'echo "$0" > /proc/sys/kernel/hostname && exec "$@"';
  return ['unshare', '--uts', 'sh', '-c', rename, machine];
}

/** Makes a network, and takes it away with all that runs in it when `use` is done. */
export async function withNetwork<T>(use: (network: Network) => Promise<T>): Promise<T> {
  const network = new Network();
  const abandon = (): void => network.abandon();
  process.once('exit', abandon);
  try {
    return await use(network);
  } finally {
    process.removeListener('exit', abandon);
    await network.close();
  }
}

/** The namespaces of one run, and its processes. */
export class Network {
  readonly #name = `lockstep-${process.pid}-${serial++}`;
  readonly #hub = `${this.#name}-hub`;
  readonly #namespaces: string[] = [];
  /** Ends in the hub, or in a bridge of it, of the cables of each namespace. */
  readonly #cables = new Map<string, string[]>();
  readonly #programs: Program[] = [];
  readonly #folder = mkdtempSync(join(tmpdir(), 'lockstep-network-'));
  #link = '';

  constructor() {
    this.#addNamespace(this.#hub);
    ip('-n', this.#hub, 'link', 'add', 'bridge', 'type', 'bridge');
    ip('-n', this.#hub, 'address', 'add', `${HUB_ADDRESS}/24`, 'dev', 'bridge');
    ip('-n', this.#hub, 'link', 'set', 'bridge', 'up');
  }

  /** Starts a coordinator; resolves once it listens. */
  async coordinate(args: readonly string[], host: string = HUB_ADDRESS): Promise<Run> {
    this.#link = join(this.#folder, `run-${this.#programs.length}.link`);
    const place = ['--host', host, '--link-file', this.#link, '--out-dir', this.#folder];
    const program = this.#start(this.#hub, [
      ...['coordinator', ...args, ...place, '--name', `run-${this.#programs.length}`, '--json'],
    ]);
    const run = new Run(program, join(this.#folder, `run-${this.#programs.length - 1}`));
    await run.address();
    return run;
  }

  /** Words before a command that runs where coordinators run. */
  get inside(): readonly string[] {
    return ['ip', 'netns', 'exec', this.#hub];
  }

  /** Runs `lockstep` where coordinators run, within `wrapper`. */
  run(args: readonly string[], wrapper: readonly string[] = []): Program {
    return this.#start(this.#hub, args, wrapper);
  }

  /** Starts a worker behind a link of its own, for the coordinator that was started last. */
  join(rate: Rate, wrapper: readonly string[] = []): Joined {
    const host = this.addHost(rate);
    return { ...host, program: this.joinAt(host, wrapper) };
  }

  /** Starts one more worker on a host, for the coordinator that was started last. */
  joinAt({ start }: Pick<Host, 'start'>, wrapper: readonly string[] = []): Program {
    return start(['join', '--link-file', this.#link, '--lanes', '1'], wrapper);
  }

  /** Gives two hosts a network of their own, beside that of all: `eth1` at both, once it is up. */
  async wire(first: Host, second: Host, rate: Rate): Promise<void> {
    const [here, there] = [first.namespace, second.namespace];
    const ends = ['peer', 'name', 'eth1', 'netns', there];
    ip('-n', here, 'link', 'add', 'eth1', 'type', 'veth', ...ends);
    for (const [index, namespace] of [here, there].entries()) {
      ip('-n', namespace, 'address', 'add', `10.98.0.${index + 1}/24`, 'dev', 'eth1');
      ip('-n', namespace, 'link', 'set', 'eth1', 'up');
      setRate(namespace, 'eth1', rate);
    }
    for (const namespace of [here, there]) await isUp(namespace);
  }

  /** Gives hosts a second network, beside that of all: `eth1` at each, with a new address. */
  async wireAll(hosts: readonly Host[], rate: Rate): Promise<readonly string[]> {
    ip('-n', this.#hub, 'link', 'add', 'second', 'type', 'bridge');
    ip('-n', this.#hub, 'link', 'set', 'second', 'up');
    const addresses = hosts.map(({ namespace }, index) => {
      const port = `second${index}`;
      const ends = ['peer', 'name', 'eth1', 'netns', namespace];
      ip('-n', this.#hub, 'link', 'add', port, 'type', 'veth', ...ends);
      ip('-n', this.#hub, 'link', 'set', port, 'master', 'second', 'up');
      this.#cables.get(namespace)?.push(port);
      const address = `10.98.0.${index + 1}`;
      ip('-n', namespace, 'address', 'add', `${address}/24`, 'dev', 'eth1');
      ip('-n', namespace, 'link', 'set', 'eth1', 'up');
      setRate(namespace, 'eth1', rate);
      return address;
    });
    for (const { namespace } of hosts) await isUp(namespace);
    return addresses;
  }

  /** From now on so many of a hundred packets that come to a host are lost; tells how many were. */
  lose(percent: number): () => number {
    return this.#filter('input', percent, (device) => [`iifname "${device}"`, 'drop']);
  }

  /** From now on so many of a hundred packets that a host sends come twice; tells how many did. */
  repeat(percent: number): () => number {
    const again = (device: string): string => `dup to ip daddr device "${device}"`;
    return this.#filter('output', percent, (device) => [`oifname "${device}"`, again(device)]);
  }

  /** Does something to so many of a hundred packets of all hosts; tells to how many it was done. */
  #filter(
    hook: 'input' | 'output',
    percent: number,
    of: (device: string) => readonly [which: string, what: string],
  ): () => number {
    for (const namespace of this.#namespaces) {
      const device = namespace === this.#hub ? 'bridge' : 'eth0';
      // Else a packet here is what some forty are elsewhere.
      ip('-n', namespace, 'link', 'set', device, 'gso_max_segs', '1');
      const [which, what] = of(device);
      const rules = [
        `add table ip ${hook}s`,
        `add chain ip ${hook}s packets { type filter hook ${hook} priority 0; }`,
        `add rule ip ${hook}s packets ${which} numgen random mod 100 < ${percent} counter ${what}`,
      ];
      for (const rule of rules) ip('netns', 'exec', namespace, 'nft', rule);
    }
    const list = ['nft', 'list', 'table', 'ip', `${hook}s`];
    return () =>
      this.#namespaces
        .map((namespace) => spawnSync('ip', ['netns', 'exec', namespace, ...list]))
        .map(({ stdout }) => Number(/counter packets (\d+)/.exec(String(stdout))?.[1]))
        .reduce((sum, count) => sum + count, 0);
  }

  /** Adds a host behind a link of its own. */
  addHost(rate: Rate): Host {
    const index = this.#namespaces.length;
    const namespace = `${this.#name}-${index}`;
    const port = `port${index}`;
    const address = `10.99.0.${index + 1}`;
    this.#addNamespace(namespace);
    const ends = ['peer', 'name', 'eth0', 'netns', namespace];
    ip('-n', this.#hub, 'link', 'add', port, 'type', 'veth', ...ends);
    ip('-n', this.#hub, 'link', 'set', port, 'master', 'bridge', 'up');
    this.#cables.set(namespace, [port]);
    ip('-n', namespace, 'address', 'add', `${address}/24`, 'dev', 'eth0');
    ip('-n', namespace, 'link', 'set', 'eth0', 'up');
    const limit = (to: Rate): void => {
      setRate(this.#hub, port, to);
      setRate(namespace, 'eth0', to);
    };
    limit(rate);
    const limitTo = (other: Host, to: number): void => {
      const tc = (what: string, how: string, ...args: readonly string[]): void =>
        ip('netns', 'exec', namespace, 'tc', what, how, 'dev', 'eth0', ...args);
      const addClass = (id: string, kilobits: number): void =>
        tc('class', 'add', 'parent', '1:', 'classid', id, 'htb', 'rate', `${kilobits}kbit`);
      tc('qdisc', 'replace', 'root', 'handle', '1:', 'htb', 'default', '1');
      addClass('1:1', rate ?? UNLIMITED_KBIT);
      addClass('1:2', to);
      const match = ['u32', 'match', 'ip', 'dst', `${other.address}/32`];
      tc('filter', 'add', 'parent', '1:', 'protocol', 'ip', ...match, 'flowid', '1:2');
    };
    const part = (isParted = true): void => {
      const state = isParted ? 'on' : 'off';
      ip('-n', this.#hub, 'link', 'set', port, 'type', 'bridge_slave', 'isolated', state);
    };
    const plug = (isIn: boolean): void => {
      for (const cable of this.#cables.get(namespace) ?? [])
        ip('-n', this.#hub, 'link', 'set', cable, isIn ? 'up' : 'down');
    };
    const move = (to: string): void => {
      ip('-n', namespace, 'address', 'delete', `${address}/24`, 'dev', 'eth0');
      ip('-n', namespace, 'address', 'add', `${to}/24`, 'dev', 'eth0');
      // Its programs are told, as by systems that notice; with others they notice by silence.
      ip('netns', 'exec', namespace, 'ss', '-K', 'src', address);
    };
    const swallow = (other: string): void =>
      ip('-n', namespace, 'neighbour', 'add', other, 'lladdr', '02:00:00:00:00:01', 'dev', 'eth0');
    const receivedBytes = (device: string): number => {
      const { stdout } = spawnSync('ip', ['-n', namespace, '-s', '-j', 'link', 'show', device]);
      const [link] = JSON.parse(String(stdout)) as [{ stats64: { rx: { bytes: number } } }];
      return link.stats64.rx.bytes;
    };
    return {
      address,
      namespace,
      receivedBytes,
      limit,
      limitTo,
      part,
      plug,
      move,
      swallow,
      start: (args, wrapper) => this.#start(namespace, args, wrapper),
    };
  }

  /** Ends what still runs, and takes the namespaces away. */
  async close(): Promise<void> {
    await Promise.all(this.#programs.map(async (program) => program.release()));
    this.#remove();
  }

  /** Does so at once, when there is no time left. */
  abandon(): void {
    for (const program of this.#programs) if (!program.isOver) program.signal('SIGKILL');
    this.#remove();
  }

  #remove(): void {
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
      env: {
        ...{ ...inherited, LOCKSTEP_NO_BUILD: '1', NO_COLOR: '1' },
        // Each has a user of its own.
        LOCKSTEP_HOME: join(this.#folder, namespace),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const program = new Program(child);
    this.#programs.push(program);
    return program;
  }
}

/** A machine in a network. */
export interface Host {
  readonly address: string;
  readonly namespace: string;
  /** What has come over one of its devices so far. */
  readonly receivedBytes: (device: string) => number;
  /** From now on its link passes so much. */
  readonly limit: (rate: Rate) => void;
  /** From now on it sends so much to another host, and to the others what it could at first. */
  readonly limitTo: (other: Host, kilobits: number) => void;
  /** From now on nothing passes between it and others that are parted; the coordinator is not. */
  readonly part: (isParted?: boolean) => void;
  /** Pulls its cables out, or puts them in: without, nothing passes between it and anybody. */
  readonly plug: (isIn: boolean) => void;
  /** It has another address from now on; its connections end, and nobody hears of that. */
  readonly move: (to: string) => void;
  /** What it sends to another address is lost on the way, as behind a firewall that drops it. */
  readonly swallow: (other: string) => void;
  /** Runs `lockstep` there, within `wrapper`. */
  readonly start: (args: readonly string[], wrapper?: readonly string[]) => Program;
}

/** A worker in a network. */
export interface Joined extends Host {
  readonly program: Program;
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

/** The kernel looks for carriers once a second; before that programs do not see the device. */
async function isUp(namespace: string): Promise<void> {
  await waitFor(`eth1 of ${namespace}`, () =>
    spawnSync('ip', ['-n', namespace, '-o', 'link', 'show', 'eth1'], {
      encoding: 'utf8',
    }).stdout.includes('state UP'),
  );
}

function setRate(namespace: string, device: string, rate: Rate): void {
  const place = ['netns', 'exec', namespace, 'tc', 'qdisc'];
  if (rate === undefined) {
    spawnSync('ip', [...place, 'delete', 'dev', device, 'root']);
    return;
  }
  const burst = `${Math.max(LEAST_BURST_KBIT, rate * BURST_SECONDS)}kbit`;
  const limit = ['tbf', 'rate', `${rate}kbit`, 'burst', burst, 'latency', LATENCY];
  ip(...place, 'replace', 'dev', device, 'root', ...limit);
}

function ip(...args: readonly string[]): void {
  const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' });
  assert.equal(status, 0, `ip ${args.join(' ')}: ${stderr}`);
}
