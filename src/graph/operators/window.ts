/** Windows that slide over the spatial axes of [B, C, ...spatial], to convolve or to pool. */
import {
  numberAttribute,
  intsAttribute,
  refuse,
  stringAttribute,
  type OperatorCall,
} from './operator.ts';
import { formatShape } from '../values/shape.ts';
import type { Dimension, Shape } from '../values/types.ts';

/** A window per spatial axis; every list has one entry per axis. */
export interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** Zeros (for a maximum: nothing) before the first and after the last element of each axis. */
  readonly padsBegin: readonly number[];
  readonly padsEnd: readonly number[];
}

const MAX_SPATIAL_AXES = 3;

/** The sizes behind batch and channels, which must be known numbers. */
export function spatialSizes(call: OperatorCall, shape: Shape): readonly number[] {
  const sizes = shape.slice(2);
  if (sizes.length < 1 || sizes.length > MAX_SPATIAL_AXES) {
    refuse(call, `expected [batch, channels, ...] with 1 to ${MAX_SPATIAL_AXES} spatial axes`);
  }
  return sizes.map((size) =>
    typeof size === 'number'
      ? size
      : refuse(
          call,
          `the spatial sizes ${formatShape(sizes)} must be numbers; only the batch may be symbolic`,
        ),
  );
}

/**
 * The window of a call over spatial axes of `sizes`, with `auto_pad` resolved into numbers.
 * Throws: ShapeError when an attribute has another length than there are axes, or a value that
 *         makes no window.
 */
export function windowOf(
  call: OperatorCall,
  kernel: readonly number[],
  sizes: readonly number[],
): Window {
  const strides = perAxis(call, 'strides', sizes.length, 1);
  const dilations = perAxis(call, 'dilations', sizes.length, 1);
  const given = intsAttribute(call, 'kernel_shape');
  const isSame = given === undefined || given.join() === kernel.join();
  if (!isSame || kernel.length !== sizes.length)
    refuse(call, `the kernel ${formatShape(kernel)} does not fit`);
  if ([...strides, ...dilations, ...kernel].some((value) => value < 1)) {
    refuse(call, 'kernel, strides and dilations must be 1 or more');
  }
  const window = { kernel, strides, dilations };
  return { ...window, ...padsOf(call, window, sizes) };
}

/** Elements from the first to the last that one window touches along `axis`. */
export function windowSpan(
  { kernel, dilations }: Pick<Window, 'kernel' | 'dilations'>,
  axis: number,
): number {
  return ((kernel[axis] ?? 1) - 1) * (dilations[axis] ?? 1) + 1;
}

/**
 * How many windows fit along each axis; with `isCeil` also one that begins inside but ends outside.
 */
export function windowCounts(
  call: OperatorCall,
  window: Window,
  sizes: readonly number[],
  isCeil = false,
): readonly number[] {
  return sizes.map((size, axis) => {
    const [stride = 1, begin = 0, end = 0] = [
      window.strides[axis],
      window.padsBegin[axis],
      window.padsEnd[axis],
    ];
    const room = size + begin + end - windowSpan(window, axis);
    if (room < 0) {
      refuse(
        call,
        `a window of ${windowSpan(window, axis)} does not fit into ${size} padded by ${begin} ` +
          `+ ${end}`,
      );
    }
    const count = (isCeil ? Math.ceil(room / stride) : Math.floor(room / stride)) + 1;
    // A window that would begin in the padding behind the last element is left out, as in PyTorch.
    return isCeil && (count - 1) * stride >= size + begin ? count - 1 : count;
  });
}

function padsOf(
  call: OperatorCall,
  window: Omit<Window, 'padsBegin' | 'padsEnd'>,
  sizes: readonly number[],
): Pick<Window, 'padsBegin' | 'padsEnd'> {
  const mode = stringAttribute(call, 'auto_pad', 'NOTSET');
  const none = sizes.map(() => 0);
  if (mode === 'NOTSET' || mode === '') {
    const pads = intsAttribute(call, 'pads') ?? [...none, ...none];
    const isBad = pads.length !== 2 * sizes.length || pads.some((pad) => pad < 0);
    if (isBad)
      refuse(call, `expected ${2 * sizes.length} pads of 0 or more, got ${formatShape(pads)}`);
    return { padsBegin: pads.slice(0, sizes.length), padsEnd: pads.slice(sizes.length) };
  }
  if (mode === 'VALID') return { padsBegin: none, padsEnd: none };
  if (mode !== 'SAME_UPPER' && mode !== 'SAME_LOWER') refuse(call, `auto_pad ${mode} is not known`);
  // As many windows as strides begin inside the input; an
  // odd pad goes to the end (UPPER) or to the beginning.
  const totals = sizes.map((size, axis) => {
    const stride = window.strides[axis] ?? 1;
    return Math.max(0, (Math.ceil(size / stride) - 1) * stride + windowSpan(window, axis) - size);
  });
  const lesser = totals.map((total) => Math.floor(total / 2));
  const greater = totals.map((total) => Math.ceil(total / 2));
  return mode === 'SAME_UPPER'
    ? { padsBegin: lesser, padsEnd: greater }
    : { padsBegin: greater, padsEnd: lesser };
}

/** A list attribute with one entry per spatial axis. */
export function perAxis(
  call: OperatorCall,
  name: string,
  axes: number,
  absent: number,
): readonly number[] {
  const values = intsAttribute(call, name) ?? Array<number>(axes).fill(absent);
  if (values.length !== axes)
    refuse(call, `${name} must have ${axes} entries, got ${values.length}`);
  return values;
}

/** The attribute `group`, which must divide both channel counts. */
export function groupOf(call: OperatorCall, ...channels: readonly Dimension[]): number {
  const group = numberAttribute(call, 'group', 1);
  const divides =
    group >= 1 && channels.every((count) => typeof count === 'number' && count % group === 0);
  return divides
    ? group
    : refuse(call, `group ${group} must divide the channels ${channels.join(' and ')}`);
}
