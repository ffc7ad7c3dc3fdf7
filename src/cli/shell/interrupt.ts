import { EXIT } from './exit-codes.ts';
import type { Terminal } from './terminal.ts';

/**
 * Does work that Ctrl-C or SIGTERM ends in good order, by the signal that it is given; the second
 * one ends the process. Afterwards the live line is gone, and signals mean what they did before.
 */
export async function withInterrupt<T>(
  terminal: Terminal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const interrupt = (): void => {
    if (controller.signal.aborted) process.exit(EXIT.interrupted);
    terminal.line('stopping; press Ctrl-C again to end at once');
    controller.abort();
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  try {
    return await work(controller.signal);
  } finally {
    terminal.end();
    process.removeListener('SIGINT', interrupt);
    process.removeListener('SIGTERM', interrupt);
  }
}
