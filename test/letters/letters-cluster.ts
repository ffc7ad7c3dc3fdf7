/** Nodes, coordinators and clients of the letters system as processes, for tests. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { writeLettersDirectory } from '../../src/letters/numeric/packed-letters.ts';
import {
  type Program,
  REPOSITORY,
  startLockstep,
  startProgram,
  temporaryFolder,
  waitFor,
} from '../cluster/processes.ts';

const PYTHON = '/usr/bin/python3';

/**
 * Why the programs in Python cannot run here; false when they can. For the `skip` option of tests.
 */
export function pythonThriftMissing(): string | false {
  const { status } = spawnSync(PYTHON, ['-c', 'import thrift, numpy'], { timeout: 60_000 });
  return status === 0
    ? false
    : 'python3-thrift or python3-numpy is not installed: apt-get install python3-thrift';
}

/** A program of ours in Python. */
export function startPython(
  t: TestContext,
  script: string,
  args: readonly (string | number)[],
): Program {
  const path = join(REPOSITORY, 'test/letters', script);
  return startProgram(t, PYTHON, ['-B', path, ...args.map(String)]);
}

/** The port that a door has opened, from its log. */
export async function portOf(program: Program): Promise<number> {
  const port = await waitFor(
    `a port; it said: ${program.stderr}`,
    () => /listens on \S+:(\d+)/.exec(program.stderr)?.[1],
  );
  return Number(port);
}

/** A folder with the letters and a list of nodes. */
export class Cluster {
  readonly folder: string;
  readonly letters: string;
  readonly list: string;
  readonly #t: TestContext;
  readonly #ports: number[] = [];

  private constructor(t: TestContext, folder: string) {
    this.#t = t;
    this.folder = folder;
    this.letters = join(folder, 'letters');
    this.list = join(folder, 'compute_nodes.txt');
  }

  static async create(t: TestContext): Promise<Cluster> {
    const cluster = new Cluster(t, temporaryFolder(t));
    await writeLettersDirectory(cluster.letters);
    cluster.#writeList();
    return cluster;
  }

  /** Starts a node and puts it on the list. */
  async startNode(load: number, ...flags: string[]): Promise<Program> {
    const program = this.startUnlistedNode(load, ...flags);
    this.addToList(await portOf(program));
    return program;
  }

  startUnlistedNode(load: number, ...flags: string[]): Program {
    const args = ['compute-node', '0', String(load), '--data-dir', this.folder, ...flags];
    return startLockstep(this.#t, args);
  }

  addToList(port: number): void {
    this.#ports.push(port);
    this.#writeList();
  }

  async startCoordinator(policy: string): Promise<{ program: Program; port: number }> {
    const args = ['coordinator-node', '0', policy, '--data-dir', this.folder, '--nodes', this.list];
    const program = startLockstep(this.#t, args);
    return { program, port: await portOf(program) };
  }

  /** Starts a client; `job` is rounds, epochs, h, eta and flags. */
  startClient(port: number, ...job: (string | number)[]): Program {
    const args = ['client', '127.0.0.1', String(port), this.letters, ...job.map(String)];
    return startLockstep(this.#t, [...args, '--out-dir', join(this.folder, 'out')], this.folder);
  }

  #writeList(): void {
    writeFileSync(this.list, this.#ports.map((port) => `127.0.0.1,${port}\n`).join(''));
  }
}

/** The number in the last line of a client that ended well. */
export async function finalError(client: Program): Promise<number> {
  const { status } = await client.end();
  assert.equal(status, 0, client.stderr);
  const match = /^Client: Final validation error => (\S+)$/m.exec(client.stdout);
  assert.ok(match?.[1] !== undefined, client.stdout);
  return Number(match[1]);
}
