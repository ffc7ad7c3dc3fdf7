import { statSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { predictFiles } from '../../api/predict-files.ts';
import { ConfigError } from '../../base/errors.ts';
import { type ModelFile, readModelFile } from '../../job/model-source.ts';
import { predictFile } from '../../letters/predict.ts';
import { openSavedModel } from '../../runs/saved-model.ts';
import { writeNote, writeResult } from '../shell/output.ts';
import { helpText } from '../shell/help.ts';
import { printJson } from '../shell/json-output.ts';
import { predictionText } from '../texts/prediction-text.ts';

const HELP = `
One line per sample: where it is from, and its classes with their probabilities, the likeliest
first; or the numbers that are predicted. The files hold what the training data held, nothing
scaled: PNG and JPEG images, of the size that was trained on (any size, if that was with
--image-size); .csv or .tsv tables with the feature columns (where the label is there, too, the
share of wrong classes goes to stderr); tokens, as the ids of a sample ('5 17 3') or a text file
with one sample a line. Of a job of the letters system it takes one file in the letters format, with
or without the class, and prints the class and its letter. Language models continue a text: lockstep
generate.

Examples:
  lockstep predict experiments/photos new/1.jpg new/2.jpg
  lockstep predict experiments/table rows.csv --json
  lockstep predict experiments/letters-1 letters/validate_letters.txt

Exit codes: 0 done, 1 failed, 2 wrong flags or files.`;

const LETTERS = 26;

/** \`lockstep predict\`: what a trained model says of files. */
export function predictCommand(): Command {
  return new Command('predict')
    .description('classify images, rows or tokens with a trained model')
    .argument('<model>', 'folder of the run, or its model.onnx')
    .argument('<file...>', 'images, tables, or tokens')
    .option('--json', 'print one JSON document')
    .addHelpText('after', helpText(HELP))
    .action(async (path: string, files: string[], { json = false }: { json?: boolean }) => {
      const model = modelFile(path);
      const read = readModelFile(model);
      if (read.graphName === 'letters') await predictLetters(model, files, json);
      else await predictSamples(model, read, files, json);
    });
}

async function predictSamples(
  path: string,
  read: ModelFile,
  files: readonly string[],
  json: boolean,
): Promise<void> {
  const model = await openSavedModel(path, read);
  try {
    const found = await predictFiles(model, files);
    if (json) return printJson(found);
    writeResult(predictionText(found));
    if (found.errorRate !== undefined) writeNote(`error ${found.errorRate}\n`);
  } finally {
    await model.close();
  }
}

async function predictLetters(
  model: string,
  [file = '', ...more]: readonly string[],
  json: boolean,
): Promise<void> {
  if (more.length > 0)
    throw new ConfigError(
      `predict: expected one file for a model of the letters system, got also ${more.join(' ')}`,
    );
  const { classes, errorRate } = await predictFile(model, file);
  if (json) {
    writeResult(`${JSON.stringify({ classes, errorRate })}\n`);
    return;
  }
  writeResult(classes.map((one) => `${one}${letter(one)}\n`).join(''));
  if (errorRate !== undefined) writeNote(`error ${errorRate}\n`);
}

function letter(value: number): string {
  return value < LETTERS ? ` ${String.fromCharCode(65 + value)}` : '';
}

function modelFile(path: string): string {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
    ? join(path, 'model.onnx')
    : path;
}
