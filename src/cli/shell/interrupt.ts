import { onEndingSignals } from '../../launch/ending-signals.ts';
import { EXIT } from './exit-codes.ts';
import type { Terminal } from './terminal.ts';

/** What Ctrl-C, SIGTERM or SIGHUP aborts, and how to let signals mean again what they did before. */
interface Interruption {
  readonly signal: AbortSignal;
  readonly release: () => void;
}

/**
 * Has the first ending signal abort work, after `graceMs`, of which `onInterrupt` is told at once;
 * the second ends the process. A SIGHUP never is the second: when a terminal is closed there may be
 * several, and nobody is impatient.
 */
export function interruptible(
  onInterrupt: () => void = () => {},
  graceMs: number = 0,
): Interruption {
  const controller = new AbortController();
  let wasTold = false;
  const release = onEndingSignals((name) => {
    if (!wasTold) {
      wasTold = true;
      onInterrupt();
      if (graceMs === 0) controller.abort();
      else setTimeout(() => controller.abort(), graceMs).unref();
    } else if (name !== 'SIGHUP') process.exit(EXIT.interrupted);
  });
  return { signal: controller.signal, release };
}

/** Resolves once a signal is aborted. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}

/**
 * Does work that Ctrl-C, SIGTERM or SIGHUP ends in good order, by the signal that it is given; the
 * second one ends the process. Afterwards the live line is gone, and signals mean what they did
 * before.
 */
export async function withInterrupt<T>(
  terminal: Terminal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { signal, release } = interruptible(() =>
    terminal.line('stopping; press Ctrl-C again to end at once'),
  );
  try {
    return await work(signal);
  } finally {
    terminal.end();
    release();
  }
}

/**
 * SIGUSR1 asks for a checkpoint: `write` writes one. Schedulers send it to every process of a job.
 * Gives the function that has the signal mean again what it did before.
 */
export function onCheckpointSignal(write: () => void): () => void {
  if (process.platform === 'win32') return () => {};
  process.on('SIGUSR1', write);
  return () => process.removeListener('SIGUSR1', write);
}

/** In a process that writes none, it means nothing; Node.js would open a debugger. */
export function ignoreCheckpointSignal(): void {
  onCheckpointSignal(() => {});
}
