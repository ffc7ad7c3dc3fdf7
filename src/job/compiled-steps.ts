/** From a model to the two ONNX files that workers run: the training step and the evaluation. */
import type { ConvFormChooser } from '../autodiff/conv-forms.ts';
import type { TrainConfig } from '../config/train-config.ts';
import { encodeGraph } from '../graph/file/encode.ts';
import { peakBytes } from '../graph/peak-bytes.ts';
import { type Model, parameterCountOf } from '../models/model.ts';
import { makeEvaluateGraph, makeStepGraphs } from '../models/step-graphs.ts';
import type { Job } from '../protocol/messages.ts';
import { checkJobFiles } from './limits.ts';
import { noteOnMicroBatch } from './micro-batch-cost.ts';

/** The files, one behind the other, and what a job says of them. */
export interface CompiledSteps {
  readonly files: Uint8Array;
  readonly facts: Pick<Job, 'masks' | 'trainBytes' | 'evaluateBytes' | 'evaluateMicroBatch'>;
  /** What is worth knowing of their size. */
  readonly note: string | undefined;
}

/**
 * Evaluations take larger micro-batches than training, as far as this memory goes on a lane, and so
 * many weights times samples: nothing is heard of a micro-batch before it is done.
 */
const EVALUATE_MICRO_BATCH = 256;
const EVALUATE_WORK = 2e9;
const EVALUATE_BYTES = 256 << 20;

/**
 * Compiles the steps of a model for the micro-batches of a configuration; `evaluateSamples` is how
 * many an evaluation has.
 *
 * Throws: ConfigError when they are too large to be sent; ShapeError when model and data do not
 *         fit.
 */
export function compileSteps(
  model: Model,
  { microBatch, loss, labelSmoothing }: TrainConfig,
  evaluateSamples: number,
  chooseForm: ConvFormChooser | undefined,
): CompiledSteps {
  const objective = { loss, labelSmoothing };
  const graphs = makeStepGraphs(model, microBatch, { chooseForm, objective });
  const samplesWithRoom = Math.floor(EVALUATE_BYTES / (peakBytes(graphs.evaluate) / microBatch));
  const evaluateMicroBatch = Math.max(
    microBatch,
    Math.min(
      EVALUATE_MICRO_BATCH,
      Math.floor(EVALUATE_WORK / parameterCountOf(model)),
      evaluateSamples,
      samplesWithRoom,
    ),
  );
  const train = encodeGraph(graphs.train);
  const evaluate = encodeGraph(makeEvaluateGraph(model, evaluateMicroBatch, { objective }));
  checkJobFiles(train.length + evaluate.length);
  const masks = graphs.masks.map(({ name, shape, rate }) => ({ name, shape: [...shape], rate }));
  const [trainBytes, evaluateBytes] = [train.length, evaluate.length];
  return {
    files: Buffer.concat([train, evaluate]),
    facts: { masks, trainBytes, evaluateBytes, evaluateMicroBatch },
    note: noteOnMicroBatch(graphs.train, microBatch),
  };
}
