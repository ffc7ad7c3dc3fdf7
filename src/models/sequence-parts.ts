/** Small parts of the models that read sequences. */
import { invariant } from '../base/errors.ts';
import type { GraphBuilder } from '../graph/builder.ts';
import type { ValueInfo } from '../graph/values/types.ts';
import type { ParameterInit } from './model.ts';
import type { Net } from './net.ts';

/**
 * A table of `rows` embeddings, of which a sequence of `length` uses the first: -> [length, width].
 * Parameter `name.weight`.
 */
export function firstEmbeddings(
  net: Net,
  name: string,
  length: number,
  [rows, width]: readonly [rows: number, width: number],
  init: ParameterInit,
): ValueInfo {
  return net.within(name, () => {
    const table = net.parameter('weight', [rows, width], init);
    return rows === length ? table : net.g.slice(table, { axes: [0], starts: [0], ends: [length] });
  });
}

/** What stands at one position: [B, T, D] -> [B, D]. */
export function atPosition(g: GraphBuilder, x: ValueInfo, index: number): ValueInfo {
  return g.squeeze(g.slice(x, { axes: [1], starts: [index], ends: [index + 1] }), [1]);
}

/** Query, key and value of one product: [B, T, 3 D] -> three times [B, T, D]. */
export function splitInThree(
  g: GraphBuilder,
  x: ValueInfo,
): readonly [ValueInfo, ValueInfo, ValueInfo] {
  const width = Number(x.shape.at(-1)) / 3;
  const [query, key, value] = g.split(x, [width, width, width], 2);
  invariant(
    query !== undefined && key !== undefined && value !== undefined,
    'Split gives as many as it was asked for',
  );
  return [query, key, value];
}
