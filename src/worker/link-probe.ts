/** How fast a neighbour's bytes come over a connection: measured before the first sum. */
import type { Clock, Timer } from '../base/clock.ts';
import type { LinkSpeed } from '../plan/sum-cost.ts';
import { MAX_PROBE_BYTES, type PeerRequest } from '../protocol/peer-messages.ts';

const FIRST_BYTES = 4 << 10;
/** So many times more are asked for next, unless they would take too long. */
const GROWTH = 16;
/** What is asked for at once takes about so long at most, or so many round trips. */
const BURST_MS = 50;
const BURST_ROUND_TRIPS = 4;
/** No shorter time is measured. */
const LEAST_MS = 0.01;
/** After so long what is known is enough, or bad enough. */
const DEADLINE_MS = 1_000;

/** What a measurement needs, and who hears of it. */
export interface LinkProbeOptions {
  readonly clock: Clock;
  /** Bytes of a sum: more are not asked for. */
  readonly sumBytes: number;
  readonly send: (request: PeerRequest) => void;
  /** Told once, unless it is closed before. */
  readonly onMeasured: (link: LinkSpeed) => void;
}

/** So many bytes came so long after they were asked for. */
interface Answer {
  readonly bytes: number;
  readonly ms: number;
}

/** Asks for more and more bytes, one answer at a time. */
export class LinkProbe {
  readonly #options: LinkProbeOptions;
  readonly #deadline: Timer;
  #bytes = 0;
  #askedMs = 0;
  #quickest: Answer | undefined;
  /** The quicker one of the last to as many bytes. */
  #last: Answer | undefined;
  #isOver = false;

  constructor(options: LinkProbeOptions) {
    this.#options = options;
    this.#deadline = options.clock.after(DEADLINE_MS, () => this.#giveUp());
    this.#ask(this.#atMost(FIRST_BYTES));
  }

  /** An answer has come. */
  take(): void {
    if (this.#isOver) return;
    const answer = { bytes: this.#bytes, ms: this.#waitedMs() };
    const before = this.#last?.bytes === answer.bytes ? this.#last : undefined;
    const last = before !== undefined && before.ms < answer.ms ? before : answer;
    this.#last = last;
    if (this.#quickest === undefined || last.ms < this.#quickest.ms) this.#quickest = last;
    const speed = speedOf(this.#quickest, last);
    const burstMs = Math.max(BURST_MS, BURST_ROUND_TRIPS * speed.roundTripMs);
    const fitting = Math.floor((speed.bytesPerSecond / 1000) * burstMs);
    const next = this.#atMost(Math.min(GROWTH * last.bytes, fitting));
    if (next >= 2 * last.bytes) return this.#ask(next);
    // The most is asked for twice: a busy machine is late now and then.
    if (before === undefined && last.bytes > FIRST_BYTES) return this.#ask(last.bytes);
    this.#finish(speed);
  }

  /** Nobody is told any more. */
  close(): void {
    this.#isOver = true;
    this.#deadline.cancel();
  }

  #atMost(bytes: number): number {
    return Math.min(bytes, this.#options.sumBytes, MAX_PROBE_BYTES);
  }

  #ask(bytes: number): void {
    this.#bytes = bytes;
    this.#askedMs = this.#options.clock.now();
    this.#options.send({ kind: 'probe', bytes });
  }

  #waitedMs(): number {
    return Math.max(LEAST_MS, this.#options.clock.now() - this.#askedMs);
  }

  /** It is not faster than what has not come. */
  #giveUp(): void {
    const last = { bytes: this.#bytes, ms: this.#waitedMs() };
    this.#finish(speedOf(this.#quickest ?? last, last));
  }

  #finish(speed: LinkSpeed): void {
    this.close();
    this.#options.onMeasured(speed);
  }
}

/** What more bytes took longer. Where that says nothing, one answer has all of both. */
function speedOf(quickest: Answer, last: Answer): LinkSpeed {
  const [bytes, ms] = [last.bytes - quickest.bytes, last.ms - quickest.ms];
  if (bytes <= 0 || ms <= 0)
    return { roundTripMs: quickest.ms, bytesPerSecond: (1000 * last.bytes) / last.ms };
  const bytesPerMs = bytes / ms;
  const roundTripMs = Math.max(0, quickest.ms - quickest.bytes / bytesPerMs);
  return { roundTripMs, bytesPerSecond: 1000 * bytesPerMs };
}
