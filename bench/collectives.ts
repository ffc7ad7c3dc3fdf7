/**
 * All-reduces of int32 sums, each checked and timed from a barrier to the end on the slowest rank:
 *
 *   pair       two processes on loopback: every collective of Lockstep, and PyTorch's on gloo,
 *              alternately; medians, and how many times faster than gloo
 *   links      the ring of four network namespaces (root, Linux), each behind a link of 1 Gbit/s:
 *              the part of what the links allow, 2 (n - 1) / n * bytes / rate
 *
 *   hosts      two such namespaces of two ranks each: all in one ring, and on each host in shared
 *              memory with one rank of each in the ring, alternately; medians
 *
 * The first needs Debian's python3-torch, the second iproute2.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { type BodyName, RING_BODY_NAMES } from '../src/collectives/body-names.ts';
import { type Host, reasonToSkip, withNetwork } from '../test/real/network.ts';
import { median } from './lib/median.ts';
import { fromRoot, lockstepJson, machine } from './lib/processes.ts';

const ROUNDS = 5;
const RANKS = 2;
/** Sizes in MiB, and timed all-reduces of each in a round. */
const SIZES: readonly (readonly [name: string, sizeMb: number, iterations: number])[] = [
  ['1 KiB', 0.001, 200],
  ['400 KiB', 400 / 1024, 100],
  ['4 MiB', 4, 30],
  ['100 MiB', 100, 5],
];
const LINKED_HOSTS = 4;
const LINK_KBIT = 1_000_000;
const LINKED_MIB = 100;
const DOOR = 7070;
/** Of each of the two hosts. */
const RANKS_PER_HOST = 2;
/** Sizes in MiB between hosts, and timed all-reduces of each in a round. */
const HOST_SIZES: readonly (readonly [name: string, sizeMb: number, iterations: number])[] = [
  ['400 KiB', 400 / 1024, 50],
  ['100 MiB', 100, 3],
];
const HOST_ROUNDS = 3;
const END_MS = 120_000;

const children = new Set<ChildProcess>();
process.once('exit', () => children.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => process.exit(130));
let nextPort = 29_900 + (process.pid % 90);

/** The median time of one of Lockstep's, in milliseconds, with the bytes that were added up. */
function lockstep(collective: BodyName, sizeMb: number, iterations: number): Measured {
  const args = ['--collective', collective, '--size-mb', sizeMb, '--iterations', iterations];
  return measuredIn(lockstepJson(['bench-collective', '--workers', RANKS, ...args].map(String)));
}

interface Measured {
  readonly ms: number;
  readonly bytes: number;
  readonly path: string;
}

function measuredIn(result: Readonly<Record<string, unknown>>): Measured {
  return {
    ms: Number(result['p50_time_ms']),
    bytes: Number(result['bytes']),
    path: String(result['path']),
  };
}

/** The median time of PyTorch's on gloo, in milliseconds: a process for each rank. */
async function gloo(bytes: number, iterations: number): Promise<number> {
  const port = nextPort++;
  const printed = await Promise.all(
    Array.from({ length: RANKS }, async (_, rank) => {
      const script = fromRoot('bench', 'pytorch', 'all_reduce.py');
      const group = { WORLD_SIZE: RANKS, MASTER_ADDR: '127.0.0.1', MASTER_PORT: port, RANK: rank };
      const strings = Object.entries(group).map(([name, value]) => [name, String(value)]);
      const child = spawn('/usr/bin/python3', [script, String(bytes), String(iterations)], {
        env: { ...process.env, ...Object.fromEntries(strings) },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      children.add(child);
      let output = '';
      child.stdout.on('data', (text: Buffer) => (output += text.toString()));
      const status = await new Promise<number | null>((resolve) => child.once('close', resolve));
      children.delete(child);
      if (status !== 0)
        throw new Error(`all_reduce.py ended with ${status}: is python3-torch there?`);
      return output;
    }),
  );
  return measuredIn(JSON.parse(printed[0] ?? '') as Record<string, unknown>).ms;
}

async function pair(): Promise<void> {
  for (const [name, sizeMb, iterations] of SIZES) {
    const times = new Map<string, number[]>();
    const note = (what: string, ms: number): void =>
      void times.set(what, [...(times.get(what) ?? []), ms]);
    for (let round = 0; round < ROUNDS; round++) {
      let bytes = 0;
      for (const collective of RING_BODY_NAMES) {
        const measured = lockstep(collective, sizeMb, iterations);
        bytes = measured.bytes;
        note(collective, measured.ms);
      }
      note('gloo', await gloo(bytes, iterations));
    }
    const glooMs = median(times.get('gloo') ?? []);
    const texts = [...times].map(([what, values]) => {
      const ms = median(values);
      const all = values.map((value) => value.toFixed(3)).join(', ');
      return `${what} ${ms.toFixed(3)} ms (${all}) = ${(glooMs / ms).toFixed(2)}x gloo`;
    });
    console.log(`pair: ${name}: ${texts.join('; ')}`);
  }
}

/** The median time of one among ranks on `hosts`, of which each may be there several times. */
async function between(
  hosts: readonly Host[],
  collective: BodyName,
  sizeMb: number,
  iterations: number,
): Promise<Measured> {
  const doors = hosts.map(({ address }, rank) => `${address}:${DOOR + rank}`).join(',');
  const args = ['--collective', collective, '--size-mb', sizeMb, '--iterations', iterations];
  const programs = hosts.map(({ start }, rank) =>
    start(['bench-collective', '--hosts', doors, ...args, '--json', '--rank', rank].map(String)),
  );
  for (const program of programs) {
    const { status } = await program.end(END_MS);
    if (status !== 0) throw new Error(`bench-collective ended with ${status}: ${program.stderr}`);
  }
  return measuredIn(JSON.parse(programs[0]?.stdout ?? '') as Record<string, unknown>);
}

async function twoHosts(): Promise<void> {
  requireLinks();
  await withNetwork(async (network) => {
    const ranks = [network.addHost(LINK_KBIT), network.addHost(LINK_KBIT)].flatMap((host) =>
      Array.from({ length: RANKS_PER_HOST }, () => host),
    );
    for (const [name, sizeMb, iterations] of HOST_SIZES) {
      const times = { ring: [] as number[], hosts: [] as number[] };
      for (let round = 0; round < HOST_ROUNDS; round++)
        for (const body of ['ring', 'hosts'] as const)
          times[body].push((await between(ranks, body, sizeMb, iterations)).ms);
      const [ringMs, hostsMs] = [median(times.ring), median(times.hosts)];
      const all = Object.entries(times).map(
        ([body, values]) => `${body} ${values.map((ms) => ms.toFixed(2)).join(', ')} ms`,
      );
      console.log(
        `hosts: 2 x ${RANKS_PER_HOST} ranks at ${LINK_KBIT / 1000} Mbit/s, ${name}: ` +
          `${all.join('; ')}: ${(ringMs / hostsMs).toFixed(2)}x the ring`,
      );
    }
  });
}

function requireLinks(): void {
  const skipped = reasonToSkip();
  if (skipped !== false) throw new Error(`links cannot be made: ${skipped}`);
}

async function links(): Promise<void> {
  requireLinks();
  await withNetwork(async (network) => {
    const hosts = Array.from({ length: LINKED_HOSTS }, () => network.addHost(LINK_KBIT));
    const { ms, bytes, path } = await between(hosts, 'ring', LINKED_MIB, 10);
    const leastMs = (((2 * (LINKED_HOSTS - 1)) / LINKED_HOSTS) * 8 * bytes) / LINK_KBIT;
    console.log(
      `links: ring of ${LINKED_HOSTS} at ${LINK_KBIT / 1000} Mbit/s, ${LINKED_MIB} MiB: ` +
        `${ms.toFixed(0)} ms (${path}), the links alone ${leastMs.toFixed(0)} ms: ` +
        `${((100 * leastMs) / ms).toFixed(1)} %`,
    );
  });
}

const PARTS: Readonly<Record<string, () => Promise<void>>> = { pair, links, hosts: twoHosts };
const [wanted] = process.argv.slice(2);
if (wanted !== undefined && PARTS[wanted] === undefined)
  throw new Error(`expected one of ${Object.keys(PARTS).join(', ')}, not ${wanted}`);
console.log(machine());
for (const [name, measure] of Object.entries(PARTS))
  if (wanted === undefined || wanted === name) await measure();
