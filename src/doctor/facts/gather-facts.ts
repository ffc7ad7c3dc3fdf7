/** What this machine can say of itself. */
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, hostname, loadavg, release, totalmem } from 'node:os';
import { messageOf } from '../../base/errors.ts';
import { availableMemory } from '../../data/available-memory.ts';
import { VERSION } from '../../launch/software.ts';
import { listDevices } from '../../runtime/devices.ts';
import { checkOnnxRuntime } from '../../runtime/onnx-runtime.ts';
import type { Address } from '../../transport/tcp.ts';
import type { MachineFacts } from '../checks/machine-facts.ts';
import { gatherDoorway } from './doorway.ts';
import { gatherLinkFile } from './link-file.ts';
import { gatherFirewall, gatherInputChains, gatherInterfaces } from './networks.ts';
import { gatherPlaces } from './places.ts';
import { findProgram, outputOf } from './run-program.ts';
import { gatherSleep } from './sleep.ts';

/** What else is to be looked at. */
export interface Wishes {
  readonly environment: NodeJS.ProcessEnv;
  /** The folder that runs are put into. */
  readonly runs: string;
  /** Where a coordinator is to listen. */
  readonly doorway?: Address;
  readonly linkFile?: string;
}

const INSTALLERS = ['apt-get', 'dnf', 'pacman', 'apk', 'zypper', 'brew'] as const;

/** Asks the system for all facts, side by side where they do not disturb each other. */
export async function gatherFacts(wishes: Wishes): Promise<MachineFacts> {
  const { environment, runs, doorway, linkFile } = wishes;
  const has = (name: string): boolean => findProgram(name, environment) !== undefined;
  const installer = INSTALLERS.find(has);
  const [inputChains, sleep, firewall, isClockSynchronised, openFiles] = await Promise.all([
    gatherInputChains(),
    gatherSleep(),
    gatherFirewall(),
    gatherClockState(),
    gatherOpenFiles(),
  ]);
  return {
    platform: process.platform,
    release: release(),
    arch: process.arch,
    hostname: hostname(),
    node: { version: process.versions.node, program: process.execPath, isOnPath: true },
    lockstep: VERSION,
    cores: {
      usable: availableParallelism(),
      present: cpus().length,
      ...(process.platform !== 'win32' && { load: loadavg()[0] ?? 0 }),
    },
    memory: { availableBytes: availableMemory(), totalBytes: totalmem() },
    places: gatherPlaces(runs, environment),
    interfaces: gatherInterfaces(),
    programs: {
      ssh: has('ssh'),
      ...(process.platform !== 'win32' && { tmux: has('tmux'), tar: has('tar') }),
    },
    ...known({ installer, inputChains, sleep, firewall, isClockSynchronised, openFiles }),
    ...(doorway !== undefined && { doorway: await gatherDoorway(doorway) }),
    ...(linkFile !== undefined && { linkFile: gatherLinkFile(linkFile) }),
    ...(await gatherRuntime()),
  };
}

/** An object without the keys whose values are not known. */
function known<T extends object>(facts: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const pairs = Object.entries(facts).filter(([, value]) => value !== undefined);
  return Object.fromEntries(pairs) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

async function gatherRuntime(): Promise<Pick<MachineFacts, 'runtimeProblem' | 'devices'>> {
  try {
    checkOnnxRuntime();
  } catch (error) {
    return { runtimeProblem: messageOf(error) };
  }
  const reports = await listDevices();
  return {
    runtimeProblem: null,
    devices: reports.map(({ device, isAvailable, gigaflops, reason }) => ({
      device,
      isAvailable,
      ...known({ gigaflops, reason }),
    })),
  };
}

async function gatherClockState(): Promise<boolean | undefined> {
  if (process.platform !== 'linux') return undefined;
  const text = await outputOf('timedatectl', ['show', '-p', 'NTPSynchronized', '--value']);
  return text === undefined ? undefined : text.trim() === 'yes';
}

async function gatherOpenFiles(): Promise<number | undefined> {
  if (process.platform === 'win32') return undefined;
  if (process.platform === 'linux')
    return parseOpenFiles(readFileSync('/proc/self/limits', 'utf8'));
  // Node.js has raised its own limit as far as it may, and a child gets that.
  return parseOpenFiles((await outputOf('/bin/sh', ['-c', 'ulimit -n'])) ?? '');
}

/** The limit in `/proc/self/limits`, or the number that `ulimit` prints. */
export function parseOpenFiles(text: string): number | undefined {
  const word = /^Max open files\s+(\S+)/m.exec(text)?.[1] ?? text.trim();
  if (word === 'unlimited') return Number.MAX_SAFE_INTEGER;
  return /^\d+$/.test(word) ? Number(word) : undefined;
}
