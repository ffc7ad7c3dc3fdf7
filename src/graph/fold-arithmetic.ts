/** Arithmetic on constants as where graphs run: float32 rounded each time, integers wrapped. */
import { type Constant, constantAt, type Folder } from './folder.ts';
import { refuse } from './operators/operator.ts';
import { broadcastCopy, emptyData } from './values/strided-copy.ts';

type OnNumbers = (a: number, b: number) => number | boolean;
type OnIntegers = (a: bigint, b: bigint) => bigint | boolean;

/** Folds all inputs, broadcast to the shape of the result, element by element from the left. */
function elementwise(onNumbers: OnNumbers, onIntegers?: OnIntegers): Folder {
  return (call, inputs, result) => {
    const isExact =
      onIntegers !== undefined && inputs.every(({ type }) => type === 'int32' || type === 'int64');
    const [first, ...others] = inputs.map(({ type, shape, data }) =>
      broadcastCopy(type, data, shape, result.shape),
    );
    const made = emptyData(result.type, first?.length ?? 0);
    for (let i = 0; i < made.length; i++) {
      if (isExact) {
        const value = others.reduce<bigint | boolean>(
          (total, other) => onIntegers(BigInt(total), BigInt(other[i] ?? 0)),
          BigInt(first?.[i] ?? 0),
        );
        made[i] =
          made instanceof BigInt64Array ? BigInt(value) : Number(BigInt.asIntN(32, BigInt(value)));
      } else {
        const value = others.reduce<number | boolean>(
          (total, other) => onNumbers(Number(total), Number(other[i] ?? 0)),
          Number(first?.[i] ?? 0),
        );
        made[i] = made instanceof BigInt64Array ? integerOf(call, Number(value)) : Number(value);
      }
    }
    return made;
  };
}

/** y = f(x); of integers, exactly where `onIntegers` says how. */
function unary(
  onNumbers: (x: number) => number | boolean,
  onIntegers?: (x: bigint) => bigint,
): Folder {
  return (_, inputs, result) => {
    const { data } = constantAt(inputs, 0);
    const made = emptyData(result.type, data.length);
    for (let i = 0; i < made.length; i++) {
      const value = data[i] ?? 0;
      if (typeof value === 'bigint') made[i] = onIntegers?.(value) ?? value;
      else made[i] = Number(onNumbers(value));
    }
    return made;
  };
}

/**
 * Elements of another type: to integers by cutting the fraction off, to bool by comparing with 0.
 */
const cast: Folder = (call, inputs, { type }) => {
  const { data } = constantAt(inputs, 0);
  const made = emptyData(type, data.length);
  for (let i = 0; i < made.length; i++) {
    const value = data[i] ?? 0;
    if (type === 'bool') made[i] = Number(Number(value) !== 0);
    else if (made instanceof BigInt64Array)
      made[i] = typeof value === 'bigint' ? value : integerOf(call, value);
    else made[i] = Number(value);
  }
  return made;
};

const where: Folder = (_, inputs, { type, shape }) => {
  const broadcast = (input: Constant) => broadcastCopy(input.type, input.data, input.shape, shape);
  const condition = broadcast(constantAt(inputs, 0));
  const [yes, no] = [broadcast(constantAt(inputs, 1)), broadcast(constantAt(inputs, 2))];
  const made = emptyData(type, condition.length);
  for (let i = 0; i < made.length; i++) made[i] = (condition[i] === 1 ? yes : no)[i] ?? 0;
  return made;
};

/** start, start + delta, ...: as many as the shape says. */
const range: Folder = (_, inputs, { type, shape }) => {
  const [start, delta] = [constantAt(inputs, 0).data[0] ?? 0, constantAt(inputs, 2).data[0] ?? 0];
  const made = emptyData(type, shape[0] ?? 0);
  for (let i = 0; i < made.length; i++) {
    made[i] =
      made instanceof BigInt64Array
        ? BigInt(start) + BigInt(i) * BigInt(delta)
        : Number(start) + i * Number(delta);
  }
  return made;
};

/** A float as int64, towards 0. */
function integerOf(call: Parameters<Folder>[0], value: number): bigint {
  return Number.isFinite(value)
    ? BigInt(Math.trunc(value))
    : refuse(call, `${value} is not an integer`);
}

/** Integers towards 0, as in C. */
const divide: Folder = (call, inputs, result) => {
  const { type, data } = constantAt(inputs, 1);
  if (type !== 'float32' && data.some((value) => Number(value) === 0))
    refuse(call, 'division by zero');
  return quotient(call, inputs, result);
};
const quotient = elementwise(
  (a, b) => a / b,
  (a, b) => a / b,
);

/** Folders of operators on elements, and of those that make or choose numbers. */
export const ARITHMETIC_FOLDERS = {
  Add: elementwise(
    (a, b) => a + b,
    (a, b) => a + b,
  ),
  Sub: elementwise(
    (a, b) => a - b,
    (a, b) => a - b,
  ),
  Mul: elementwise(
    (a, b) => a * b,
    (a, b) => a * b,
  ),
  Div: divide,
  Pow: elementwise((a, b) => a ** b),
  Min: elementwise(Math.min, (a, b) => (a < b ? a : b)),
  Max: elementwise(Math.max, (a, b) => (a > b ? a : b)),
  Equal: elementwise(
    (a, b) => a === b,
    (a, b) => a === b,
  ),
  Less: elementwise(
    (a, b) => a < b,
    (a, b) => a < b,
  ),
  LessOrEqual: elementwise(
    (a, b) => a <= b,
    (a, b) => a <= b,
  ),
  Greater: elementwise(
    (a, b) => a > b,
    (a, b) => a > b,
  ),
  GreaterOrEqual: elementwise(
    (a, b) => a >= b,
    (a, b) => a >= b,
  ),
  And: elementwise((a, b) => a !== 0 && b !== 0),
  Or: elementwise((a, b) => a !== 0 || b !== 0),
  Not: unary((x) => x === 0),
  Neg: unary(
    (x) => -x,
    (x) => -x,
  ),
  Abs: unary(Math.abs, (x) => (x < 0n ? -x : x)),
  Floor: unary(Math.floor),
  Ceil: unary(Math.ceil),
  Sqrt: unary(Math.sqrt),
  Cast: cast,
  Where: where,
  Range: range,
} as const satisfies Readonly<Record<string, Folder>>;
