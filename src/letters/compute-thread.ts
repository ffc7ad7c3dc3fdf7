/** The thread of a compute node that trains, so that the node answers meanwhile. */
import { parentPort, workerData } from 'node:worker_threads';
import { messageOf } from '../base/errors.ts';
import type { Rows } from './numeric/two-layer-network.ts';
import { type FileTask, trainOnFile } from './numeric/train-file.ts';
import { CONTROL, type ThreadAnswer, type ThreadRequest } from './compute-control.ts';

const control = new Int32Array(workerData as SharedArrayBuffer);

parentPort?.on('message', ({ number, rows, task }: ThreadRequest) => {
  parentPort?.postMessage(answer(number, rows, task));
});

function answer(number: number, rows: Rows, task: FileTask): ThreadAnswer {
  try {
    const isCancelled = (): boolean => {
      Atomics.add(control, CONTROL.epochs, 1);
      return Atomics.load(control, CONTROL.cancelled) === number;
    };
    return { result: trainOnFile(rows, task, isCancelled) };
  } catch (error) {
    return { error: messageOf(error) };
  }
}
