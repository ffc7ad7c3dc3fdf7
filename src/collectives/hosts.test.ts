import assert from 'node:assert/strict';
import { ManualClock } from '../base/clock.ts';
import { type LockstepError, RuntimeError } from '../base/errors.ts';
import type { Collective, CollectiveBody } from './collective.ts';
import { checkSums, type Connect } from './collective.contract.ts';
import { Hosts } from './hosts.ts';
import {
  connectMemoryRing,
  connectTcpRing,
  type ConnectRing,
  type NeighbourRing,
} from './neighbour-rings.contract.ts';
import { Ring } from './ring.ts';
import { makeShm } from './shm/shm.ts';

/** Ranks on each host, by how many there are altogether. */
const LAYOUTS: Readonly<Record<number, readonly number[]>> = {
  2: [1, 1],
  3: [2, 1],
  4: [2, 2],
  5: [1, 1, 3],
  6: [1, 2, 3],
};
const SIZES = Object.keys(LAYOUTS).map(Number);

/** Connections of some of the ranks, in the order of their places. */
interface PartRing {
  readonly members: readonly number[];
  readonly ring: NeighbourRing;
}

async function connectPart(members: readonly number[], connect: ConnectRing): Promise<PartRing[]> {
  return members.length === 1 ? [] : [{ members, ring: await connect(members.length) }];
}

/** Connects the ranks of each host, who add up by `body`, and the first of each. */
function onHosts(body: CollectiveBody, connect: ConnectRing): Connect {
  return async (size) => {
    const places = [...Array(size).keys()];
    const hosts = LAYOUTS[size]!.map((count) => places.splice(0, count));
    const rings = (await Promise.all(hosts.map(async (of) => connectPart(of, connect)))).flat();
    const [leaders] = await connectPart(
      hosts.map(([first]) => first!),
      connect,
    );
    const all = [...rings, leaders!];
    return {
      pass: async () => Promise.all(all.map(async ({ ring }) => ring.pass())).then(() => {}),
      until: async (isMet) => leaders!.ring.until(isMet),
      close: async () => Promise.all(all.map(async ({ ring }) => ring.close())).then(() => {}),
      cut: (index) => {
        for (const { previous, next } of all.flatMap((of) => endsIn(of, index))) {
          previous.destroy();
          next.destroy();
        }
      },
      makeRank: (index, byteLength, onBroken) =>
        makeRank(
          { index, byteLength, onBroken },
          [
            rings.find(({ members }) => members.includes(index)),
            leaders!.members.includes(index) ? leaders : undefined,
          ],
          body,
        ),
    };
  };
}

function endsIn({ members, ring }: PartRing, index: number): NeighbourRing['neighbours'] {
  return members.includes(index) ? [ring.neighbours[members.indexOf(index)]!] : [];
}

interface RankFacts {
  readonly index: number;
  readonly byteLength: number;
  readonly onBroken: (error: LockstepError, rank: number) => void;
}

/** A rank which, as in a worker, is over as soon as one of its parts is. */
function makeRank(
  { index, byteLength, onBroken }: RankFacts,
  [host, leaders]: readonly [PartRing | undefined, PartRing | undefined],
  body: CollectiveBody,
): Collective {
  const makePart = (part: PartRing | undefined, make: CollectiveBody): Collective | undefined => {
    if (part === undefined) return undefined;
    const { members, ring } = part;
    const at = members.indexOf(index);
    return make({
      ...{ index: at, size: members.length, byteLength, isTotalKept: true },
      neighbours: ring.neighbours[at]!,
      onBroken: (error, neighbour) => {
        hosts.close();
        onBroken(error, members.at((at + (neighbour === 'next' ? 1 : -1)) % members.length)!);
      },
    });
  };
  const hosts = new Hosts({
    host: makePart(host, body),
    leaders: makePart(leaders, (options) => new Ring(options, 0)),
  });
  return hosts;
}

const ring: CollectiveBody = (options) => new Ring(options, 0);
const without: CollectiveBody = makeShm({
  otherwise: ring,
  memories: () => {
    throw new RuntimeError('memory cannot be shared here');
  },
});
const shm = makeShm({ otherwise: () => assert.fail('memory cannot be shared') });

/** All connections are of one virtual time. */
function inMemory(copies: 1 | 2): Connect {
  return async (size) => {
    const clock = new ManualClock();
    return onHosts(ring, async (count) => connectMemoryRing(count, copies, clock))(size);
  };
}

const BODIES: readonly (readonly [string, Connect])[] = [
  ['hosts in memory', inMemory(1)],
  ['hosts in memory, frames arriving twice', inMemory(2)],
  ['hosts over TCP, with memory that is shared', onHosts(shm, connectTcpRing)],
  ['hosts over TCP, without', onHosts(without, connectTcpRing)],
];

for (const [name, connect] of BODIES) checkSums(name, connect, SIZES);
