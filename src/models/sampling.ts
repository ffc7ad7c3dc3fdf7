/** Chooses the token that follows, from what a language model says about it. */
import { invariant } from '../base/errors.ts';

/** How freely the next token is drawn. */
export interface SamplingOptions {
  /**
   * Divides the logits: below 1 likely tokens become likelier; 0 always takes the likeliest (the
   * first of equals).
   */
  readonly temperature: number;
  /** Only so many of the likeliest tokens are in question. */
  readonly topK: number;
}

/**
 * Draws one token's id with probability softmax(logits / temperature) among the `topK` likeliest.
 *
 * Shapes: logits [vocabulary]; `uniform` is a random number from 0 to below 1.
 */
export function sampleToken(
  logits: Float32Array,
  { temperature, topK }: SamplingOptions,
  uniform: number,
): number {
  invariant(logits.length > 0 && topK >= 1, 'there is a token to choose');
  const ranked = [...logits.keys()].sort((a, b) => (logits[b] ?? 0) - (logits[a] ?? 0) || a - b);
  const [best = 0] = ranked;
  if (temperature === 0) return best;
  const candidates = ranked.slice(0, topK);
  const greatest = logits[best] ?? 0;
  const weights = candidates.map((id) => Math.exp(((logits[id] ?? 0) - greatest) / temperature));
  let left = uniform * weights.reduce((sum, weight) => sum + weight, 0);
  for (const [rank, weight] of weights.entries()) {
    left -= weight;
    if (left < 0) return candidates[rank] ?? best;
  }
  return candidates.at(-1) ?? best;
}
