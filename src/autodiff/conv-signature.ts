/** What a convolution is, apart from its numbers: all that the choice of a form depends on. */
import type { GraphBuilder } from '../graph/builder.ts';
import type { OperatorCall } from '../graph/operators/operator.ts';
import { groupOf, windowCounts, windowOf, type Window } from '../graph/operators/window.ts';
import type { GraphNode } from '../graph/types.ts';

/**
 * x [batch, channels, ...sizes] and weight [outputs, channels / group, ...kernel] give
 * [batch, outputs, ...counts].
 */
export interface ConvSignature extends Window {
  readonly batch: number;
  readonly channels: number;
  readonly sizes: readonly number[];
  readonly outputs: number;
  readonly counts: readonly number[];
  readonly group: number;
}

/** A node as shape inference sees it, with the constants among its inputs. */
export function callOf(
  g: GraphBuilder,
  { operator, name, inputs, attributes }: GraphNode,
): OperatorCall {
  const values = inputs.map((input) => {
    if (input === '') return undefined;
    const value = g.value(input);
    const constant = g.constantOf(value);
    return { ...value, ...(constant && { constant }) };
  });
  return { operator, name, inputs: values, attributes };
}

/** The signature of a convolution of these shapes with the attributes of `call`. */
export function convSignatureOf(
  call: OperatorCall,
  x: readonly number[],
  weight: readonly number[],
): ConvSignature {
  const [batch = 1, channels = 1, ...sizes] = x;
  const [outputs = 1, , ...kernel] = weight;
  const window = windowOf(call, kernel, sizes);
  const counts = windowCounts(call, window, sizes);
  return {
    ...window,
    batch,
    channels,
    sizes,
    outputs,
    counts,
    group: groupOf(call, channels, outputs),
  };
}

/** One text per signature: equal texts, equal work. */
export function signatureKey(signature: ConvSignature): string {
  const { batch, channels, sizes, outputs, kernel, strides, dilations, padsBegin, padsEnd, group } =
    signature;
  const list = (values: readonly number[]): string => values.join('x');
  return [
    `x${list([batch, channels, ...sizes])}`,
    `w${list([outputs, ...kernel])}`,
    `s${list(strides)}`,
    `d${list(dilations)}`,
    `p${list([...padsBegin, ...padsEnd])}`,
    `g${group}`,
  ].join(' ');
}

/** The product of all values; 1 for an empty list, as for the elements of a scalar. */
export function product(values: readonly number[]): number {
  return values.reduce((result, value) => result * value, 1);
}

/** Multiplications and additions of the convolution; each of its two gradients takes as many. */
export function convFlops({
  batch,
  channels,
  outputs,
  counts,
  kernel,
  group,
}: ConvSignature): number {
  return (2 * batch * outputs * channels * product(kernel) * product(counts)) / group;
}

/** Indices of the kernel's positions in row-major order: for 3x3 [0, 0], [0, 1] ... [2, 2]. */
export function kernelPositions({ kernel }: Pick<Window, 'kernel'>): number[][] {
  return kernel.reduce<number[][]>(
    (heads, size) =>
      heads.flatMap((head) => Array.from({ length: size }, (_, index) => [...head, index])),
    [[]],
  );
}
