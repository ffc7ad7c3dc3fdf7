/**
 * How operators are written at other opsets than 17, one
 * entry each; those that mean the same are not here.
 */
import type { DecodedNode } from './decode-model.ts';
import {
  attributeOf,
  firstOutput,
  floatToInput,
  intsToInput,
  notAt17,
  type Surroundings,
  withAbsentInput,
  withAttribute,
  without,
  withoutInput,
} from './node-edits.ts';

/**
 * One rewriting of an operator, in force below an
 * opset, from an opset on, or (without both) always.
 */
export interface OpsetRewrite {
  readonly below?: number;
  readonly from?: number;
  readonly rewrite: (
    node: DecodedNode,
    around: Surroundings,
  ) => DecodedNode | readonly DecodedNode[];
}

const axesBecomeInput: OpsetRewrite = {
  below: 13,
  rewrite: (node, around) => intsToInput(node, 'axes', 1, around),
};
const axesBecomeAttribute: OpsetRewrite = { from: 18, rewrite: axesToAttribute };
const softmaxOverRest: OpsetRewrite = { below: 13, rewrite: flattenedSoftmax };

/**
 * Rewrites by operator, applied in order. Operators without an entry mean the same in all opsets.
 */
export const OPSET_REWRITES: Readonly<Record<string, readonly OpsetRewrite[]>> = {
  Squeeze: [axesBecomeInput],
  Unsqueeze: [axesBecomeInput],
  ReduceSum: [axesBecomeInput],
  ReduceMean: [axesBecomeAttribute],
  ReduceMax: [axesBecomeAttribute],
  ReduceMin: [axesBecomeAttribute],
  ReduceProd: [axesBecomeAttribute],
  ReduceL1: [axesBecomeAttribute],
  ReduceL2: [axesBecomeAttribute],
  ReduceSumSquare: [axesBecomeAttribute],
  ReduceLogSum: [axesBecomeAttribute],
  ReduceLogSumExp: [axesBecomeAttribute],
  Softmax: [softmaxOverRest],
  LogSoftmax: [softmaxOverRest],
  Split: [
    { below: 13, rewrite: (node, around) => intsToInput(node, 'split', 1, around) },
    { from: 18, rewrite: (node) => without(node, 'num_outputs') },
  ],
  Slice: [
    { below: 10, rewrite: (node, around) => intsToInput(node, 'starts', 1, around) },
    { below: 10, rewrite: (node, around) => intsToInput(node, 'ends', 2, around) },
    { below: 10, rewrite: (node, around) => intsToInput(node, 'axes', 3, around) },
  ],
  Clip: [
    { below: 11, rewrite: (node, around) => floatToInput(node, 'min', 1, around) },
    { below: 11, rewrite: (node, around) => floatToInput(node, 'max', 2, around) },
  ],
  Pad: [
    { below: 11, rewrite: (node, around) => intsToInput(node, 'pads', 1, around) },
    { below: 11, rewrite: (node, around) => floatToInput(node, 'value', 2, around) },
    { from: 18, rewrite: (node) => withoutInput(node, 3) },
  ],
  Dropout: [
    { below: 12, rewrite: (node, around) => floatToInput(node, 'ratio', 1, around) },
    // Input 2 says whether it drops: at inference it never does, and in training it is not for the
    // file to say.
    {
      rewrite: (node) => firstOutput({ ...without(node, 'seed'), inputs: node.inputs.slice(0, 2) }),
    },
  ],
  BatchNormalization: [
    { rewrite: (node) => firstOutput(without(node, 'training_mode', 'spatial')) },
  ],
  AveragePool: [{ from: 19, rewrite: withoutDilations }],
  // Doubles are computed as float32, like every constant of theirs.
  Cast: [
    {
      rewrite: (node) =>
        attributeOf(node, 'to') === 11
          ? withAttribute(without(node, 'saturate'), 'to', 1)
          : without(node, 'saturate'),
    },
  ],
  Upsample: [{ below: 10, rewrite: resizeByScales }],
  Resize: [
    { below: 11, rewrite: resizeByScales },
    { from: 18, rewrite: plainResize },
  ],
  Gelu: [{ from: 20, rewrite: geluInParts }],
};

/** The constant axes at input 1 as an attribute. */
function axesToAttribute(node: DecodedNode, around: Surroundings): DecodedNode {
  const [data = '', name = ''] = node.inputs;
  const axes = name === '' ? undefined : around.constantOf(name);
  if (name !== '' && axes === undefined)
    throw notAt17(node, 'its axes are computed; they must be constant');
  const bare = { ...without(node, 'noop_with_empty_axes'), inputs: [data] };
  if (axes !== undefined && axes.data.length > 0)
    return withAttribute(bare, 'axes', Array.from(axes.data, Number));
  if (attributeOf(node, 'noop_with_empty_axes') === 1)
    return { ...bare, operator: 'Identity', attributes: [] };
  return bare;
}

/**
 * Before opset 13 softmax ran over everything from its axis on, flattened. It is drawn as it says,
 * with the shape restored behind it; over the last axis both are the same.
 */
function flattenedSoftmax(node: DecodedNode, around: Surroundings): readonly DecodedNode[] {
  const axis = attributeOf(node, 'axis') ?? 1;
  const last = withAttribute(node, 'axis', -1);
  const [y = ''] = node.outputs;
  if (axis === -1 || axis === (around.rankOf(y) ?? 0) - 1) return [last];
  const shape = around.value(`${y}.shape`);
  const flat = around.value(`${y}.flat`);
  const result = around.value(`${y}.softmax`);
  const { inputs } = node;
  const make = (
    part: string,
    operator: string,
    made: Omit<DecodedNode, 'name' | 'operator'>,
  ): DecodedNode => ({ ...made, operator, name: `${node.name}/${part}` });
  return [
    make('shape', 'Shape', { inputs, outputs: [shape], attributes: [] }),
    make('flat', 'Flatten', {
      inputs,
      outputs: [flat],
      attributes: [{ name: 'axis', value: axis }],
    }),
    { ...last, inputs: [flat], outputs: [result] },
    make('restored', 'Reshape', { inputs: [result, shape], outputs: [y], attributes: [] }),
  ];
}

/** Before opset 11 places were multiples of a scale, and the element at or before one was taken. */
function resizeByScales(node: DecodedNode): DecodedNode {
  const placed = withAttribute(node, 'coordinate_transformation_mode', 'asymmetric');
  const resize = withAttribute(placed, 'nearest_mode', 'floor');
  return withAbsentInput({ ...resize, operator: 'Resize' }, 1);
}

/** Without what opset 18 added, where that changes nothing. */
function plainResize(node: DecodedNode): DecodedNode {
  const [smooths, axes] = [attributeOf(node, 'antialias') ?? 0, attributeOf(node, 'axes')];
  const policy = attributeOf(node, 'keep_aspect_ratio_policy') ?? 'stretch';
  if (smooths !== 0) throw notAt17(node, 'its antialias has no counterpart at opset 17');
  if (policy !== 'stretch' || axes !== undefined)
    throw notAt17(node, 'its axes or its policy have no counterpart at opset 17');
  return without(node, 'antialias', 'keep_aspect_ratio_policy');
}

function withoutDilations(node: DecodedNode): DecodedNode {
  const value = attributeOf(node, 'dilations');
  if (value === undefined) return node;
  if (Array.isArray(value) && value.every((item) => item === 1)) return without(node, 'dilations');
  throw notAt17(node, 'its dilations have no counterpart at opset 17');
}

/**
 * Gelu(x) = x / 2 * (1 + erf(x / sqrt 2)) or, approximately,
 *           x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))).
 */
function geluInParts(node: DecodedNode, around: Surroundings): readonly DecodedNode[] {
  const [x = ''] = node.inputs;
  const [y = ''] = node.outputs;
  const nodes: DecodedNode[] = [];
  const scalar = (value: number): string =>
    around.constant(`${y}.constant`, { type: 'float32', shape: [], data: Float32Array.of(value) });
  const apply = (operator: string, inputs: readonly string[], output?: string): string => {
    const name = `${node.name}/${nodes.length}`;
    const made = output ?? around.value(`${y}.${nodes.length}`);
    nodes.push({ operator, name, inputs, outputs: [made], attributes: [] });
    return made;
  };
  const erf = (): string => apply('Erf', [apply('Div', [x, scalar(Math.SQRT2)])]);
  const tanh = (): string => {
    const cube = apply('Mul', [apply('Mul', [x, x]), x]);
    const sum = apply('Add', [x, apply('Mul', [cube, scalar(0.044715)])]);
    return apply('Tanh', [apply('Mul', [sum, scalar(Math.sqrt(2 / Math.PI))])]);
  };
  const bent = attributeOf(node, 'approximate') === 'tanh' ? tanh() : erf();
  const gate = apply('Add', [bent, scalar(1)]);
  apply('Mul', [apply('Mul', [x, gate]), scalar(0.5)], y);
  return nodes;
}
