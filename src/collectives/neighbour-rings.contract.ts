/** Rings of connections between ranks of one process, on which collectives are tried out. */
import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ManualClock } from '../base/clock.ts';
import type { Connection } from '../transport/connection.ts';
import { connectInMemory, SimulatedHost } from '../transport/memory-network.ts';
import { connect, listen } from '../transport/tcp.ts';
import type { Neighbours } from './collective.ts';

const DEADLINE_MS = 20_000;
/** Turns of the event loop, in which what is sent over loopback arrives. */
const TURNS = 20;

/** Connections of every rank to its neighbours, and the time in which frames arrive. */
export interface NeighbourRing {
  readonly neighbours: readonly Neighbours[];
  /** Lets some of what is under way arrive. */
  pass(): Promise<void>;
  /** Waits for a fact, until a deadline. */
  until(isMet: () => boolean): Promise<void>;
  /** Ends what is left of the connections. */
  close(): Promise<void>;
}

/** Connects so many ranks to a ring. */
export type ConnectRing = (size: number) => Promise<NeighbourRing>;

/** Frames take up to 20 ms of virtual time, each its own; every fifth arrives `copies` times. */
export function connectMemoryRing(
  size: number,
  copies: 1 | 2 = 1,
  clock: ManualClock = new ManualClock(),
): Promise<NeighbourRing> {
  let drawn = size;
  const draw = (below: number): number => {
    drawn = (Math.imul(drawn, 1_103_515_245) + 12_345) >>> 0;
    return (drawn >>> 8) % below;
  };
  const hosts = Array.from({ length: size }, (_, rank) => new SimulatedHost(`rank ${rank}`));
  const links = hosts.map((host, rank) =>
    connectInMemory(
      clock,
      { delayMs: () => draw(20), heldUntilMs: 0, isDoubled: () => copies === 2 && draw(5) === 0 },
      host,
      hosts[(rank + 1) % size]!,
    ),
  );
  return Promise.resolve({
    neighbours: neighboursOf(links),
    pass: async () => clock.advance(draw(15)),
    until: async (isMet) => {
      while (!isMet()) assert.ok(clock.step(), 'nothing is under way any more');
    },
    close: async () => {
      for (const end of links.flat()) end.destroy();
    },
  });
}

/** Frames, and large payloads through the memory of this machine, go as between processes. */
export async function connectTcpRing(size: number): Promise<NeighbourRing> {
  const links = await Promise.all(Array.from({ length: size }, () => connectOverLoopback()));
  return {
    neighbours: neighboursOf(links.map(({ ends }) => ends)),
    pass: async () => {
      for (let turn = 0; turn < TURNS; turn++) await nextTurn();
    },
    until: waitUntil,
    close: async () => {
      for (const end of links.flatMap(({ ends }) => ends)) end.destroy();
      await Promise.all(links.map(({ door }) => door.close()));
    },
  };
}

async function waitUntil(isMet: () => boolean): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!isMet()) {
    assert.ok(performance.now() < deadline, `not met within ${DEADLINE_MS} ms`);
    await nextTurn();
  }
}

/** The ends of the sender and the receiver, who dials: a rank dials the one before it. */
async function connectOverLoopback() {
  let accept: (connection: Connection) => void;
  const accepted = new Promise<Connection>((resolve) => (accept = resolve));
  const door = await listen({ host: '127.0.0.1', port: 0 }, (connection) => accept(connection));
  const receiver = await connect(door.address, DEADLINE_MS);
  return { door, ends: [await accepted, receiver] as const };
}

/** Link r leads from rank r to the one after it. */
function neighboursOf(links: readonly (readonly [Connection, Connection])[]): Neighbours[] {
  return links.map(([next], rank) => ({ next, previous: links.at(rank - 1)![1] }));
}
