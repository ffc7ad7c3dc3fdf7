/**
 * BERT with a classification head: a transformer in which every position sees all others.
 *
 * Source: Devlin et al. 2018; layout, parameter names and initial weights as in Hugging Face's
 * BertForSequenceClassification. Sizes other than BERT-base's follow Turc et al. 2019: one head per
 * 64 units of width, a feed-forward layer of 4 times the width.
 */
import type { ValueInfo } from '../graph/values/types.ts';
import { ACTIVATIONS, type ActivationName } from './activation.ts';
import type { ArchitectureSettings } from './architecture-settings.ts';
import { attend } from './attention.ts';
import { defineModelKind, type ModelKind, type SettingsOf } from './model-kind.ts';
import { outputSizeOf, type Model, type ModelTask, type ParameterInit } from './model.ts';
import { defineModel, type Net } from './net.ts';
import { atPosition, firstEmbeddings } from './sequence-parts.ts';
import { checkedHeads, requireOneAnswer, singleCount, tokenSequenceOf } from './task-checks.ts';
import { workOfBlocks } from './usual-batch.ts';

const NORMAL: ParameterInit = { kind: 'normal', std: 0.02 };
const ZEROS: ParameterInit = { kind: 'constant', value: 0 };
const EPSILON = 1e-12;
const TOKEN_TYPES = 2;
const HEAD_SIZE = 64;

interface BertSizes {
  readonly length: number;
  readonly tokens: number;
  readonly positions: number;
  readonly width: number;
  readonly heads: number;
  readonly feedForward: number;
  readonly dropout: number;
  readonly activation: ActivationName;
}

const SETTINGS = {
  layers: [12],
  width: 768,
  heads: undefined,
  feedForward: undefined,
  dropout: 0.1,
  activation: 'gelu',
  tokenTable: 30_522,
  positionTable: 512,
} as const satisfies Partial<ArchitectureSettings>;

/**
 * Tokens [T] -> embeddings -> `layers` blocks -> first position, linear, tanh -> linear -> outputs.
 *
 * All tokens are of type 0, and all count: sequences have one length. 109,483,778 parameters by
 * default with 2 classes.
 */
export const BERT: ModelKind = defineModelKind({
  name: 'bert',
  summary: 'BERT-base with a classification head, for tokens',
  usualDataset: 'synthetic_text',
  workPerSample: workOfBlocks,
  settings: SETTINGS,
  make: makeBert,
});

function makeBert(task: ModelTask, settings: SettingsOf<typeof SETTINGS>): Model {
  requireOneAnswer('bert', task);
  const {
    width,
    heads = Math.max(1, Math.floor(width / HEAD_SIZE)),
    feedForward = 4 * width,
  } = settings;
  checkedHeads('bert', heads, width);
  const layers = singleCount('bert', settings.layers);
  const sizes: BertSizes = {
    ...settings,
    ...tokenSequenceOf('bert', task, settings),
    heads,
    feedForward,
  };
  return defineModel('bert', task, (net, ids) => {
    const pooled = net.within('bert', () => {
      let h = net.within('embeddings', () => drawEmbeddings(net, ids, sizes)); // [B, T, D]
      for (let i = 0; i < layers; i++) {
        h = net.within(`encoder.layer.${i}`, () => drawBlock(net, h, sizes)); // [B, T, D]
      }
      return net.g.tanh(dense(net, 'pooler.dense', atPosition(net.g, h, 0), width)); // [B, D]
    });
    const h = net.dropout(pooled, sizes.dropout); // [B, D]
    return dense(net, 'classifier', h, outputSizeOf(task)); // [B, outputs]
  });
}

/** ids [B, T] -> [B, T, D] */
function drawEmbeddings(net: Net, ids: ValueInfo, sizes: BertSizes): ValueInfo {
  const { g } = net;
  const { length, tokens, positions, width, dropout } = sizes;
  const words = net.embedding('word_embeddings', ids, tokens, width, NORMAL); // [B, T, D]
  // [T, D] and [1, D]
  const places = firstEmbeddings(net, 'position_embeddings', length, [positions, width], NORMAL);
  const type = firstEmbeddings(net, 'token_type_embeddings', 1, [TOKEN_TYPES, width], NORMAL);
  const sum = g.add(words, g.add(places, type));
  return net.dropout(net.layerNorm('LayerNorm', sum, EPSILON), dropout);
}

/** [B, T, D] -> [B, T, D] */
function drawBlock(net: Net, x: ValueInfo, sizes: BertSizes): ValueInfo {
  const { g } = net;
  const { width, heads, feedForward, dropout, activation } = sizes;
  const [query, key, value] = (['query', 'key', 'value'] as const).map((name) =>
    dense(net, `attention.self.${name}`, x, width),
  ) as [ValueInfo, ValueInfo, ValueInfo];
  const seen = attend(net, query, key, value, { heads, dropout }); // [B, T, D]
  const first = drawOutput(net, 'attention.output', seen, x, sizes); // [B, T, D]
  const inner = dense(net, 'intermediate.dense', first, feedForward); // [B, T, feedForward]
  return drawOutput(net, 'output', ACTIVATIONS[activation](g, inner), first, sizes);
}

/** The end of half a block: [B, T, in] -> linear, dropout, sum with `residual` [B, T, D], norm. */
function drawOutput(
  net: Net,
  name: string,
  x: ValueInfo,
  residual: ValueInfo,
  { width, dropout }: BertSizes,
): ValueInfo {
  return net.within(name, () => {
    const branch = net.dropout(dense(net, 'dense', x, width), dropout);
    return net.layerNorm('LayerNorm', net.g.add(branch, residual), EPSILON);
  });
}

function dense(net: Net, name: string, x: ValueInfo, outputs: number): ValueInfo {
  return net.linear(name, x, outputs, { weightInit: NORMAL, biasInit: ZEROS });
}
