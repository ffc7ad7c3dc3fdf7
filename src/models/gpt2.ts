/** GPT-2 with a classification head on the last position; see gpt-blocks.ts. */
import type { ArchitectureSettings } from './architecture-settings.ts';
import { drawGptBlocks, NORMAL, type GptSizes } from './gpt-blocks.ts';
import { defineModelKind, type ModelKind, type SettingsOf } from './model-kind.ts';
import { outputSizeOf, type Model, type ModelTask } from './model.ts';
import { defineModel } from './net.ts';
import { atPosition } from './sequence-parts.ts';
import { checkedHeads, requireOneAnswer, singleCount, tokenSequenceOf } from './task-checks.ts';
import { workOfBlocks } from './usual-batch.ts';

const HEAD_SIZE = 64;

const SETTINGS = {
  layers: [12],
  width: 768,
  heads: undefined,
  feedForward: undefined,
  dropout: 0.1,
  activation: 'gelu_tanh',
  tokenTable: 50_257,
  positionTable: 1024,
} as const satisfies Partial<ArchitectureSettings>;

/**
 * Tokens [T] -> embeddings -> `layers` blocks -> the last position, which has seen all, norm ->
 * linear -> outputs.
 *
 * 124,441,346 parameters by default with 2 classes: GPT-2 small's 124,439,808 and the head's.
 */
export const GPT2: ModelKind = defineModelKind({
  name: 'gpt2',
  summary: 'GPT-2 small with a classification head on the last position, for tokens',
  usualDataset: 'synthetic_text',
  workPerSample: workOfBlocks,
  settings: SETTINGS,
  make: makeGpt2,
});

function makeGpt2(task: ModelTask, settings: SettingsOf<typeof SETTINGS>): Model {
  requireOneAnswer('gpt2', task);
  const {
    width,
    heads = Math.max(1, Math.floor(width / HEAD_SIZE)),
    feedForward = 4 * width,
  } = settings;
  const sizes: GptSizes = {
    ...settings,
    ...tokenSequenceOf('gpt2', task, settings),
    layers: singleCount('gpt2', settings.layers),
    heads: checkedHeads('gpt2', heads, width),
    feedForward,
  };
  return defineModel('gpt2', task, (net, ids) => {
    const last = net.within('transformer', () => {
      const all = drawGptBlocks(net, ids, sizes); // [B, T, D]
      return net.layerNorm('ln_f', atPosition(net.g, all, sizes.length - 1)); // [B, D]
    });
    const biasInit = { kind: 'constant', value: 0 } as const;
    // [B, outputs]
    return net.linear('classifier', last, outputSizeOf(task), { weightInit: NORMAL, biasInit });
  });
}
