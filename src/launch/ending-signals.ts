/**
 * What asks a process to end: Ctrl-C, whoever looks after processes, a terminal that is closed.
 * The last may come twice, from the system and from the shell, and then nobody reads what is said.
 */
const ENDING_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Calls `listener` at each of them, until the function that it gives is called. */
export function onEndingSignals(listener: (signal: NodeJS.Signals) => void): () => void {
  for (const signal of ENDING_SIGNALS) process.on(signal, listener);
  return () => {
    for (const signal of ENDING_SIGNALS) process.removeListener(signal, listener);
  };
}
