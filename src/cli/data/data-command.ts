import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Argument, Command, Option } from 'commander';
import { ConfigError } from '../../base/errors.ts';
import { describeOptions } from '../../config/option-docs.ts';
import { parseTrainConfig } from '../../config/parse-train-config.ts';
import { makeCifarArchive } from '../../data/sources/cifar-archive.ts';
import { CIFAR10, CIFAR100 } from '../../data/sources/cifar-sets.ts';
import { DATASET_NAMES, DATASETS } from '../../data/sources/datasets.ts';
import { describeDataset } from '../../data/describe-dataset.ts';
import { dataPlaces, datasetSpecOf, loadRunData } from '../../job/data-source.ts';
import { dataLettersCommand } from './data-letters-command.ts';
import { dataReceivedCommand } from './data-received-command.ts';
import { printJson } from '../shell/json-output.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { writeResult } from '../shell/output.ts';
import { helpText, withChoices } from '../shell/help.ts';

const HELP = `
Finds, downloads, computes or reads a data set, checks it, and prints what it holds as JSON. Names:
--list. Looked for in this order: --data-dir, the cache folder, installed packages, the official
mirrors.

Your own data: a .npz file or a folder of .npy files (x_train, y_train, x_test, y_test, or x and y),
a .csv table, a .txt text, a folder of PNG and JPEG images in one folder per class. Without a test
part, a tenth is kept for it.

Exit codes: 0 done, 1 failed, 2 wrong flags or files.`;

/** \`lockstep data\`: finds, checks and describes data sets. */
export function dataCommand(context: CommandContext): Command {
  const command = new Command('data')
    .description('find, check and describe a data set')
    .addArgument(
      withChoices(new Argument('[name]', 'data set or path').default('mnist'), DATASET_NAMES),
    )
    .option('--list', 'list the data sets that have a name')
    .addHelpText('after', helpText(HELP))
    .action(async (name: string, { list, ...flags }: Record<string, unknown>) => {
      if (list === true) writeResult(listText());
      else await describe(name, flags, context);
    });
  for (const { key, group, flag, placeholder, help, choices } of describeOptions())
    if ((group === 'data' && key !== 'dataset') || key === 'seed')
      command.addOption(withChoices(new Option(`${flag} ${placeholder}`, help), choices));
  return command
    .addCommand(makeCifarCommand())
    .addCommand(dataLettersCommand())
    .addCommand(dataReceivedCommand(context));
}

async function describe(
  name: string,
  flags: Record<string, unknown>,
  context: CommandContext,
): Promise<void> {
  const { config } = parseTrainConfig([], flags);
  const places = dataPlaces(config.dataDir, context.environment);
  const { splits } = await loadRunData({ ...datasetSpecOf(config), name }, places);
  printJson(describeDataset(splits));
}

function listText(): string {
  const width = Math.max(...Object.keys(DATASETS).map((name) => name.length)) + 2;
  return Object.entries(DATASETS)
    .map(
      ([name, { about, from }]) =>
        `${name.padEnd(width)}${about}\n${' '.repeat(width)}from: ${from}\n`,
    )
    .join('');
}

const MAKE_HELP = `
--samples (training images; a quarter as many are made for the test), --classes (10 or 100) and
--seed say which. The archive has the layout of the official one, to try what needs CIFAR without a
network:
  lockstep data make-cifar made-up --samples 5000
  lockstep train --dataset cifar10 --data-dir made-up --model simple_cnn`;

/** Images of the official sets. */
const MOST_IMAGES = 50_000;

/** \`lockstep data make-cifar\`: writes an archive of made-up images. */
function makeCifarCommand(): Command {
  return new Command('make-cifar')
    .description('write an archive of made-up, learnable images in the layout of CIFAR')
    .argument('<folder>', 'where to write it')
    .addHelpText('after', helpText(MAKE_HELP))
    .action(async (folder: string, _: unknown, command: Command) => {
      // The flags of `data` take these too, before or behind the word make-cifar.
      const { config } = parseTrainConfig([], command.optsWithGlobals());
      const { seed, samples, classes = 10 } = config;
      const set = [CIFAR10, CIFAR100].find((one) => one.classes === classes);
      if (set === undefined) throw new ConfigError(`--classes: expected 10 or 100, got ${classes}`);
      if (samples < set.trainFiles.length || samples > MOST_IMAGES)
        throw new ConfigError(
          `--samples: expected ${set.trainFiles.length} to ${MOST_IMAGES}, got ${samples}`,
        );
      const testSamples = Math.max(1, Math.floor(samples / 4));
      const archive = makeCifarArchive(set, { seed, trainSamples: samples, testSamples });
      await mkdir(folder, { recursive: true });
      const path = join(folder, set.archive.fileName);
      await writeFile(path, archive);
      writeResult(`${path}\n`);
    });
}
