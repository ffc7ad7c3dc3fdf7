/** What `validate` needs of a run: its losses, and what may explain a difference. */
import * as z from 'zod';
import {
  isDocument,
  parseWith,
  readKnownFile,
  StructureError,
  wrongKind,
} from '../results/read-result.ts';

/** A run as it is compared. */
export interface LossCurve {
  readonly path: string;
  readonly steps: readonly CurveStep[];
  /** The run's settings, as its file tells them. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Workers, where the file says how many. */
  readonly workerCount?: number;
  readonly weightsDigest?: string;
  readonly stateDigest?: string;
}

/** One step of it. */
export interface CurveStep {
  readonly step: number;
  /** NaN also for null, which is what JSON makes of it in some programs. */
  readonly loss: number;
  /** 16 hexadecimal digits. */
  readonly lossBits?: string;
  readonly allReduceMs?: number;
  readonly computeMs?: number;
  /** Samples of each worker, by its number, without those that had none. */
  readonly samples: ReadonlyMap<number, number>;
}

// Of a file by another program no more is asked for than a comparison needs.
const workerSchema = z.looseObject({ worker_id: z.number(), samples: z.number().optional() });
const curveStepSchema = z.looseObject({
  step: z.number().int(),
  loss: z.custom<number | null>((value) => typeof value === 'number' || value === null, {
    error: 'expected a number',
  }),
  loss_bits: z.string().optional(),
  allreduce_time_ms: z.number().optional(),
  compute_time_ms: z.number().optional(),
  workers: z.array(workerSchema).optional(),
});
const curveSchema = z.looseObject({
  config: z.record(z.string(), z.unknown()).optional(),
  num_workers: z.number().optional(),
  steps: z.array(curveStepSchema),
  weights_digest: z.string().optional(),
  state_digest: z.string().optional(),
});

/**
 * Reads the losses of a run, from a canonical result or the plain form.
 *
 * Throws: ConfigError when the file cannot be read, StructureError when it has no losses by step.
 */
export function readLossCurve(path: string): LossCurve {
  const file = readKnownFile(path);
  if (file.kind !== 'result' && file.kind !== 'training')
    throw wrongKind(
      file,
      'the losses of a run step by step, as `lockstep run --output` writes them',
    );
  const isWrapped = file.kind === 'result';
  const payload = isWrapped ? file.document['tool_payload'] : file.document;
  if (!isDocument(payload))
    throw new StructureError(`reading ${path}: tool_payload has no steps, and nothing to compare`);
  const parsed = parseWith(
    { ...file, document: payload },
    curveSchema,
    isWrapped ? 'tool_payload' : '',
  );
  const { steps, config = {}, num_workers: workerCount, weights_digest, state_digest } = parsed;
  if (steps.length === 0)
    throw new StructureError(`reading ${path}: it has no steps, and nothing to compare`);
  return {
    path,
    steps: steps.map(stepOf),
    config,
    ...(workerCount !== undefined && { workerCount }),
    ...(weights_digest !== undefined && { weightsDigest: weights_digest }),
    ...(state_digest !== undefined && { stateDigest: state_digest }),
  };
}

function stepOf(step: z.infer<typeof curveStepSchema>): CurveStep {
  const samples = new Map<number, number>();
  for (const worker of step.workers ?? [])
    if ((worker.samples ?? 0) > 0) samples.set(worker.worker_id, worker.samples ?? 0);
  return {
    step: step.step,
    loss: step.loss ?? NaN,
    ...(step.loss_bits !== undefined && { lossBits: step.loss_bits.toLowerCase() }),
    ...(step.allreduce_time_ms !== undefined && { allReduceMs: step.allreduce_time_ms }),
    ...(step.compute_time_ms !== undefined && { computeMs: step.compute_time_ms }),
    samples,
  };
}
