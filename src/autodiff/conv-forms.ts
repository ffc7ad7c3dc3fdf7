/**
 * The forms in which a convolution and its two gradients can be drawn. All forms of one work give
 * the same numbers up to rounding; which is fastest depends on shape and machine, so the choice
 * comes from outside.
 */
import { GraphError } from '../base/errors.ts';
import { GraphBuilder } from '../graph/builder.ts';
import { isStatic } from '../graph/values/shape.ts';
import type { Graph, GraphNode } from '../graph/types.ts';
import type { ValueInfo } from '../graph/values/types.ts';
import { defaultInputForm, INPUT_FORMS, inputForms, type InputForm } from './conv-input-forms.ts';
import {
  defaultOutputForm,
  drawConvolution,
  outputForms,
  type OutputForm,
} from './conv-output-forms.ts';
import { convFlops, convSignatureOf, signatureKey, type ConvSignature } from './conv-signature.ts';
import {
  defaultWeightForm,
  WEIGHT_FORMS,
  weightForms,
  type WeightForm,
} from './conv-weight-forms.ts';

/** A piece of work that has several forms: a convolution, or one of its gradients. */
export interface ConvWork {
  readonly kind: 'output' | 'weight' | 'input';
  readonly signature: ConvSignature;
}
/** A gradient of a convolution, by its weight or by its input. */
export interface ConvGradient extends ConvWork {
  readonly kind: 'weight' | 'input';
}
/** Names of all forms; which of them are right for a work is told by `convForms`. */
export type ConvForm = OutputForm | WeightForm | InputForm;

/** What `--conv-forms` takes: the forms that follow from shapes, or those measured to be fastest. */
export const CONV_FORM_CHOICES = ['default', 'measured'] as const;
/** One of `CONV_FORM_CHOICES`. */
export type ConvFormChoice = (typeof CONV_FORM_CHOICES)[number];

/** Chooses the form of a work; undefined leaves it to `defaultConvForm`. */
export type ConvFormChooser = (work: ConvWork) => ConvForm | undefined;

/** One text per work: equal texts, equal work. */
export function convWorkKey({ kind, signature }: ConvWork): string {
  return `${kind} ${signatureKey(signature)}`;
}

/** The forms that are right for a work, the default first. */
export function convForms(work: ConvWork): readonly ConvForm[] {
  const { kind, signature } = work;
  const forms = { output: outputForms, weight: weightForms, input: inputForms }[kind](signature);
  const first = defaultConvForm(work);
  return [first, ...forms.filter((form) => form !== first)];
}

/** The form that is best as a rule. */
export function defaultConvForm({ kind, signature }: ConvWork): ConvForm {
  const usual = { output: defaultOutputForm, weight: defaultWeightForm, input: defaultInputForm };
  return usual[kind](signature);
}

/**
 * Draws a gradient in one form.
 *
 * Shapes: weight: x [B, C, ...S] and dy -> [M, C / group, ...kernel]; input: the weight and dy ->
 *         [B, C, ...S].
 * Throws: GraphError when the form is not one of `convForms`.
 */
export function drawConvGradient(
  g: GraphBuilder,
  work: ConvGradient,
  form: ConvForm,
  other: ValueInfo,
  dy: ValueInfo,
): ValueInfo {
  const { kind, signature } = work;
  if (!convForms(work).includes(form)) refuseForm(work, form);
  if (kind === 'weight' && isWeightForm(form)) return WEIGHT_FORMS[form](g, signature, other, dy);
  if (kind === 'input' && isInputForm(form)) return INPUT_FORMS[form](g, signature, other, dy);
  return refuseForm(work, form);
}

/** Draws a node as it stands, or in its chosen form if it is a convolution of known shapes. */
export function appendInForm(g: GraphBuilder, node: GraphNode, chooseForm: ConvFormChooser): void {
  const work = node.operator === 'Conv' ? convolutionOf(g, node) : undefined;
  if (work === undefined) {
    g.append(node);
    return;
  }
  const form = chooseForm(work) ?? defaultConvForm(work);
  if (!isOutputForm(form) || !convForms(work).includes(form)) refuseForm(work, form);
  drawConvolution(g, node, work.signature, form);
}

function convolutionOf(g: GraphBuilder, node: GraphNode): ConvWork | undefined {
  const inputs = node.inputs.map((name) => (name === '' ? undefined : g.value(name)));
  const signature = signatureOf(node, inputs);
  return signature && { kind: 'output', signature };
}

function signatureOf(
  node: GraphNode,
  inputs: readonly (ValueInfo | undefined)[],
): ConvSignature | undefined {
  const [x, weight] = inputs;
  if (x === undefined || weight === undefined || !isStatic(x.shape) || !isStatic(weight.shape))
    return undefined;
  return convSignatureOf({ ...node, inputs }, x.shape, weight.shape);
}

/**
 * A graph that does one work and nothing else, to be timed. Inputs are two of x [B, C, ...S],
 * weight [M, C / group, ...kernel] and dy [B, M, ...Y], by these names; the output is `result`.
 */
export function makeConvFormGraph(work: ConvWork, form: ConvForm): Graph {
  const { kind, signature } = work;
  const { batch, channels, sizes, outputs, counts, kernel, group } = signature;
  const g = new GraphBuilder(`${convWorkKey(work)} ${form}`);
  const x = (): ValueInfo => g.input('x', 'float32', [batch, channels, ...sizes]);
  const weight = (): ValueInfo =>
    g.input('weight', 'float32', [outputs, channels / group, ...kernel]);
  const dy = (): ValueInfo => g.input('dy', 'float32', [batch, outputs, ...counts]);
  const result =
    kind === 'output'
      ? drawAlone(g, signature, form, x(), weight())
      : drawConvGradient(g, { kind, signature }, form, kind === 'weight' ? x() : weight(), dy());
  g.output('result', result);
  return g.build();
}

function drawAlone(
  g: GraphBuilder,
  { strides, dilations, group, padsBegin, padsEnd }: ConvSignature,
  form: ConvForm,
  x: ValueInfo,
  weight: ValueInfo,
): ValueInfo {
  const attributes = { strides, dilations, group, pads: [...padsBegin, ...padsEnd] };
  const inputs = [x.name, weight.name];
  appendInForm(
    g,
    { operator: 'Conv', name: 'conv', inputs, outputs: ['conv'], attributes },
    () => form,
  );
  return g.value('conv');
}

/**
 * The work that training a model takes, from its forward
 * graph: each signature once, costly ones first.
 *
 * A convolution of a graph's own input (the data) has
 * no input gradient; one of symbolic shape is left out.
 */
export function convWorkOf(graph: Graph): ConvWork[] {
  const values = new Map(graph.values.map((value) => [value.name, value]));
  const data = new Set(graph.inputs.map(({ name }) => name));
  const works = new Map<string, ConvWork>();
  for (const node of graph.nodes) {
    if (node.operator !== 'Conv') continue;
    const signature = signatureOf(
      node,
      node.inputs.map((name) => values.get(name)),
    );
    if (signature === undefined) continue;
    const hasInputGradient = !data.has(node.inputs[0] ?? '');
    for (const kind of hasInputGradient
      ? (['output', 'weight', 'input'] as const)
      : (['output', 'weight'] as const)) {
      works.set(convWorkKey({ kind, signature }), { kind, signature });
    }
  }
  return [...works.values()].sort((a, b) => convFlops(b.signature) - convFlops(a.signature));
}

function refuseForm(work: ConvWork, form: ConvForm): never {
  const expected = convForms(work).join(', ');
  throw new GraphError(`${convWorkKey(work)}: expected a form of ${expected}, got ${form}`, {
    form,
  });
}

function isOutputForm(form: ConvForm): form is OutputForm {
  return form === 'operator' || form === 'columns';
}

function isWeightForm(form: ConvForm): form is WeightForm {
  return Object.hasOwn(WEIGHT_FORMS, form);
}

function isInputForm(form: ConvForm): form is InputForm {
  return Object.hasOwn(INPUT_FORMS, form);
}
