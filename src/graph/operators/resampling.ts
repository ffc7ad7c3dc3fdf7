/** Resize: every axis by itself, each element from one or two of the input's. */
import {
  constantInts,
  inputAt,
  refuse,
  requireType,
  stringAttribute,
  type OperatorCall,
} from './operator.ts';
import { formatShape } from '../values/shape.ts';
import type { Shape, ValueType } from '../values/types.ts';

/** An axis that a Resize gives another size, and by which weights. */
export interface ResizedAxis {
  readonly axis: number;
  /** Elements of the input, and of the output. */
  readonly from: number;
  readonly to: number;
  /** For each element of the output: elements of the input, with weights that add up to 1. */
  readonly samples: readonly (readonly (readonly [index: number, weight: number])[])[];
}

/** Weights of one axis, from every element to every other: 2,048 to 2,048 fit. */
const MAX_WEIGHTS = 2 ** 22;

/** As ONNX Runtime computes places: in float32. */
const { fround } = Math;

type ToPlace = (index: number, scale: number, from: number, to: number) => number;

const halfPixel: ToPlace = (index, scale) => fround(fround(fround(index + 0.5) / scale) - 0.5);

/** The place in the input, which may lie between elements, of an element of the output. */
const PLACES: Readonly<Record<string, ToPlace>> = {
  half_pixel: halfPixel,
  pytorch_half_pixel: (index, scale, from, to) => (to > 1 ? halfPixel(index, scale, from, to) : 0),
  align_corners: (index, _, from, to) =>
    to > 1 ? fround(fround(index * (from - 1)) / (to - 1)) : 0,
  asymmetric: (index, scale) => fround(index / scale),
};

/** The element that is nearest to a place. */
const ROUNDINGS: Readonly<Record<string, (place: number) => number>> = {
  round_prefer_floor: (place) => Math.ceil(place - 0.5),
  round_prefer_ceil: (place) => Math.floor(place + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
};

/** Scale and new size of every axis. */
function targetsOf(call: OperatorCall): { scales: readonly number[]; shape: Shape } {
  const { shape } = inputAt(call, 0);
  const [scales = [], sizes = []] = [constantInts(call, 2), constantInts(call, 3)];
  const given = sizes.length > 0 ? sizes : scales;
  if (given.length !== shape.length || given.some((value) => !(value > 0)))
    refuse(call, `expected a scale or a size of more than 0 for each of ${shape.length} axes`);
  const results = shape.map((size, axis) => {
    const [scale = 1, to] = [scales[axis], sizes[axis]];
    if (typeof size === 'number') return to ?? Math.floor(fround(size * scale));
    return to === undefined && scale === 1
      ? size
      : refuse(call, `the symbolic size ${size} cannot become another`);
  });
  return {
    shape: results,
    scales: shape.map((size, axis) =>
      sizes.length > 0 ? fround((sizes[axis] ?? 1) / Number(size)) : (scales[axis] ?? 1),
    ),
  };
}

/**
 * The axes that a Resize changes.
 *
 * Throws: ShapeError for cubic interpolation and for places that we do not know.
 */
export function resizedAxes(call: OperatorCall): readonly ResizedAxis[] {
  const { shape } = inputAt(call, 0);
  const targets = targetsOf(call);
  const sampling = samplingOf(call);
  return shape.flatMap((from, axis) => {
    const [to, scale = 1] = [targets.shape[axis], targets.scales[axis]];
    if (typeof from !== 'number' || typeof to !== 'number' || (from === to && scale === 1))
      return [];
    if (from * to > MAX_WEIGHTS)
      refuse(call, `axis ${axis}: resizing ${from} to ${to} elements needs too many weights`);
    const samples = Array.from({ length: to }, (_, index) => sampling(index, scale, from, to));
    return [{ axis, from, to, samples }];
  });
}

function samplingOf(
  call: OperatorCall,
): (...at: Parameters<ToPlace>) => ResizedAxis['samples'][number] {
  const mode = stringAttribute(call, 'mode', 'nearest');
  const transformation = stringAttribute(call, 'coordinate_transformation_mode', 'half_pixel');
  const rounding = stringAttribute(call, 'nearest_mode', 'round_prefer_floor');
  const place = chosen(call, transformation, PLACES);
  const round = chosen(call, rounding, ROUNDINGS);
  if (mode !== 'nearest' && mode !== 'linear')
    refuse(call, `expected the mode nearest or linear, got ${mode}. Use mode="bilinear"`);
  const inside = (index: number, from: number): number => Math.min(Math.max(index, 0), from - 1);
  return (index, scale, from, to) => {
    const at = place(index, scale, from, to);
    if (mode === 'nearest') return [[inside(round(at), from), 1]];
    const within = inside(at, from);
    const [low, share] = [Math.floor(within), within - Math.floor(within)];
    if (share === 0) return [[low, 1]];
    return [
      [low, 1 - share],
      [low + 1, share],
    ];
  };
}

/** The entry that an attribute names. */
function chosen<T>(call: OperatorCall, name: string, known: Readonly<Record<string, T>>): T {
  const found = Object.hasOwn(known, name) ? known[name] : undefined;
  return found ?? refuse(call, `expected one of ${Object.keys(known).join(', ')}; got ${name}`);
}

/** The same elements at other sizes. Axes of symbolic size must stay. */
export function inferResize(call: OperatorCall): readonly ValueType[] {
  const type = requireType(call, 0, ['float32']);
  const { shape } = targetsOf(call);
  samplingOf(call);
  if (shape.includes(0)) refuse(call, `nothing is left at the sizes ${formatShape(shape)}`);
  return [{ type, shape }];
}
