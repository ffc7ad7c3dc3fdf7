/** What trackers are told of a run: named numbers at steps. */
import type { RunEvent } from '../metrics/events.ts';

/** Numbers that were measured at one step. */
export interface MetricPoint {
  readonly step: number;
  /** Milliseconds since 1970. */
  readonly timeMs: number;
  readonly values: Readonly<Record<string, number>>;
}

/** How a run ended; undefined: nobody knows. */
export type RunEnd = 'finished' | 'interrupted' | 'failed' | undefined;

/** The numbers of an event, by SmolCluster's names; undefined when it has none. */
export function pointOf(event: RunEvent, timeMs: number): MetricPoint | undefined {
  const values = valuesOf(event);
  if (values === undefined || !('step' in event)) return undefined;
  const known = Object.entries(values).filter(
    (pair): pair is [string, number] => pair[1] !== undefined,
  );
  return { step: event.step, timeMs, values: Object.fromEntries(known) };
}

function valuesOf(event: RunEvent): Readonly<Record<string, number | undefined>> | undefined {
  switch (event.kind) {
    case 'step':
      return {
        'losses/train': event.lossMean,
        'accuracy/train': event.accuracy,
        lr: event.learningRate,
        epoch: event.epoch,
        'throughput/samples_per_second':
          event.stepMs > 0 ? (event.sampleCount / event.stepMs) * 1000 : undefined,
        'times/step_ms': event.stepMs,
        'times/compute_ms': event.computeMs,
        'times/communicate_ms': event.communicateMs,
        'times/wait_ms': event.waitMs,
        workers: event.ranks.length,
      };
    case 'evaluation':
      return { 'losses/val': event.lossMean, 'accuracy/val': event.accuracy };
    case 'gradient-norms':
      return Object.fromEntries(
        Object.entries(event.norms).map(([name, norm]) => [`gradients/layer_${name}`, norm]),
      );
    default:
      return undefined;
  }
}
