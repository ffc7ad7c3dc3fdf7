/** The program of a thread that takes the digests of a state in shared memory, while lanes go on. */
import { parentPort, workerData } from 'node:worker_threads';
import { digestsOf, type StateDigests } from '../../state/digest.ts';
import type { DigestThreadStart } from './state-digester.ts';

const { state, weightCount, reading } = workerData as DigestThreadStart;
let digests: StateDigests;
try {
  digests = digestsOf(state, weightCount);
} finally {
  // Before the answer: who asks after that asks of what is there then.
  Atomics.store(reading, 0, 0);
  Atomics.notify(reading, 0);
}
parentPort?.postMessage(digests);
