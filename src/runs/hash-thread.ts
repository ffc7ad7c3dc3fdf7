/** Reads large checkpoints beside the training. */
import { parentPort, workerData } from 'node:worker_threads';
import { hashFiles } from './hash-files.ts';

parentPort?.postMessage(hashFiles(workerData as readonly string[]));
