import type { FilePrediction, FilePredictions } from '../../api/predict-files.ts';

/** Classes that a line names. */
const MAX_CLASSES = 3;

/** One line per sample. */
export function predictionText({ classNames, predictions }: FilePredictions): string {
  return predictions
    .map((prediction) => `${prediction.input}: ${answerText(prediction, classNames)}\n`)
    .join('');
}

function answerText(
  { classes, probabilities, values }: FilePrediction,
  classNames: readonly string[] | undefined,
): string {
  if (values !== undefined) return values.map((value) => Number(value.toPrecision(6))).join(' ');
  if (probabilities === undefined) return (classes ?? []).join(' ');
  if (classNames === undefined) return probabilities.map((part) => part.toFixed(4)).join(' ');
  return probabilities
    .map((probability, index) => ({ name: classNames[index] ?? '', probability }))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, MAX_CLASSES)
    .map(({ name, probability }) => `${name} ${probability.toFixed(4)}`)
    .join(', ');
}
