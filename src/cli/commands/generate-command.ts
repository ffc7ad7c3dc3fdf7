import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { ConfigError, messageOf } from '../../base/errors.ts';
import {
  createTextDecoder,
  encodeText,
  parseTokenTable,
  vocabularyOf,
} from '../../data/token-table.ts';
import type { TokenTable } from '../../data/token-table.ts';
import { createTextGenerator, type GenerateOptions } from '../../runtime/text-generator.ts';
import { printableJson } from '../../base/printable.ts';
import { writeResult } from '../shell/output.ts';
import { helpText } from '../shell/help.ts';

const HELP = `
Continues a text with a language model that \`lockstep train --model gpt\` has trained. The text
goes to standard output as it comes; the same flags give the same text.

Example:
  lockstep train --model gpt --dataset moby_dick --name whale
  lockstep generate experiments/whale --prompt "Call me "

Exit codes: 0 done, 1 failed, 2 wrong flags or files, no such run, or a prompt the
model cannot read.`;

interface Flags {
  readonly prompt: string;
  readonly tokens: string;
  readonly temperature: string;
  readonly topK: string;
  readonly seed: string;
  readonly json?: boolean;
}

/** \`lockstep generate\`: text from a trained language model. */
export function generateCommand(): Command {
  return new Command('generate')
    .description('continue a text with a trained language model')
    .argument('<folder>', 'folder of the run')
    .option('--prompt <text>', 'text to continue', '\n')
    .option('--tokens <count>', 'tokens to add', '200')
    .option(
      '--temperature <number>',
      'below 1 safer, above 1 wilder, 0 always the likeliest',
      '0.8',
    )
    .option('--top-k <count>', 'choose among so many of the likeliest tokens', '40')
    .option('--seed <seed>', 'another seed, another text', '42')
    .option('--json', 'print one JSON document at the end')
    .addHelpText('after', helpText(HELP))
    .action(async (folder: string, flags: Flags) => generate(folder, flags));
}

async function generate(folder: string, flags: Flags): Promise<void> {
  const options: GenerateOptions = {
    count: numberOf('--tokens', flags.tokens, 1, 1_000_000, true),
    temperature: numberOf('--temperature', flags.temperature, 0, 100, false),
    topK: numberOf('--top-k', flags.topK, 1, 1_000_000, true),
    seed: numberOf('--seed', flags.seed, 0, 2 ** 32 - 1, true),
  };
  const { model, table } = readRun(folder);
  const prompt = encodeText(table, flags.prompt);
  if (prompt.length === 0) throw new ConfigError('--prompt: expected at least one character');
  const generator = await createTextGenerator(model);
  try {
    if (generator.vocabulary !== vocabularyOf(table)) {
      throw new ConfigError(
        `${folder}: model.onnx has ${generator.vocabulary} tokens, tokens.json ` +
          `${vocabularyOf(table)}. They are not of one run.`,
      );
    }
    const startedMs = performance.now();
    const decode = createTextDecoder(table);
    let text = '';
    if (flags.json !== true) writeResult(flags.prompt);
    for await (const id of generator.generate(prompt, options)) {
      const piece = decode(id);
      text += piece;
      if (flags.json !== true) writeResult(piece);
    }
    const tokensPerSecond = Math.round((1_000 * options.count) / (performance.now() - startedMs));
    const { count: tokens, seed, temperature, topK } = options;
    const result = { prompt: flags.prompt, text, tokens, seed, temperature, topK, tokensPerSecond };
    writeResult(flags.json === true ? `${printableJson(JSON.stringify(result))}\n` : '\n');
  } finally {
    await generator.close();
  }
}

function readRun(folder: string): { model: Uint8Array; table: TokenTable } {
  const [modelFile, tokenFile] = [join(folder, 'model.onnx'), join(folder, 'tokens.json')];
  if (!existsSync(modelFile)) {
    throw new ConfigError(
      `${folder}: expected the folder of a finished run, found no model.onnx in it. It is ` +
        'what `lockstep train` prints at its end, for example experiments/whale.',
    );
  }
  if (!existsSync(tokenFile)) {
    throw new ConfigError(
      `${folder}: there is no tokens.json, so its model was not trained on text. Train one ` +
        'with --model gpt --dataset moby_dick.',
    );
  }
  try {
    return {
      model: readFileSync(modelFile),
      table: parseTokenTable(JSON.parse(readFileSync(tokenFile, 'utf8')), tokenFile),
    };
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError(`reading ${folder}: ${messageOf(error)}`, [], { cause: error });
  }
}

function numberOf(
  flag: string,
  text: string,
  least: number,
  most: number,
  isWhole: boolean,
): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (value >= least && value <= most && (!isWhole || Number.isInteger(value))) return value;
  throw new ConfigError(
    `${flag}: expected ${isWhole ? 'a whole number' : 'a number'} from ${least} to ${most}, ` +
      `got "${text}"`,
  );
}
