/** What a `model.onnx` says of itself: enough to use it rightly without the run that made it. */
import * as z from 'zod';
import { GraphError, invariant, messageOf } from '../base/errors.ts';
import type { SampleForm } from '../data/sample-form.ts';
import { tokenTableOf } from '../data/token-table.ts';
import type { GraphFile } from '../graph/types.ts';
import type { ValueInfo } from '../graph/values/types.ts';
import type { Model } from '../models/model.ts';
import { type LossName, lossOf } from '../models/objective.ts';
import { objectiveOf } from '../models/step-graphs.ts';

const dimension = z.union([z.int().min(0), z.string()]);

const input = z.object({
  name: z.string(),
  type: z.enum(['uint8', 'float32', 'int32', 'int64']),
  shape: z.array(dimension).readonly(),
  /** What it is to be given, in words. */
  about: z.string(),
  holds: z.enum(['pixels', 'numbers', 'tokens']),
  /** What the file does with them, of all features or each channel: x * scale + shift. */
  scale: z.array(z.number()).optional().readonly(),
  shift: z.array(z.number()).optional().readonly(),
  /** Whether an image has its channels last; else they are in front, or there is one. */
  hasChannelsLast: z.boolean().optional(),
  /** Height and width that images of any size are brought to first. */
  imageSize: z.int().min(1).optional(),
  /** The feature columns of the table that it was trained on, if that had a header. */
  columnNames: z.array(z.string()).optional().readonly(),
  /** Where the label stood among the columns, from 1. */
  labelColumn: z.int().min(1).optional(),
  labelName: z.string().optional(),
});

const output = z.object({
  name: z.string(),
  /** `logits` become probabilities by a softmax, or of yes-or-no answers by a sigmoid. */
  gives: z.enum(['logits', 'probabilities', 'numbers']),
});

const tokenKinds = z.union([
  z.object({ kind: z.literal('char'), characters: z.array(z.string()).readonly() }),
  z.object({ kind: z.literal('byte') }),
  z.object({ kind: z.literal('ids'), count: z.int().min(1) }),
]);

const description = z.object({
  task: z.enum(['classification', 'sequence', 'segmentation', 'regression', 'binary']),
  input,
  output,
  /** Of a classification or sequence whose tokens are no text; numbers from 0 where it has none. */
  classNames: z.array(z.string()).optional().readonly(),
  vocabulary: tokenKinds.optional(),
});

/** How a model is used: what goes in and what comes out. */
export type ModelDescription = z.infer<typeof description>;

/** A model as its file describes it, and the samples that it has learned from. */
export interface DescribedModel {
  readonly model: Pick<Model, 'target' | 'usualLoss' | 'givesProbabilities'>;
  /** The loss that was asked for. */
  readonly loss: LossName;
  readonly form: SampleForm;
}

/** Describes the model in `file`, whose one input takes samples as the files of the data hold them. */
export function describeModel(
  { inputs: [taken], outputs: [given] }: GraphFile,
  { model, loss, form }: DescribedModel,
): ModelDescription {
  const { target } = model;
  const gives = model.givesProbabilities === true ? 'probabilities' : 'logits';
  const table = tokenTableOf(form);
  return {
    task: target.kind,
    input: {
      name: taken?.name ?? '',
      type: typeOf(taken),
      shape: taken?.shape ?? [],
      ...inputFacts(form),
    },
    output: {
      name: given?.name ?? '',
      gives: lossOf(target, objectiveOf(model, { loss })) === 'mse' ? 'numbers' : gives,
    },
    ...('classes' in target &&
      table === undefined && { classNames: form.classNames ?? numbers(target.classes) }),
    ...(form.vocabulary !== undefined && {
      vocabulary: table ?? { kind: 'ids', count: form.vocabulary },
    }),
  };
}

function typeOf(taken: ValueInfo | undefined): ModelDescription['input']['type'] {
  invariant(taken !== undefined && taken.type !== 'bool', 'a model takes numbers, bytes or tokens');
  return taken.type;
}

function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, index) => String(index));
}

type InputFacts = Omit<ModelDescription['input'], 'name' | 'type' | 'shape'>;

function inputFacts(form: SampleForm): InputFacts {
  const { fileForm = {}, normalisation } = form;
  const { imageSize, columnNames, labelColumn, labelName } = fileForm;
  const holds = whatIsHeld(form);
  return {
    about: aboutInput(form, holds),
    holds,
    ...(holds !== 'tokens' && { scale: normalisation.scale, shift: normalisation.shift }),
    ...(fileForm.layout === 'channels-last' && { hasChannelsLast: true }),
    ...(imageSize !== undefined && { imageSize }),
    ...(columnNames !== undefined && { columnNames }),
    ...(labelColumn !== undefined && { labelColumn }),
    ...(labelName !== undefined && { labelName }),
  };
}

function whatIsHeld({ vocabulary, storedAs, features }: SampleForm): InputFacts['holds'] {
  if (vocabulary !== undefined) return 'tokens';
  const isImage = features.length === 3 && (features[0] === 1 || features[0] === 3);
  return storedAs === 'uint8' && isImage ? 'pixels' : 'numbers';
}

function aboutInput({ fileForm = {}, vocabulary }: SampleForm, holds: InputFacts['holds']): string {
  const { imageSize, columnNames, labelColumn } = fileForm;
  const asIs = 'not scaled: the model does that';
  if (holds === 'tokens') return `ids of tokens, 0 to ${(vocabulary ?? 1) - 1}`;
  if (holds === 'pixels') {
    const size = imageSize === undefined ? '' : `, brought to ${imageSize} x ${imageSize}`;
    return `bytes of pixels as the files of the data hold them${size}, ${asIs}`;
  }
  if (labelColumn === undefined) return `numbers as the files of the data hold them, ${asIs}`;
  const named = columnNames?.slice(0, MAX_NAMED_COLUMNS).join(', ');
  const more = (columnNames?.length ?? 0) > MAX_NAMED_COLUMNS ? ', ...' : '';
  const which = named === undefined ? `but for column ${labelColumn}, the label` : named + more;
  return `cells of a row of the table (${which}), ${asIs}`;
}

const MAX_NAMED_COLUMNS = 20;

/** The entries of a file's metadata: those of `facts`, and the description, as JSON where needed. */
export function metadataOf(
  { task, ...parts }: ModelDescription,
  facts: Readonly<Record<string, string>>,
): ReadonlyMap<string, string> {
  const entries = Object.entries(parts).map(
    ([name, value]) => [name, JSON.stringify(value)] as const,
  );
  return new Map([...Object.entries(facts), ['task', task], ...entries]);
}

/**
 * Reads the description back. Undefined for a file that says nothing of its input.
 *
 * Throws: GraphError for one that is not as `metadataOf` writes it.
 */
export function parseDescription(
  metadata: ReadonlyMap<string, string> | undefined,
  where: string,
): ModelDescription | undefined {
  if (metadata?.has('input') !== true) return undefined;
  const names = ['input', 'output', 'classNames', 'vocabulary'] as const;
  try {
    const parts = names.flatMap((name) => {
      const text = metadata.get(name);
      return text === undefined ? [] : [[name, JSON.parse(text) as unknown] as const];
    });
    return description.parse({ task: metadata.get('task'), ...Object.fromEntries(parts) });
  } catch (error) {
    const what = error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error);
    throw new GraphError(
      `${where}: its metadata are not as Lockstep writes them: ${what}`,
      {},
      { cause: error },
    );
  }
}
