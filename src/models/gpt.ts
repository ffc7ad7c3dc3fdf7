/**
 * A language model: at every position of a text, which token comes next. Its blocks are GPT-2's
 * (gpt-blocks.ts), its default size is for characters or bytes and a CPU.
 */
import { ConfigError } from '../base/errors.ts';
import type { ArchitectureSettings } from './architecture-settings.ts';
import { drawGptBlocks, NORMAL, type GptSizes } from './gpt-blocks.ts';
import { defineModelKind, type ModelKind, type SettingsOf } from './model-kind.ts';
import type { Model, ModelTask } from './model.ts';
import { defineModel } from './net.ts';
import { checkedHeads, misfit, singleCount, tokenSequenceOf } from './task-checks.ts';
import { workOfBlocks } from './usual-batch.ts';

const SETTINGS = {
  layers: [4],
  width: 128,
  heads: 4,
  feedForward: undefined,
  dropout: 0,
  activation: 'gelu_tanh',
  tiedHead: true,
} as const satisfies Partial<ArchitectureSettings>;

/**
 * Tokens [T] -> embeddings -> `layers` blocks -> norm -> logits [T, classes] of what comes next.
 *
 * Tables have the sizes of the data. A tied head is the token table again: fewer parameters, and
 * what is learned about a token as input serves as output, too.
 */
export const GPT: ModelKind = defineModelKind({
  name: 'gpt',
  summary: 'language model that learns the next token of a text, and writes on',
  usualDataset: 'moby_dick',
  workPerSample: workOfBlocks,
  settings: SETTINGS,
  make: makeGpt,
});

function makeGpt(task: ModelTask, settings: SettingsOf<typeof SETTINGS>): Model {
  const { width, feedForward = 4 * width, tiedHead } = settings;
  const table = tokenSequenceOf('gpt', task, {});
  const classes = classesOf(task, table.length);
  if (tiedHead && classes !== table.tokens) {
    const issue = {
      path: 'tied_head',
      expected: `false for ${classes} labels of ${table.tokens} tokens`,
      got: 'true',
    };
    throw new ConfigError(`gpt option tied_head: expected ${issue.expected}, got ${issue.got}`, [
      issue,
    ]);
  }
  const sizes: GptSizes = {
    ...settings,
    ...table,
    layers: singleCount('gpt', settings.layers),
    heads: checkedHeads('gpt', settings.heads, width),
    feedForward,
  };
  return defineModel('gpt', task, (net, ids) => {
    const h = net.within('transformer', () =>
      net.layerNorm('ln_f', drawGptBlocks(net, ids, sizes)),
    ); // [B, T, D]
    // [B, T, classes], or [B, T, tokens] with the token table
    if (!tiedHead) return net.linear('lm_head', h, classes, { weightInit: NORMAL, hasBias: false });
    const tokens = net.parameter('transformer.wte.weight', [table.tokens, width], NORMAL);
    return net.affine(h, tokens, undefined, { transposed: true });
  });
}

function classesOf(task: ModelTask, length: number): number {
  const { target } = task;
  if (target.kind === 'sequence' && target.length === length) return target.classes;
  throw misfit('gpt', task, 'tokens with a label for each');
}
