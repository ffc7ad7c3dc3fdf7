/** The program of a thread that takes the digests of a state in shared memory, while lanes go on. */
import { parentPort, workerData } from 'node:worker_threads';
import { digestsOf } from '../../state/digest.ts';
import type { DigestThreadStart } from './state-digester.ts';

const { state, weightCount, reading } = workerData as DigestThreadStart;
try {
  parentPort?.postMessage(digestsOf(state, weightCount));
} finally {
  Atomics.store(reading, 0, 0);
  Atomics.notify(reading, 0);
}
