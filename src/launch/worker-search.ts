import { systemClock } from '../base/clock.ts';
import { RendezvousError } from '../base/errors.ts';
import type { Address } from '../transport/tcp.ts';

const RETRY_PAUSE_MS = 200;

/** Where a worker looks for its coordinator. */
export interface SearchOptions {
  readonly address: Address;
  /** How long to look, at the start and after it was lost. */
  readonly retryMs: number;
  /** Ends the search. */
  readonly signal: AbortSignal;
}

/** The time and the attempts until a coordinator says welcome. */
export class WorkerSearch {
  readonly #options: SearchOptions;
  #startedMs = systemClock.now();
  #attempts = 0;
  /** A coordinator was found and said welcome. */
  isOver = false;

  constructor(options: SearchOptions) {
    this.#options = options;
  }

  restart(): void {
    this.#startedMs = systemClock.now();
    this.#attempts = 0;
    this.isOver = false;
  }

  /**
   * Records an attempt that failed and pauses. Throws RendezvousError when there is no time for
   * another.
   */
  async fail(
    reason: string,
    how: { readonly cause?: unknown; readonly wasThere?: boolean },
  ): Promise<void> {
    const { address, retryMs } = this.#options;
    this.#attempts++;
    const waitedMs = systemClock.now() - this.#startedMs;
    if (waitedMs + RETRY_PAUSE_MS > retryMs) {
      const tries = this.#attempts === 1 ? 'once' : `${this.#attempts} times`;
      const where = `${address.host}:${address.port}`;
      const tried = `tried ${tries} in ${(waitedMs / 1000).toFixed(1)} s`;
      throw new RendezvousError(
        how.wasThere === true
          ? `joining ${where}: refused: ${reason}; ${tried}`
          : `joining ${where}: no coordinator there; ${tried} (last: ${reason}). Is \`lockstep ` +
              'coordinator` running, and is the address right?',
        { attempts: this.#attempts, waitedMs },
        { cause: how.cause },
      );
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_PAUSE_MS));
  }
}
