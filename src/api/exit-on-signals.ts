import { constants } from 'node:os';
import { onEndingSignals } from '../launch/ending-signals.ts';

/**
 * Makes the signals that would end this process on the spot end it by way of its `exit` handlers,
 * which end the workers of a run; the exit code is the shell's, 128 and the number of the signal.
 * A program that listens to a signal itself goes on deciding what it does.
 *
 * Returns a function that takes it back.
 */
export function exitOnSignals(): () => void {
  return onEndingSignals(exit);
}

/** The one listener of all runs, so that it knows itself among others. */
function exit(signal: NodeJS.Signals): void {
  const isAlone = process.listeners(signal).every((listener) => listener === exit);
  if (isAlone) process.exit(128 + constants.signals[signal]);
}
