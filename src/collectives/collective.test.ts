import assert from 'node:assert/strict';
import type { CollectiveBody } from './collective.ts';
import { checkCollective } from './collective.contract.ts';
import { type ConnectRing, connectMemoryRing, connectTcpRing } from './neighbour-rings.contract.ts';
import { Ring } from './ring.ts';
import { makeShm } from './shm/shm.ts';

const ring: CollectiveBody = (options) => new Ring(options);

/** As for long sums. */
const lean: CollectiveBody = (options) => new Ring(options, 0);

const shm = makeShm({ otherwise: () => assert.fail('memory cannot be shared') });

const BODIES: readonly (readonly [string, CollectiveBody, ConnectRing])[] = [
  ['ring in memory', ring, connectMemoryRing],
  ['ring in memory, frames arriving twice', ring, (size) => connectMemoryRing(size, 2)],
  ['ring over TCP', ring, connectTcpRing],
  ['ring with room for one sum, in memory', lean, connectMemoryRing],
  ['ring with room for one sum, frames arriving twice', lean, (size) => connectMemoryRing(size, 2)],
  ['ring with room for one sum, over TCP', lean, connectTcpRing],
  ['shm over TCP', shm, connectTcpRing],
];

for (const body of BODIES) checkCollective(...body);
