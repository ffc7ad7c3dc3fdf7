/** What computes a constant: the parts that the tables of constant folding share. */
import { invariant } from '../base/errors.ts';
import type { OperatorInput } from './operators/operator.ts';
import type { OperatorName } from './operators/operators.ts';
import type { Attributes, Tensor, TensorData } from './values/types.ts';

/** One application of an operator, with the elements of its inputs where they are known. */
export interface FoldableCall {
  readonly operator: OperatorName;
  readonly name: string;
  readonly inputs: readonly (OperatorInput | undefined)[];
  readonly attributes: Attributes;
}

/** A constant whose name does not matter. */
export type Constant = Omit<Tensor, 'name'>;

/** Gives the elements of a call's output, whose inferred type and shape are those of `result`. */
export type Folder = (
  call: FoldableCall,
  inputs: readonly Constant[],
  result: Omit<Constant, 'data'>,
) => TensorData;

/** The constant at `index`, which the inferred call guarantees to be there. */
export function constantAt(inputs: readonly Constant[], index: number): Constant {
  const constant = inputs[index];
  invariant(constant !== undefined, `there is no constant ${index}`);
  return constant;
}
