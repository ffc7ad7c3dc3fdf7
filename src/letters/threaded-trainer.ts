import { Worker as Thread } from 'node:worker_threads';
import { invariant, messageOf, RuntimeError } from '../base/errors.ts';
import { siblingModule } from '../base/module-url.ts';
import type { Rows } from './numeric/two-layer-network.ts';
import type { FileResult, FileTask } from './numeric/train-file.ts';
import type { Trainer } from './compute-node.ts';
import { CONTROL, type ThreadAnswer, type ThreadRequest } from './compute-control.ts';

interface Pending {
  resolve(result: FileResult | undefined): void;
  reject(error: RuntimeError): void;
}

/** Trains on a thread of its own, which is started by the first request; one request at a time. */
export class ThreadedTrainer implements Trainer {
  readonly #control = new Int32Array(new SharedArrayBuffer(CONTROL.words * 4));
  #thread: Thread | undefined;
  #pending: Pending | undefined;
  #number = 0;

  get progress(): number {
    return Atomics.load(this.#control, CONTROL.epochs) >>> 0;
  }

  /** Throws: RuntimeError when the thread fails; the next request gets another one. */
  train(rows: Rows, task: FileTask): Promise<FileResult | undefined> {
    invariant(this.#pending === undefined, 'two requests at a time');
    const thread = (this.#thread ??= this.#start());
    const request: ThreadRequest = { number: ++this.#number, rows, task };
    thread.postMessage(request);
    return new Promise((resolve, reject) => {
      this.#pending = { resolve, reject };
    });
  }

  cancel(): void {
    Atomics.store(this.#control, CONTROL.cancelled, this.#number);
  }

  /** Ends the thread; what it was training fails. */
  async close(): Promise<void> {
    await this.#thread?.terminate();
  }

  #start(): Thread {
    const url = siblingModule(import.meta.url, 'compute-thread');
    const thread = new Thread(url, { workerData: this.#control.buffer, name: 'compute' });
    thread.on('message', ({ result, error }: ThreadAnswer) => {
      const pending = this.#pending;
      this.#pending = undefined;
      if (error === undefined) pending?.resolve(result);
      else pending?.reject(new RuntimeError(`training: ${error}`));
    });
    thread.on('error', (error) => this.#fail(thread, messageOf(error)));
    thread.on('exit', (code) => this.#fail(thread, `the thread ended with ${code}`));
    return thread;
  }

  #fail(thread: Thread, reason: string): void {
    if (this.#thread !== thread) return;
    this.#thread = undefined;
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.reject(new RuntimeError(`training: ${reason}`));
  }
}
