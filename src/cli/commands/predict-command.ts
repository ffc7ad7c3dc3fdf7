import { statSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { predictFile } from '../../letters/predict.ts';
import { writeNote, writeResult } from '../shell/output.ts';
import { helpText } from '../shell/help.ts';

const HELP = `
Prints one line per row of the file: the class, and its letter where there is one. When the file has
classes too, the share of wrong ones is printed to stderr.

Example:
  lockstep predict experiments/letters-1 letters/validate_letters.txt

Exit codes: 0 done, 1 failed, 2 wrong flags or files.`;

const LETTERS = 26;

/** \`lockstep predict\`: classifies rows with a model that was kept. */
export function predictCommand(): Command {
  return new Command('predict')
    .description('letters system: classify rows with a trained model')
    .argument('<model>', 'model.onnx, or the folder that holds it')
    .argument('<file>', 'rows as in the letters format, with or without the class')
    .option('--json', 'print classes and error as JSON')
    .addHelpText('after', helpText(HELP))
    .action(async (model: string, file: string, { json }: { json?: boolean }) => {
      const { classes, errorRate } = await predictFile(modelFile(model), file);
      if (json === true) {
        writeResult(`${JSON.stringify({ classes, errorRate })}\n`);
        return;
      }
      writeResult(classes.map((one) => `${one}${letter(one)}\n`).join(''));
      if (errorRate !== undefined) writeNote(`error ${errorRate}\n`);
    });
}

function letter(value: number): string {
  return value < LETTERS ? ` ${String.fromCharCode(65 + value)}` : '';
}

function modelFile(path: string): string {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
    ? join(path, 'model.onnx')
    : path;
}
