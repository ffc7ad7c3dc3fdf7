import { Command } from 'commander';
import { writeLettersDirectory } from '../../letters/numeric/packed-letters.ts';
import { writeResult } from '../shell/output.ts';
import { helpText } from '../shell/help.ts';

const HELP = `
20,000 rows of UCI's Letter Recognition (D. Slate 1991, CC BY 4.0): train_letters1.txt to
train_letters11.txt with 1500 rows each, and validate_letters.txt with 3500. A row is 16 numbers
from 0 to 15, then the letter, A = 0.

Example:
  lockstep data letters letters`;

/** \`lockstep data letters\`: writes the directory of the letters system. */
export function dataLettersCommand(): Command {
  return new Command('letters')
    .description('write the directory of the letters system')
    .argument('<directory>', 'where to write it')
    .addHelpText('after', helpText(HELP))
    .action(async (directory: string) => {
      for (const name of await writeLettersDirectory(directory))
        writeResult(`${directory}/${name}\n`);
    });
}
