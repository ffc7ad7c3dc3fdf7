import type { RunEvent } from './events.ts';

/**
 * Whoever wants to know what happens in a run: its files, a progress bar, later a dashboard or a
 * tracker. Sinks are told every event in order, at once, and must not take long.
 *
 * Throws: a LockstepError ends the run with it: nothing goes on that cannot be recorded.
 */
export interface EventSink {
  onEvent(event: RunEvent): void;
}
