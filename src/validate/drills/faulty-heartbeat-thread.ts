/** The program of a heartbeat thread whose machine's wall clock jumps by an hour. */
import { workerData } from 'node:worker_threads';
import type { HeartbeatStart } from '../../launch/heartbeat-thread.ts';
import type { FaultyParts } from './faulty-lane.ts';

const JUMP_MS = 3_600_000;

const start = workerData as {
  intervalMs: HeartbeatStart['intervalMs'];
  readonly extra: FaultyParts;
};
const { clock } = start.extra;
const realNow = Date.now;
Date.now = () => realNow() + JUMP_MS * Atomics.load(clock, 0);

// Often, so that a run that lasts less than a second has time to see it.
start.intervalMs = 50;
await import('../../launch/heartbeat-thread.ts');
