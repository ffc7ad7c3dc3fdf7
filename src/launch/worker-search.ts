import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../base/clock.ts';
import { RendezvousError } from '../base/errors.ts';
import { type Destination, placesText } from '../transport/dial.ts';

const RETRY_PAUSE_MS = 200;
const MAX_PAUSE_MS = 5_000;
/** Who waits for so long is told of it. */
const TELL_AFTER_MS = 2_000;

/** Where a worker looks for its coordinator. */
export interface SearchOptions {
  readonly destination: Destination;
  /** How long to look, at the start and after it was lost. */
  readonly retryMs: number;
  /** Ends the search. */
  readonly signal: AbortSignal;
  /** Told once, when the search takes a while. */
  readonly log: (line: string) => void;
}

/** The time and the attempts until a coordinator says welcome. */
export class WorkerSearch {
  readonly #options: SearchOptions;
  #startedMs = systemClock.now();
  #attempts = 0;
  /** How often it was asked to come back since it was last in a run. */
  #refusals = 0;
  #isOver = false;
  /** Whether the user knows that it is looked for a coordinator. */
  #isTold = false;

  constructor(options: SearchOptions) {
    this.#options = options;
  }

  /** Whether a coordinator was found and said welcome. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** How often the coordinator has asked to come back. */
  get refusals(): number {
    return this.#refusals;
  }

  /** A coordinator said welcome. */
  end(): void {
    this.#isOver = true;
    this.#refusals = 0;
  }

  /** The search begins anew, of which the user has been told. */
  restart(): void {
    this.#isTold = true;
    this.#startedMs = systemClock.now();
    this.#attempts = 0;
    this.#isOver = false;
  }

  /**
   * Records that nobody was found and pauses. Throws RendezvousError when there is no time for
   * another attempt.
   */
  async fail(reason: string, cause?: unknown): Promise<void> {
    const { destination, retryMs } = this.#options;
    this.#attempts++;
    const waitedMs = systemClock.now() - this.#startedMs;
    if (waitedMs + RETRY_PAUSE_MS > retryMs) {
      const tries = this.#attempts === 1 ? 'once' : `${this.#attempts} times`;
      const examine = placesText(destination.addresses.slice(0, 1));
      throw new RendezvousError(
        `joining ${placesText(destination.addresses)}: no coordinator there; tried ${tries} in ` +
          `${(waitedMs / 1000).toFixed(1)} s (last: ${reason}). Is \`lockstep coordinator\` ` +
          `running, and is the address right? \`lockstep doctor --join ${examine}\` finds out.`,
        { attempts: this.#attempts, waitedMs },
        { cause },
      );
    }
    this.#tell(reason, waitedMs);
    await this.#pause(unequal(RETRY_PAUSE_MS));
  }

  #tell(reason: string, waitedMs: number): void {
    if (this.#isTold || waitedMs < TELL_AFTER_MS) return;
    this.#isTold = true;
    const { destination, retryMs, log } = this.#options;
    const restSeconds = Math.ceil((retryMs - waitedMs) / 1000);
    log(
      `no coordinator at ${placesText(destination.addresses)} yet (${reason}); looking for it ` +
        `for ${restSeconds} s more`,
    );
  }

  /**
   * A coordinator was found, and asks to come back later. That may take as long as its run: the
   * search for it begins when it is gone. Pauses grow.
   */
  async comeBack(): Promise<void> {
    const mostMs = Math.min(MAX_PAUSE_MS, RETRY_PAUSE_MS * 2 ** this.#refusals);
    this.#refusals++;
    await this.#pause(unequal(mostMs));
    this.restart();
  }

  /** Ends early when the search is ended. */
  async #pause(durationMs: number): Promise<void> {
    const { signal } = this.#options;
    await sleep(durationMs, undefined, { signal }).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
  }
}

/** So long at most, and another time for every worker: many look for the same coordinator. */
function unequal(mostMs: number): number {
  return mostMs * (0.5 + Math.random() / 2);
}
