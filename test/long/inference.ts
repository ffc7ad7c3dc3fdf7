/**
 * What a trained `model.onnx` is worth, measured with plain ONNX Runtime: nothing of the training
 * is used.
 */
import { readFileSync } from 'node:fs';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { parseTrainConfig } from '../../src/config/parse-train-config.ts';
import {
  type Dataset,
  type DatasetSplits,
  featureCountOf,
  targetCountOf,
} from '../../src/data/dataset.ts';
import { asInFile, fileShapeOf } from '../../src/data/sample-form.ts';
import { decodeGraphFile } from '../../src/graph/file/decode.ts';
import { dataPlaces, datasetSpecOf, loadRunData } from '../../src/job/data-source.ts';

const BATCH = 100;

/** The samples that a run with these settings has. */
export async function samplesOf(
  settings: Readonly<Record<string, string>>,
): Promise<DatasetSplits> {
  const { config } = parseTrainConfig([], settings);
  return (await loadRunData(datasetSpecOf(config), dataPlaces(config.dataDir, process.env))).splits;
}

/** What a model is worth on samples. */
export interface Worth {
  /** Part of all answers that are right, 0 to 1. */
  readonly accuracy: number;
  /** Mean cross-entropy of an answer, in nats. */
  readonly loss: number;
}

/**
 * Runs the model in a file over all samples that have labels: one for each sample, or one for each
 * position.
 */
export async function worthOf(path: string, samples: Dataset): Promise<Worth> {
  const isOurs = decodeGraphFile(readFileSync(path)).metadata?.has('input') === true;
  const session = await InferenceSession.create(path);
  const [inputName, outputName] = [session.inputNames[0]!, session.outputNames[0]!];
  const labelCount = targetCountOf(samples);
  let [right, loss] = [0, 0];
  for (let start = 0; start < samples.sampleCount; start += BATCH) {
    const input = inputOf(samples, start, Math.min(start + BATCH, samples.sampleCount), isOurs);
    const outputs = await session.run({ [inputName]: input });
    const { data, dims } = outputs[outputName]!;
    const classes = dims.at(-1)!;
    const scores = data as Float32Array;
    for (let i = 0; i < scores.length / classes; i++) {
      const row = scores.subarray(i * classes, (i + 1) * classes);
      const label = samples.y[start * labelCount + i]!;
      right += row.indexOf(Math.max(...row)) === label ? 1 : 0;
      loss += Math.log(row.reduce((sum, score) => sum + Math.exp(score), 0)) - row[label]!;
    }
  }
  await session.release();
  const answers = samples.sampleCount * labelCount;
  return { accuracy: right / answers, loss: loss / answers };
}

/**
 * Samples start .. end - 1: as their files hold them for a network of ours, and normalised for one
 * that was exported elsewhere, which takes floats.
 */
function inputOf(samples: Dataset, start: number, end: number, isOurs: boolean): Tensor {
  const { x, features, vocabulary, normalisation } = samples;
  const count = featureCountOf(samples);
  const part = x.slice(start * count, end * count);
  if (vocabulary !== undefined)
    return new Tensor('int32', Int32Array.from(part), [end - start, ...features]);
  if (isOurs) {
    const values = asInFile(part, samples);
    const type = values instanceof Uint8Array ? 'uint8' : 'float32';
    return new Tensor(type, values, [end - start, ...fileShapeOf(samples)]);
  }
  const { scale, shift } = normalisation;
  const perChannel = count / scale.length;
  const values = Float32Array.from(part, (value, i) => {
    const channel = Math.floor((i % count) / perChannel);
    return value * scale[channel]! + shift[channel]!;
  });
  return new Tensor('float32', values, [end - start, ...features]);
}
