/**
 * What GPT-2 and the language model share: tables, and blocks with the norms before their halves.
 *
 * Source: Radford et al. 2019; layout, parameter names and initial weights as in Hugging Face's
 *         GPT2Model, where the weight of a linear layer is [in, out].
 */
import type { ValueInfo } from '../graph/values/types.ts';
import { ACTIVATIONS, type ActivationName } from './activation.ts';
import { attend } from './attention.ts';
import type { ParameterInit } from './model.ts';
import type { Net } from './net.ts';
import { firstEmbeddings, splitInThree } from './sequence-parts.ts';

/** Initial weights of tables and of layers that are no end of a half. */
export const NORMAL: ParameterInit = { kind: 'normal', std: 0.02 };
const ZEROS: ParameterInit = { kind: 'constant', value: 0 };

/** The sizes of tables and blocks, all decided. */
export interface GptSizes {
  readonly length: number;
  /** Rows of the token table. */
  readonly tokens: number;
  /** Rows of the position table. */
  readonly positions: number;
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly feedForward: number;
  readonly dropout: number;
  readonly activation: ActivationName;
}

/** `wte`, `wpe`, `h.<i>`: tokens [B, T] -> [B, T, D], before the last norm `ln_f`. */
export function drawGptBlocks(net: Net, ids: ValueInfo, sizes: GptSizes): ValueInfo {
  const { length, tokens, positions, layers, width, dropout } = sizes;
  const words = net.embedding('wte', ids, tokens, width, NORMAL); // [B, T, D]
  const places = firstEmbeddings(net, 'wpe', length, [positions, width], NORMAL); // [T, D]
  let h = net.dropout(net.g.add(words, places), dropout);
  for (let i = 0; i < layers; i++) h = net.within(`h.${i}`, () => drawBlock(net, h, sizes));
  return h;
}

/** [B, T, D] -> [B, T, D] */
function drawBlock(net: Net, x: ValueInfo, sizes: GptSizes): ValueInfo {
  const seen = drawAttention(net, net.layerNorm('ln_1', x), sizes);
  const h = net.g.add(x, seen);
  return net.g.add(h, drawFeedForward(net, net.layerNorm('ln_2', h), sizes));
}

/** [B, T, D] -> [B, T, D] */
function drawAttention(net: Net, x: ValueInfo, sizes: GptSizes): ValueInfo {
  const { width, heads, dropout } = sizes;
  return net.within('attn', () => {
    const all = dense(net, 'c_attn', x, 3 * width, NORMAL); // [B, T, 3 D]
    const [query, key, value] = splitInThree(net.g, all); // [B, T, D] each
    const seen = attend(net, query, key, value, { heads, dropout, isCausal: true });
    return net.dropout(dense(net, 'c_proj', seen, width, lastInit(sizes)), dropout);
  });
}

/** [B, T, D] -> [B, T, D] */
function drawFeedForward(net: Net, x: ValueInfo, sizes: GptSizes): ValueInfo {
  const { width, feedForward, dropout, activation } = sizes;
  return net.within('mlp', () => {
    const linear = dense(net, 'c_fc', x, feedForward, NORMAL); // [B, T, feedForward]
    const inner = ACTIVATIONS[activation](net.g, linear);
    return net.dropout(dense(net, 'c_proj', inner, width, lastInit(sizes)), dropout);
  });
}

/**
 * A smaller deviation, so that the sum over 2 * layers halves begins as large as one of them.
 */
function lastInit({ layers }: GptSizes): ParameterInit {
  return { kind: 'normal', std: 0.02 / Math.sqrt(2 * layers) };
}

/** [B, T, in] -> [B, T, out] */
function dense(
  net: Net,
  name: string,
  x: ValueInfo,
  outputs: number,
  init: ParameterInit,
): ValueInfo {
  return net.within(name, () => {
    const weight = net.parameter('weight', [Number(x.shape.at(-1)), outputs], init);
    return net.affine(x, weight, net.parameter('bias', [outputs], ZEROS));
  });
}
