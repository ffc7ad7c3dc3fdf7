/**
 * The seed system's two Thrift services, as calls and answers. No code is generated; this is the
 * whole of it:
 *
 *   coordinator   double train(1: string dir, 2: i32 rounds, 3: i32 epochs, 4: i32 h, 5: i32 k,
 *                   6: double eta)
 *   compute node  TrainResult train_with_weights(1: string training_file,
 *                   2: Weights initial_weights, 3: double load_probability, 4: i32 k, 5: i32 h,
 *                   6: double eta, 7: i32 epochs, 8: i32 scheduling_policy)
 *   Weights       1: list<list<double>> V, 2: list<list<double>> W
 *   TrainResult   1: bool accepted, 2: double training_error,
 *                   3: Weights weights (final minus initial)
 */
import { ProtocolError } from '../../base/errors.ts';
import { type NetworkShape, outputWeightCount, parameterCount } from '../numeric/parameters.ts';
import { encodeThrift, type Typed } from './thrift-encoder.ts';
import {
  EXCEPTIONS,
  isBoolean,
  isNumber,
  isStruct,
  isText,
  thriftField,
  type ThriftMessage,
  type ThriftStruct,
  type ThriftValue,
} from './thrift-values.ts';

/** Method of the coordinator that trains a whole job. */
export const TRAIN = 'train';
/** Method of a compute node that trains on one file. */
export const TRAIN_WITH_WEIGHTS = 'train_with_weights';
/**
 * A method of ours alone, without arguments: nodes of Lockstep answer "lockstep"; those of the seed
 * system, that they know no such method. So both say at once what they are.
 */
export const WHO_ARE_YOU = 'who_are_you';
const IS_LOCKSTEP = 'lockstep';

/** Characters that are read of what an exception says. */
const MAX_EXCEPTION_TEXT = 500;

/** Arguments of `train`. */
export interface TrainCall {
  readonly directory: string;
  readonly rounds: number;
  readonly epochs: number;
  readonly hidden: number;
  readonly classes: number;
  readonly eta: number;
}

/** Arguments of `train_with_weights`; its load_probability is not used by anyone. */
export interface FileCall {
  readonly path: string;
  readonly shape: NetworkShape;
  readonly start: Float64Array;
  readonly epochs: number;
  readonly eta: number;
  /** 1 random, 2 load-balancing. */
  readonly policy: number;
}

/** Result of `train_with_weights`; without `delta` the task was not accepted. */
export interface FileAnswer {
  readonly delta?: Float64Array;
  readonly trainingError: number;
}

/** Throws: ProtocolError. */
export function parseTrainCall({ body }: ThriftMessage): TrainCall {
  const number = (id: number, what: string): number => thriftField(body, id, what, isNumber);
  return {
    directory: thriftField(body, 1, 'dir', isText),
    rounds: number(2, 'rounds'),
    epochs: number(3, 'epochs'),
    hidden: number(4, 'h'),
    classes: number(5, 'k'),
    eta: number(6, 'eta'),
  };
}

/** The answer of a node of Lockstep to `WHO_ARE_YOU`. */
export function encodeIdentity({ name, sequence }: ThriftMessage): Uint8Array {
  return encodeThrift('reply', name, sequence, { 0: { type: 'string', value: IS_LOCKSTEP } });
}

/** Whether that is the answer. */
export function isIdentity({ kind, body }: ThriftMessage): boolean {
  return kind === 'reply' && body.get(0) === IS_LOCKSTEP;
}

/** Writes the call by which a client has a coordinator train. */
export function encodeTrainCall(sequence: number, call: TrainCall): Uint8Array {
  return encodeThrift('call', TRAIN, sequence, {
    1: { type: 'string', value: call.directory },
    2: { type: 'i32', value: call.rounds },
    3: { type: 'i32', value: call.epochs },
    4: { type: 'i32', value: call.hidden },
    5: { type: 'i32', value: call.classes },
    6: { type: 'double', value: call.eta },
  });
}

/**
 * Reads the answer to `train`: the final validation error, negative when there was nothing to train.
 *
 * Throws: ProtocolError, with the words of an exception if it is one.
 */
export function parseTrainReply(message: ThriftMessage): number {
  if (message.kind === 'exception')
    throw new ProtocolError(`${TRAIN}: the coordinator reports: ${exceptionText(message)}`);
  return thriftField(message.body, 0, 'a result', isNumber);
}

/** The answer to `train`: the final validation error. */
export function encodeTrainReply(sequence: number, error: number): Uint8Array {
  return encodeThrift('reply', TRAIN, sequence, { 0: { type: 'double', value: error } });
}

/** Throws: ProtocolError, also when the weights are not as large as h and k say. */
export function parseFileCall({ body }: ThriftMessage): FileCall {
  const number = (id: number, what: string): number => thriftField(body, id, what, isNumber);
  const weights = thriftField(body, 2, 'initial_weights', isStruct);
  const w = matrix(weights, 2, 'W');
  const shape = { features: w.length - 1, hidden: number(5, 'h'), classes: number(4, 'k') };
  return {
    path: thriftField(body, 1, 'training_file', isText),
    shape,
    start: parseWeights(weights, shape),
    eta: number(6, 'eta'),
    epochs: number(7, 'epochs'),
    policy: number(8, 'scheduling_policy'),
  };
}

/** Writes the call by which a coordinator has a node train on one file. */
export function encodeFileCall(sequence: number, call: FileCall): Uint8Array {
  return encodeThrift('call', TRAIN_WITH_WEIGHTS, sequence, {
    1: { type: 'string', value: call.path },
    2: encodeWeights(call.start, call.shape),
    3: { type: 'double', value: 0 },
    4: { type: 'i32', value: call.shape.classes },
    5: { type: 'i32', value: call.shape.hidden },
    6: { type: 'double', value: call.eta },
    7: { type: 'i32', value: call.epochs },
    8: { type: 'i32', value: call.policy },
  });
}

/** Writes a node's answer; without a `delta` it says that the task was rejected. */
export function encodeFileReply(
  sequence: number,
  answer: FileAnswer,
  shape: NetworkShape,
): Uint8Array {
  const empty: Typed = { type: 'matrix', value: [] };
  const weights: Typed =
    answer.delta === undefined
      ? { type: 'struct', value: { 1: empty, 2: empty } }
      : encodeWeights(answer.delta, shape);
  return encodeThrift('reply', TRAIN_WITH_WEIGHTS, sequence, {
    0: {
      type: 'struct',
      value: {
        1: { type: 'bool', value: answer.delta !== undefined },
        2: { type: 'double', value: answer.trainingError },
        3: weights,
      },
    },
  });
}

/**
 * Reads a node's answer; without a `delta` it is a rejection.
 *
 * Throws: ProtocolError for anything else: the words of an exception, weights of another shape.
 */
export function parseFileReply(message: ThriftMessage, shape: NetworkShape): FileAnswer {
  if (message.kind === 'exception')
    throw new ProtocolError(`${message.name}: the node reports: ${exceptionText(message)}`);
  const result = thriftField(message.body, 0, 'a result', isStruct);
  const trainingError = thriftField(result, 2, 'training_error', isNumber);
  if (!thriftField(result, 1, 'accepted', isBoolean)) return { trainingError };
  const weights = thriftField(result, 3, 'weights', isStruct);
  return { trainingError, delta: parseWeights(weights, shape) };
}

/** What an exception says. */
export function exceptionText({ body }: ThriftMessage): string {
  const text = body.get(1);
  return typeof text === 'string' && text !== ''
    ? text.slice(0, MAX_EXCEPTION_TEXT)
    : 'an error without words';
}

/** The answer to a call that failed. */
export function encodeException(
  { name, sequence }: ThriftMessage,
  reason: keyof typeof EXCEPTIONS,
  text: string,
): Uint8Array {
  return encodeThrift('exception', name, sequence, {
    1: { type: 'string', value: text },
    2: { type: 'i32', value: EXCEPTIONS[reason] },
  });
}

function encodeWeights(parameters: Float64Array, shape: NetworkShape): Typed {
  const start = outputWeightCount(shape);
  return {
    type: 'struct',
    value: {
      1: { type: 'matrix', value: rowsOf(parameters.subarray(0, start), shape.classes) },
      2: { type: 'matrix', value: rowsOf(parameters.subarray(start), shape.hidden) },
    },
  };
}

function rowsOf(values: Float64Array, columns: number): Float64Array[] {
  const count = columns === 0 ? 0 : values.length / columns;
  return Array.from({ length: count }, (_, row) =>
    values.subarray(row * columns, (row + 1) * columns),
  );
}

function parseWeights(weights: ThriftStruct, shape: NetworkShape): Float64Array {
  const { features, hidden, classes } = shape;
  const v = matrix(weights, 1, 'V');
  const w = matrix(weights, 2, 'W');
  const hasShape = (rows: readonly Float64Array[], count: number, columns: number): boolean =>
    rows.length === count && rows.every((row) => row.length === columns);
  if (!hasShape(v, hidden + 1, classes) || !hasShape(w, features + 1, hidden)) {
    throw new ProtocolError(
      `reading weights: expected V [${hidden + 1}, ${classes}] and W [${features + 1}, ` +
        `${hidden}], got V [${v.length}, ${v[0]?.length ?? 0}] and W [${w.length}, ` +
        `${w[0]?.length ?? 0}]`,
    );
  }
  const parameters = new Float64Array(parameterCount(shape));
  let at = 0;
  for (const row of [...v, ...w]) {
    parameters.set(row, at);
    at += row.length;
  }
  return parameters;
}

/** A list of lists of doubles; an empty list may come without saying of what. */
function matrix(struct: ThriftStruct, id: number, what: string): readonly Float64Array[] {
  const rows = thriftField(
    struct,
    id,
    what,
    (value): value is ThriftValue & readonly ThriftValue[] => Array.isArray(value),
  );
  return rows.map((row) => {
    if (row instanceof Float64Array) return row;
    throw new ProtocolError(`reading ${what}: expected rows of numbers`);
  });
}
