import { invariant } from '../base/errors.ts';
import { staticElementCount } from './values/shape.ts';
import { type Graph } from './types.ts';
import { ELEMENT_TYPES } from './values/types.ts';

/**
 * Bytes of the results of nodes that are alive at once, at most, when the nodes run in their order
 * and every result is freed after its last use. Inputs and constants do not count.
 *
 * An engine may need less (a reshape in place) or more (a workspace): it is an estimate to choose
 * sizes by. All shapes must be numbers.
 */
export function peakBytes(graph: Graph): number {
  const sizes = new Map(
    graph.values.map(({ name, type, shape }) => [
      name,
      staticElementCount(shape.map(Number)) * ELEMENT_TYPES[type].bytes,
    ]),
  );
  const bytesOf = (name: string): number => {
    const bytes = sizes.get(name);
    invariant(Number.isSafeInteger(bytes), `${name} has a shape of numbers`);
    return bytes ?? 0;
  };
  const lastUse = new Map<string, number>();
  for (const [index, { inputs, outputs }] of graph.nodes.entries())
    for (const name of [...outputs, ...inputs]) lastUse.set(name, index);
  for (const { name } of graph.outputs) lastUse.set(name, graph.nodes.length);

  const alive = new Map<string, number>();
  let bytes = 0;
  let peak = 0;
  for (const [index, { inputs, outputs }] of graph.nodes.entries()) {
    for (const name of outputs) {
      if (name === '') continue;
      alive.set(name, bytesOf(name));
      bytes += bytesOf(name);
    }
    peak = Math.max(peak, bytes);
    for (const name of new Set([...inputs, ...outputs])) {
      if (lastUse.get(name) !== index) continue;
      bytes -= alive.get(name) ?? 0;
      alive.delete(name);
    }
  }
  return peak;
}
