/** Multi-head attention from its parts. */
import type { ValueInfo } from '../graph/values/types.ts';
import type { Net } from './net.ts';

/** How positions see each other. */
export interface AttentionOptions {
  /** A divisor of the width. */
  readonly heads: number;
  /** Whether a position sees only itself and those before it. */
  readonly isCausal?: boolean;
  /** Probability that a position is left out of what another one sees, in training. */
  readonly dropout?: number;
}

/**
 * What is added to a score that must not count. Not -Infinity, of which some devices make NaN;
 * e^-1e9 is 0, too.
 */
const MASKED = -1e9;

/**
 * softmax(q k^T / sqrt(head size)) v, for every head apart.
 *
 * Shapes: query, key, value [B, T, D] -> [B, T, D]; B may be symbolic.
 * Source: Vaswani et al. 2017, "Attention is all you need".
 */
export function attend(
  net: Net,
  query: ValueInfo,
  key: ValueInfo,
  value: ValueInfo,
  { heads, isCausal = false, dropout = 0 }: AttentionOptions,
): ValueInfo {
  const { g } = net;
  const [length, width] = query.shape.slice(1).map(Number) as [number, number];
  const size = width / heads;
  // [B, T, D] -> [B, T, heads, size]
  const split = (x: ValueInfo): ValueInfo => g.reshape(x, [-1, length, heads, size]);
  return g.within('attend', () => {
    const scaled = g.mul(query, g.scalar(1 / Math.sqrt(size))); // [B, T, D]
    const q = g.transpose(split(scaled), [0, 2, 1, 3]); // [B, heads, T, size]
    const k = g.transpose(split(key), [0, 2, 3, 1]); // [B, heads, size, T]
    const v = g.transpose(split(value), [0, 2, 1, 3]); // [B, heads, T, size]
    let scores = g.matMul(q, k); // [B, heads, T, T]
    if (isCausal) scores = g.add(scores, futureMask(net, length));
    const shares = net.dropout(g.softmax(scores), dropout); // [B, heads, T, T]
    const seen = g.transpose(g.matMul(shares, v), [0, 2, 1, 3]); // [B, T, heads, size]
    return g.reshape(seen, [-1, length, width]);
  });
}

/** [T, T]: 0 where column <= row. */
function futureMask({ g }: Net, length: number): ValueInfo {
  const elements = Array.from({ length: length ** 2 }, (_, i) =>
    i % length > Math.floor(i / length) ? MASKED : 0,
  );
  return g.constant('float32', [length, length], elements);
}
