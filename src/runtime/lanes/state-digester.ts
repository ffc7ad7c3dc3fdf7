/**
 * Digests of the state that lanes have put into their shared memory. Those of a large one are taken
 * on a thread of its own: the worker hears and says everything meanwhile, and its lanes go on.
 */
import { Worker as Thread } from 'node:worker_threads';
import { messageOf, RuntimeError } from '../../base/errors.ts';
import { siblingModule } from '../../base/module-url.ts';
import { digestsOf, type StateDigests } from '../../state/digest.ts';

/** Below this a thread takes longer to start than the bytes to be read. */
const SMALL_BYTES = 4 << 20;
/** Who needs the memory waits so long for the thread, and a millisecond more for so many bytes. */
const READING_MS = 10_000;
const BYTES_PER_MS = 50_000;

/** What the thread is started with. */
export interface DigestThreadStart {
  readonly state: Uint8Array;
  readonly weightCount: number;
  /** 1 until the state is read. */
  readonly reading: Int32Array;
}

/** What is told of digests. */
export type OnDigests = (digests: StateDigests) => void;

/** One state, read by one thread at a time. */
export class StateDigester {
  readonly #state: Uint8Array;
  readonly #weightCount: number;
  readonly #onFailed: (error: RuntimeError) => void;
  readonly #smallBytes: number;
  readonly #reading = new Int32Array(new SharedArrayBuffer(4));
  readonly #threads = new Set<Thread>();
  /** Who waits for the digests of the state that is being read, or was last. */
  #waiting: OnDigests[] = [];

  /** `state` lies in shared memory; its first `weightCount` elements (float32) are the weights. */
  constructor(
    state: Uint8Array,
    weightCount: number,
    onFailed: (error: RuntimeError) => void,
    smallBytes = SMALL_BYTES,
  ) {
    this.#state = state;
    this.#weightCount = weightCount;
    this.#onFailed = onFailed;
    this.#smallBytes = smallBytes;
  }

  /** Whether the state is being read, and must stay as it is. */
  get isReading(): boolean {
    return Atomics.load(this.#reading, 0) === 1;
  }

  /** Calls back with the digests of the state as it is now. */
  take(done: OnDigests): void {
    if (this.#state.length <= this.#smallBytes)
      return done(digestsOf(this.#state, this.#weightCount));
    if (this.isReading) this.#waiting.push(done);
    else this.#start(done);
  }

  /** Returns once nobody reads the state any more: it may be written to. */
  settle(): void {
    if (!this.isReading) return;
    const allowedMs = READING_MS + this.#state.length / BYTES_PER_MS;
    if (Atomics.wait(this.#reading, 0, 1, allowedMs) !== 'timed-out') return;
    throw new RuntimeError(`the digest of the state was not there after ${allowedMs} ms`);
  }

  /** Ends what reads; nobody is told anything any more. */
  async close(): Promise<void> {
    this.#waiting.length = 0;
    await Promise.all([...this.#threads].map(async (thread) => thread.terminate()));
  }

  #start(first: OnDigests): void {
    Atomics.store(this.#reading, 0, 1);
    const waiting = [first];
    this.#waiting = waiting;
    const [state, weightCount, reading] = [this.#state, this.#weightCount, this.#reading];
    const thread = new Thread(siblingModule(import.meta.url, 'digest-thread'), {
      workerData: { state, weightCount, reading } satisfies DigestThreadStart,
      name: 'digest',
      resourceLimits: { maxYoungGenerationSizeMb: 2 },
    });
    this.#threads.add(thread);
    thread.once('message', (digests: StateDigests) => {
      for (const done of waiting) done(digests);
    });
    thread.once('exit', () => this.#threads.delete(thread));
    thread.once('error', (error) =>
      this.#onFailed(
        new RuntimeError(`the digest of the state: ${messageOf(error)}`, {}, { cause: error }),
      ),
    );
  }
}
