/**
 * A coordinator node with its door: clients and nodes of Lockstep, and clients of the seed system,
 * reach it on one port.
 */
import { readFileSync, statSync } from 'node:fs';
import { systemClock } from '../base/clock.ts';
import { ConfigError, messageOf } from '../base/errors.ts';
import { DataFolder } from './numeric/data-folder.ts';
import { type Address, connect, connectBytes } from '../transport/tcp.ts';
import { nodeName, parseNodeList } from './node-list.ts';
import { createOpenLink } from './open-link.ts';
import type { PolicyName } from '../plan/policies.ts';
import { CoordinatorNode } from './coordinator-node.ts';
import { CoordinatorSession, serveSeedClient } from './coordinator-session.ts';
import { openDoor } from './door.ts';

/** Where a coordinator node listens, and how it finds and chooses compute nodes. */
export interface CoordinatorProcessOptions {
  readonly address: Address;
  readonly policy: PolicyName;
  /** The file compute_nodes.txt; it may be missing when nodes register themselves. */
  readonly nodesFile: string;
  /** What clients name lies in here. */
  readonly dataFolder: string;
  /** Numbers in [0, 1). */
  readonly random: () => number;
  readonly log: (line: string) => void;
}

/** A coordinator that is running. */
export interface RunningCoordinator {
  readonly address: Address;
  close(): Promise<void>;
}

const MAX_LIST_BYTES = 1 << 20;

/**
 * Opens the door. Throws: ConfigError for a list of nodes with bad lines, PeerLostError when the
 * port cannot be had.
 */
export async function startCoordinator(
  options: CoordinatorProcessOptions,
): Promise<RunningCoordinator> {
  const { policy, random, log } = options;
  const clock = systemClock;
  const data = new DataFolder(options.dataFolder);
  const readNodeList = createListReader(options.nodesFile);
  const listed = readNodeList();
  const coordinator = new CoordinatorNode({
    clock,
    policy,
    random,
    openLink: createOpenLink({ connect, connectBytes }, clock, policy === 'load-balancing'),
    readNodeList,
    loadDirectory: (directory, classes) => data.readDirectory(directory, classes),
  });
  const listener = await openDoor(options.address, log, {
    onFrames: (connection) => void new CoordinatorSession(connection, coordinator, clock, log),
    onThrift: (stream, around) => serveSeedClient(stream, coordinator, around, log),
  });
  log(`${listed.length} compute nodes in ${options.nodesFile}: ${listed.map(nodeName).join(', ')}`);
  return {
    address: listener.address,
    async close() {
      coordinator.close('the coordinator was ended');
      await listener.close();
    },
  };
}

/** Reads the list anew only when the file has changed. */
function createListReader(file: string): () => readonly Address[] {
  let seen = '';
  let nodes: readonly Address[] = [];
  return () => {
    const stats = statSync(file, { throwIfNoEntry: false });
    const stamp = `${stats?.mtimeMs} ${stats?.size}`;
    if (stats === undefined || stamp === seen) return stats === undefined ? [] : nodes;
    if (!stats.isFile() || stats.size > MAX_LIST_BYTES)
      throw new ConfigError(`${file}: expected a file of at most ${MAX_LIST_BYTES} bytes`);
    nodes = parseNodeList(readText(file), file);
    seen = stamp;
    return nodes;
  };
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigError(`reading ${file}: ${messageOf(error)}`, [], { cause: error });
  }
}
