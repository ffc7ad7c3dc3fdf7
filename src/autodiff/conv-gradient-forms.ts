/**
 * The forms in which a convolution's gradients can be drawn. All forms of one gradient give the same numbers up to
 * rounding; which is fastest depends on shape and machine, so the choice comes from outside.
 */
import { GraphError } from '../base/errors.ts';
import { GraphBuilder } from '../graph/builder.ts';
import { isStatic } from '../graph/shape.ts';
import type { Graph, ValueInfo } from '../graph/types.ts';
import { defaultInputForm, INPUT_FORMS, inputForms, type InputForm } from './conv-input-forms.ts';
import { convFlops, convSignatureOf, signatureKey, type ConvSignature } from './conv-signature.ts';
import { defaultWeightForm, WEIGHT_FORMS, weightForms, type WeightForm } from './conv-weight-forms.ts';

/** One piece of work that has several forms: a gradient of a convolution of this signature. */
export interface ConvGradient {
  readonly kind: 'weight' | 'input';
  readonly signature: ConvSignature;
}
export type ConvForm = WeightForm | InputForm;

/** Chooses the form of a gradient; undefined leaves it to `defaultConvForm`. */
export type ConvFormChooser = (gradient: ConvGradient) => ConvForm | undefined;

/** One text per piece of work: equal texts, equal work. */
export function convGradientKey({ kind, signature }: ConvGradient): string {
  return `${kind} ${signatureKey(signature)}`;
}

/** The forms that are right for a gradient, the default first. */
export function convForms(gradient: ConvGradient): readonly ConvForm[] {
  const { kind, signature } = gradient;
  const forms: readonly ConvForm[] = kind === 'weight' ? weightForms(signature) : inputForms(signature);
  const first = defaultConvForm(gradient);
  return [first, ...forms.filter((form) => form !== first)];
}

/** The form that is best as a rule. */
export function defaultConvForm({ kind, signature }: ConvGradient): ConvForm {
  return kind === 'weight' ? defaultWeightForm(signature) : defaultInputForm(signature);
}

/**
 * Draws a gradient in one form.
 *
 * Shapes: weight: x [B, C, ...S] and dy -> [M, C / group, ...kernel]; input: the weight and dy -> [B, C, ...S].
 * Throws: GraphError when the form is not one of `convForms`.
 */
export function drawConvGradient(
  g: GraphBuilder,
  gradient: ConvGradient,
  form: ConvForm,
  other: ValueInfo,
  dy: ValueInfo,
): ValueInfo {
  const { kind, signature } = gradient;
  if (convForms(gradient).includes(form)) {
    if (kind === 'weight' && isWeightForm(form)) return WEIGHT_FORMS[form](g, signature, other, dy);
    if (kind === 'input' && isInputForm(form)) return INPUT_FORMS[form](g, signature, other, dy);
  }
  const expected = convForms(gradient).join(', ');
  throw new GraphError(`${convGradientKey(gradient)}: expected a form of ${expected}, got ${form}`, { form });
}

/** A graph that computes one gradient and nothing else, to be timed: inputs `other` and `dy`, output `gradient`. */
export function makeConvGradientGraph(gradient: ConvGradient, form: ConvForm): Graph {
  const { kind, signature } = gradient;
  const { batch, channels, sizes, outputs, counts, kernel, group } = signature;
  const g = new GraphBuilder(`${convGradientKey(gradient)} ${form}`);
  const shape = kind === 'weight' ? [batch, channels, ...sizes] : [outputs, channels / group, ...kernel];
  const other = g.input('other', 'float32', shape);
  const dy = g.input('dy', 'float32', [batch, outputs, ...counts]);
  g.output('gradient', drawConvGradient(g, gradient, form, other, dy));
  return g.build();
}

/**
 * The gradients that training a model takes, from its forward graph, each signature once, costly ones first.
 *
 * A convolution of a graph's own input (the data) has no input gradient; one of symbolic shape is left out.
 */
export function convGradientsOf(graph: Graph): ConvGradient[] {
  const values = new Map(graph.values.map((value) => [value.name, value]));
  const data = new Set(graph.inputs.map(({ name }) => name));
  const gradients = new Map<string, ConvGradient>();
  for (const node of graph.nodes) {
    const inputs = node.inputs.map((name) => values.get(name));
    const [x, weight] = inputs;
    if (node.operator !== 'Conv' || x === undefined || weight === undefined) continue;
    if (!isStatic(x.shape) || !isStatic(weight.shape)) continue;
    const signature = convSignatureOf({ ...node, inputs }, x.shape, weight.shape);
    for (const kind of data.has(x.name) ? (['weight'] as const) : (['weight', 'input'] as const)) {
      gradients.set(convGradientKey({ kind, signature }), { kind, signature });
    }
  }
  return [...gradients.values()].sort((a, b) => convFlops(b.signature) - convFlops(a.signature));
}

function isWeightForm(form: ConvForm): form is WeightForm {
  return Object.hasOwn(WEIGHT_FORMS, form);
}

function isInputForm(form: ConvForm): form is InputForm {
  return Object.hasOwn(INPUT_FORMS, form);
}
