import { EXIT } from './exit-codes.ts';
import type { Terminal } from './terminal.ts';

/** The user's wish to end, until it is released. */
export interface Interrupt {
  readonly signal: AbortSignal;
  release(): void;
}

/**
 * Gives a signal that the first Ctrl-C or SIGTERM raises, to end in good order. The second one ends
 * the process.
 */
export function interruptOnSignals(terminal: Terminal): Interrupt {
  const controller = new AbortController();
  const handle = (): void => {
    if (controller.signal.aborted) process.exit(EXIT.interrupted);
    terminal.line('stopping; press Ctrl-C again to end at once');
    controller.abort();
  };
  process.on('SIGINT', handle);
  process.on('SIGTERM', handle);
  return {
    signal: controller.signal,
    release: () => {
      process.removeListener('SIGINT', handle);
      process.removeListener('SIGTERM', handle);
    },
  };
}
