/** Gradients of convolutions, of normalisation with given statistics, and of padding. */
import { GraphError } from '../base/errors.ts';
import { numberAttribute, stringAttribute } from '../graph/operators/operator.ts';
import type { ValueInfo } from '../graph/values/types.ts';
import { centredBy, perChannel } from './batch-statistics.ts';
import { axesFrom } from './conv-patches.ts';
import { defaultConvForm, drawConvGradient, type ConvGradient } from './conv-forms.ts';
import { callOf, convSignatureOf, type ConvSignature } from './conv-signature.ts';
import { staticShape } from './gradient-rule.ts';
import type { GradientCall, GradientRule } from './gradient-rule.ts';

/** The signature of the convolution that maps `x` to something of the shape of the other side. */
function signatureOf(call: GradientCall, x: ValueInfo): ConvSignature {
  const { g, node, input } = call;
  return convSignatureOf(
    callOf(g, node),
    staticShape(x.shape, node.name),
    staticShape(input(1).shape, node.name),
  );
}

function draw(
  call: GradientCall,
  gradient: ConvGradient,
  other: ValueInfo,
  dy: ValueInfo,
): ValueInfo {
  const form = call.chooseForm(gradient) ?? defaultConvForm(gradient);
  return drawConvGradient(call.g, gradient, form, other, dy);
}

/** The sum over everything but the channels, [C]. */
function sumPerChannel({ g }: GradientCall, value: ValueInfo): ValueInfo {
  return g.reduceSum(value, { axes: [0, ...axesFrom(2, value.shape.length - 2)] });
}

/** Y = W * X + b: see conv-weight-forms.ts and conv-input-forms.ts; db = dY summed per channel. */
const convRule: GradientRule = (call) => {
  const signature = (): ConvSignature => signatureOf(call, call.input(0));
  return [
    () => draw(call, { kind: 'input', signature: signature() }, call.input(1), call.fullDy()),
    () => draw(call, { kind: 'weight', signature: signature() }, call.input(0), call.fullDy()),
    () => sumPerChannel(call, call.fullDy()),
  ];
};

/**
 * Y is the input gradient of the convolution from Y to X by the same weight: dX is that
 * convolution, dW its weight gradient.
 */
const convTransposeRule: GradientRule = (call) => [
  () => {
    const { strides, dilations, padsBegin, padsEnd, group } = signatureOf(call, call.y);
    const pads = [...padsBegin, ...padsEnd];
    return call.g.conv(call.fullDy(), call.input(1), undefined, {
      strides,
      dilations,
      pads,
      group,
    });
  },
  () =>
    draw(
      call,
      { kind: 'weight', signature: signatureOf(call, call.y) },
      call.fullDy(),
      call.input(0),
    ),
  () => sumPerChannel(call, call.fullDy()),
];

/**
 * Y = scale (X - mean) r + bias with r = (variance + epsilon)^(-1/2), per channel:
 *   dX = dY scale r          dscale = r sum(dY (X - mean))      dbias = sum(dY)
 *   dmean = -scale r dbias   dvariance = -scale r^2 dscale / 2
 */
const batchNormalizationRule: GradientRule = (call) => {
  const { g, input } = call;
  const [x, scale, mean, variance] = [input(0), input(1), input(3), input(4)];
  const shifted = g.add(variance, g.scalar(numberAttribute(call.node, 'epsilon', 1e-5)));
  const slope = (): ValueInfo => g.div(scale, g.sqrt(shifted));
  const dScale = (): ValueInfo => {
    return g.div(sumPerChannel(call, g.mul(call.fullDy(), centredBy(g, x, mean))), g.sqrt(shifted));
  };
  return [
    () => g.mul(call.dy, perChannel(g, slope(), x.shape.length)),
    dScale,
    () => sumPerChannel(call, call.fullDy()),
    () => g.neg(g.mul(slope(), sumPerChannel(call, call.fullDy()))),
    () => g.mul(g.div(g.mul(scale, dScale()), shifted), g.scalar(-0.5)),
  ];
};

/** Y = X with elements around it: dX = dY without them. */
const padRule: GradientRule = (call) => [
  () => {
    const { g, node } = call;
    const mode = stringAttribute(node, 'mode', 'constant');
    if (mode !== 'constant') {
      throw new GraphError(
        `differentiating Pad at ${node.name}: only the mode constant has a gradient here, got ` +
          mode,
        { operator: 'Pad', node: node.name },
      );
    }
    const pads = Array.from(g.constantOf(call.input(1)) ?? new BigInt64Array(), Number);
    return g.pad(
      call.fullDy(),
      pads.map((pad) => -pad),
    );
  },
];

/** Gradient rules of convolutions, of normalisation with given statistics and of padding. */
export const CONVOLUTION_RULES = {
  Conv: convRule,
  ConvTranspose: convTransposeRule,
  BatchNormalization: batchNormalizationRule,
  Pad: padRule,
} as const satisfies Readonly<Record<string, GradientRule>>;
