import type { RunEvent } from './events.ts';

/**
 * Whoever wants to know what happens in a run: its files, a progress bar, a dashboard. Sinks are
 * told every event in order, at once, and must not take long. They do not throw: what a sink cannot do is no reason for the run to end.
 */
export interface EventSink {
  onEvent(event: RunEvent): void;
}
