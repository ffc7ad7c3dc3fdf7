/**
 * The letters system against its published cases: wall time on 4 nodes with the original injected
 * delays of 3 s, the floors that the delays set, and the final errors. Then the time without load.
 * About three minutes.
 *
 * Floors: tasks x expected delay per accepted task / nodes, where a delay costs 3 s. With the
 *         original's order of draws a rejected request may have cost a delay: 3p / (1 - p) s per
 *         task. Rejecting first: 3p s.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeLettersDirectory } from '../src/letters/numeric/packed-letters.ts';
import { fromRoot, machine } from './lib/processes.ts';

const NODES = 4;
const FILES = 11;
const DELAY_S = 3;
const PORT_DEADLINE_MS = 30_000;
const LOCKSTEP = fromRoot('bin', 'lockstep.js');

interface Case {
  readonly name: string;
  readonly load: number;
  readonly rounds: number;
  readonly epochs: number;
  readonly hidden: number;
  readonly flags: readonly string[];
  /** Published wall time in seconds, if there is one. */
  readonly original?: number;
}

const SEED = ['--compat', 'seed'];
const CASES: readonly Case[] = [
  { name: 'case 1', load: 0.2, rounds: 5, epochs: 15, hidden: 20, flags: SEED, original: 120.8 },
  { name: 'case 2', load: 0.8, rounds: 5, epochs: 15, hidden: 20, flags: SEED, original: 329.2 },
  { name: 'case 8', load: 0.5, rounds: 15, epochs: 50, hidden: 24, flags: SEED, original: 1126.7 },
  { name: 'case 8, no load', load: 0, rounds: 15, epochs: 50, hidden: 24, flags: SEED },
  { name: 'case 8, no load, default mode', load: 0, rounds: 15, epochs: 50, hidden: 24, flags: [] },
];

/** Doors of the letters system; `end` closes them in the order in which they were opened. */
class Processes {
  readonly #children: ChildProcess[] = [];

  /** Starts a door and gives its port. */
  async start(...args: string[]): Promise<number> {
    const child = spawn(process.execPath, [LOCKSTEP, ...args, '--host', '127.0.0.1'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#children.push(child);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no port: ${text}`)), PORT_DEADLINE_MS);
      let text = '';
      child.stderr?.setEncoding('utf8').on('data', (more: string) => {
        text += more;
        const port = /listens on \S+:(\d+)/.exec(text)?.[1];
        if (port === undefined) return;
        clearTimeout(timer);
        resolve(Number(port));
      });
    });
  }

  async end(): Promise<void> {
    for (const child of this.#children) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await ended;
    }
  }
}

/** Trains one case on nodes of its own; gives its row of the table. */
async function runCase(one: Case, letters: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-bench-'));
  const processes = new Processes();
  try {
    const port = await startNodes(processes, one.load, letters, join(folder, 'compute_nodes.txt'));
    const out = join(folder, 'out');
    const job = [one.rounds, one.epochs, one.hidden, 0.0001].map(String);
    const client = ['client', '127.0.0.1', String(port), letters, ...job, ...one.flags];
    const error = await train([...client, '--out-dir', out]);
    return [...cellsOf(one, readFileSync(join(out, 'timing.txt'), 'utf8')), error].join(' | ');
  } finally {
    await processes.end();
    rmSync(folder, { recursive: true });
  }
}

/** Starts nodes and a coordinator for data in `letters`, which finds them in `list`; its port. */
async function startNodes(
  processes: Processes,
  load: number,
  letters: string,
  list: string,
): Promise<number> {
  const nodes: number[] = [];
  for (let i = 0; i < NODES; i++)
    nodes.push(await processes.start('compute-node', '0', String(load)));
  writeFileSync(list, nodes.map((port) => `127.0.0.1,${port}\n`).join(''));
  return processes.start('coordinator-node', '0', '2', '--nodes', list, '--data-dir', letters);
}

/** The case's name, then seconds: measured, the two floors, the original's, and the parts. */
function cellsOf({ name, load, rounds, original }: Case, timing: string): string[] {
  const times =
    /wall (\S+) ms, compute (\S+) ms, transfer (\S+) ms, injected (\S+) ms/.exec(timing) ?? [];
  const [wall = 0, compute = 0, transfer = 0, injected = 0] = times
    .slice(1)
    .map((ms) => Number(ms) / 1000);
  const firstFloor = (rounds * FILES * DELAY_S * load) / NODES;
  const floor = firstFloor / (1 - load);
  const parts = [compute, transfer, injected];
  const cells = [name, wall, floor, firstFloor, original ?? '-', ...parts];
  return cells.map((cell) => (typeof cell === 'number' ? cell.toFixed(1) : cell));
}

async function train(args: readonly string[]): Promise<string> {
  const child = spawn(process.execPath, [LOCKSTEP, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (more: string) => (text += more));
  await new Promise((resolve) => child.once('exit', resolve));
  return /=> (\S+)/.exec(text)?.[1] ?? 'failed';
}

const letters = mkdtempSync(join(tmpdir(), 'lockstep-letters-'));
await writeLettersDirectory(letters);
console.log(machine());
console.log(
  'case | wall s | floor s | floor, rejecting first | original s | compute s | transfer s | ' +
    'injected s | error',
);
const only = process.argv.slice(2).join(' ');
for (const one of CASES) if (one.name.startsWith(only)) console.log(await runCase(one, letters));
rmSync(letters, { recursive: true });
