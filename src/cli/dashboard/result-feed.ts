/** A result file of the validation suite as a run that a dashboard shows. */
import { basename } from 'node:path';
import { type Describe, RunFeed } from '../../dashboard/run-feed.ts';
import type { StepCommitted } from '../../metrics/events.ts';
import { readResultFile } from '../../validate/results/read-result.ts';
import type { ResultStep, TrainingPayload } from '../../validate/results/result.ts';
import { describeEvent } from './describe-event.ts';

/**
 * Tells a recorded result as it happened, by the times of its steps; what it does not say is left
 * out. Throws: ConfigError when the file is not the result of a training run.
 */
export function feedOfResult(path: string): RunFeed {
  const { payload } = readResultFile(path);
  const feed = new RunFeed(basename(path), describeResult, true);
  let timeMs = startOf(payload);
  const batch = payload.steps[0]?.workers?.reduce((sum, { samples }) => sum + samples, 0);
  feed.push(
    {
      ...{ kind: 'run-started', runId: feed.view.name, steps: payload.num_steps },
      ...{ stepsPerEpoch: payload.num_steps, parameterCount: 0, microBatch: 0 },
      globalBatch: batch ?? 0,
    },
    timeMs,
  );
  for (const step of payload.steps) {
    const event = stepOf(step, payload);
    timeMs += event.stepMs;
    feed.push(event, timeMs);
  }
  for (const { worker_id: rank, status } of payload.worker_snapshots ?? [])
    if (status === 'failed')
      feed.push(
        {
          ...{ kind: 'worker-lost', rank, workerId: '', step: payload.steps.length },
          reason: 'the result says that it has failed',
        },
        timeMs,
      );
  feed.end('finished', undefined, timeMs);
  return feed;
}

/** Sizes that a result does not tell are no line of it. */
const describeResult: Describe = (event, view) =>
  event.kind === 'run-started' ? undefined : describeEvent(event, view);

function stepOf(step: ResultStep, payload: TrainingPayload): StepCommitted {
  const { compute_time_ms: computeMs, allreduce_time_ms: communicateMs } = step;
  const { wait_time_ms: waitMs = 0, other_time_ms: otherMs = 0 } = step;
  const stepMs = step.step_time_ms ?? computeMs + communicateMs + waitMs + otherMs;
  const rate = step.throughput_samples_per_sec || payload.average_throughput_samples_per_sec;
  const ranks = (step.workers ?? []).map((worker) => ({
    rank: worker.worker_id,
    samples: worker.samples,
    microBatches: worker.micro_batches ?? 1,
    computeMs: worker.compute_time_ms,
    communicateMs: worker.allreduce_time_ms,
    waitMs: worker.wait_time_ms ?? 0,
  }));
  const counted = ranks.reduce((sum, { samples }) => sum + samples, 0);
  return {
    ...{ kind: 'step', step: step.step + 1, epoch: 0, lossMean: step.loss, learningRate: NaN },
    ...{ stepMs, computeMs, communicateMs, waitMs, otherMs, ranks },
    sampleCount: ranks.length === 0 ? Math.round((rate * stepMs) / 1000) : counted,
  };
}

/** When the first step began; 0 where the file tells no time that can be read. */
function startOf({ start_timestamp }: TrainingPayload): number {
  const timeMs = Date.parse(start_timestamp);
  return Number.isFinite(timeMs) ? timeMs : 0;
}
