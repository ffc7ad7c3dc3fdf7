/** Equations of Einsum: of one or two operands, in none of which an index stands twice. */
import { inputAt, refuse, requireType, stringAttribute, type OperatorCall } from './operator.ts';
import type { Dimension, ValueType } from '../values/types.ts';

/** One letter per axis: those of every operand, and those of the result. */
export interface EinsumEquation {
  readonly operands: readonly string[];
  readonly result: string;
}

const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
const ELLIPSIS = '...';

/**
 * The equation of a call, with a letter for every axis that `...` stands for.
 *
 * Throws: ShapeError naming node and equation for more than two operands, for an index that stands
 *         twice in one (a diagonal), and for what does not fit the inputs.
 */
export function einsumEquationOf(call: OperatorCall): EinsumEquation {
  const equation = stringAttribute(call, 'equation', '').replaceAll(' ', '');
  const fail = (reason: string): never => refuse(call, `equation "${equation}": ${reason}`);
  if (!/^[a-z.]+(?:,[a-z.]+)*(?:->[a-z.]*)?$/i.test(equation))
    fail('expected letters, one for each axis of an operand');
  const [left = '', right] = equation.split('->');
  const given = left.split(',');
  if (given.length > 2 || given.length !== call.inputs.length)
    fail(
      `expected one or two operands, got ${Math.max(given.length, call.inputs.length)}; multiply ` +
        'two at a time',
    );
  const free = LETTERS.split('').filter((letter) => !equation.includes(letter));
  const behind = given.map((operand, index) => {
    const named = operand.replace(ELLIPSIS, '').length;
    const rest = inputAt(call, index).shape.length - named;
    const fits = operand.includes(ELLIPSIS) ? rest >= 0 : rest === 0;
    return fits ? rest : fail(`${operand} does not fit the axes of operand ${index}`);
  });
  const repeated = behind.filter((_, index) => given[index]?.includes(ELLIPSIS));
  if (new Set(repeated).size > 1) fail(`${ELLIPSIS} must stand for as many axes in both operands`);
  const inner = free.slice(0, repeated[0] ?? 0).join('');
  const written = (term: string): string => {
    const letters = term.replace(ELLIPSIS, inner);
    if (letters.includes('.')) fail(`expected ${ELLIPSIS} once in a term`);
    const isTwice = new Set(letters).size !== letters.length;
    return isTwice ? fail(`an index stands twice in ${term}; take its diagonal outside`) : letters;
  };
  const operands = given.map(written);
  const result = right === undefined ? inner + implied(operands, inner) : written(right);
  if (result.split('').some((letter) => !operands.some((operand) => operand.includes(letter))))
    fail('the result has an index that no operand has');
  return { operands, result };
}

/** Without `->` the result has every index that stands once, in alphabetical order. */
function implied(operands: readonly string[], inner: string): string {
  const all = operands
    .join('')
    .split('')
    .filter((letter) => !inner.includes(letter));
  return all
    .filter((letter) => all.filter((other) => other === letter).length === 1)
    .sort()
    .join('');
}

/** The sum of products of elements with equal indices, over those that the result has not. */
export function inferEinsum(call: OperatorCall): readonly ValueType[] {
  const { operands, result } = einsumEquationOf(call);
  const sizes = new Map<string, Dimension>();
  operands.forEach((operand, index) => {
    requireType(call, index, ['float32']);
    const { shape } = inputAt(call, index);
    shape.forEach((size, axis) => {
      const letter = operand[axis] ?? '';
      const known = sizes.get(letter) ?? size;
      if (known !== size) refuse(call, `the index ${letter} has the sizes ${known} and ${size}`);
      sizes.set(letter, size);
    });
  });
  return [{ type: 'float32', shape: result.split('').map((letter) => sizes.get(letter) ?? 1) }];
}
