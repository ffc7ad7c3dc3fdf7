/**
 * What a coordinator says of the data that it gives: the splits by their digests, with all that a
 * worker must know of them before it has a byte.
 */
import * as z from 'zod';
import { ProtocolError } from '../../base/errors.ts';
import {
  type Dataset,
  type DatasetTarget,
  featureCountOf,
  storedTypeOf,
  targetCountOf,
} from '../dataset.ts';
import { checkArrayBytes } from '../shared-memory.ts';
import type { PieceRequest } from './piece.ts';

const MAX_SAMPLES = 2 ** 31;
const MAX_CLASSES = 2 ** 24;
const MAX_AXES = 16;
/** Largest number of channels that have a normalisation each. */
const MAX_CHANNELS = 65_536;

const size = z.int().min(1).max(MAX_SAMPLES);
const classes = z.int().min(1).max(MAX_CLASSES);
const shape = z.array(size).max(MAX_AXES);
const answers = { outputs: size, shape: shape.optional() };
const perChannel = z.array(z.number()).min(1).max(MAX_CHANNELS);

const target = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('classification'), classes }),
  z.object({ kind: z.literal('regression'), ...answers }),
  z.object({ kind: z.literal('binary'), ...answers }),
  z.object({ kind: z.literal('sequence'), classes, length: size }),
  z.object({ kind: z.literal('segmentation'), classes, size: shape.min(1) }),
]);

const split = z
  .object({
    digest: z.string().regex(/^[\da-f]{64}$/),
    sampleCount: size,
    features: shape,
    target,
    vocabulary: classes.optional(),
    x: z.enum(['uint8', 'int32', 'float32']),
    y: z.enum(['int32', 'float32']),
    normalisation: z.object({ scale: perChannel, shift: perChannel }),
    augmentation: z
      .object({ cropPadding: z.int().min(0).max(MAX_SAMPLES), flips: z.boolean() })
      .optional(),
  })
  .refine(isConsistent, 'expected types, channels and changes that fit the samples');
/** A split as it is before its samples are there. */
export type SplitOffer = z.infer<typeof split>;

const offer = z.object({ train: split, evaluate: split });
/** The splits of a run. */
export type DataOffer = z.infer<typeof offer>;

/** Tells of the data of a run. */
export function offerOf({
  train,
  evaluate,
}: {
  readonly train: Dataset;
  readonly evaluate: Dataset;
}): DataOffer {
  return { train: splitOf(train), evaluate: splitOf(evaluate) };
}

/**
 * What a coordinator offers. Throws ProtocolError when it is no offer, or not of the data with this
 * digest; DataError when a split would be too large.
 */
export function parseOffer(value: unknown, digest: string): DataOffer {
  const result = offer.safeParse(value);
  if (!result.success)
    throw new ProtocolError(`offer of data: ${z.prettifyError(result.error)}`.slice(0, 1_000));
  const { train, evaluate } = result.data;
  if (`${train.digest}:${evaluate.digest}` !== digest)
    throw new ProtocolError(`offer of data: expected those with SHA-256 ${digest}, got others`);
  for (const one of [train, evaluate])
    for (const part of ['x', 'y'] as const) checkArrayBytes(partBytes(one, part), 'offer of data');
  return result.data;
}

/** Bytes of the features of a split, or of its targets. */
export function partBytes(of: SplitOffer, part: PieceRequest['part']): number {
  const { sampleCount, x } = of;
  return part === 'x'
    ? sampleCount * featureCountOf(of) * (x === 'uint8' ? 1 : 4)
    : sampleCount * targetCountOf({ target: targetOf(of) }) * 4;
}

/** The target of a split that is offered, without keys that are undefined. */
export function targetOf({ target: of }: SplitOffer): DatasetTarget {
  if (of.kind !== 'regression' && of.kind !== 'binary') return of;
  const { kind, outputs, shape: arranged } = of;
  return { kind, outputs, ...(arranged !== undefined && { shape: arranged }) };
}

function splitOf(dataset: Dataset): SplitOffer {
  const { digest, sampleCount, features, target: of, vocabulary, x, y } = dataset;
  const { normalisation, augmentation } = dataset;
  return split.parse({
    ...{ digest, sampleCount, features, target: of, vocabulary, normalisation, augmentation },
    x: storedTypeOf(x),
    y: storedTypeOf(y),
  });
}

/** What the readers of files see to, and the lanes rely on. */
function isConsistent(one: {
  readonly features: readonly number[];
  readonly target: { readonly kind: string };
  readonly vocabulary?: number | undefined;
  readonly x: string;
  readonly y: string;
  readonly normalisation: { readonly scale: readonly number[]; readonly shift: readonly number[] };
  readonly augmentation?: { readonly cropPadding: number } | undefined;
}): boolean {
  const { features, vocabulary, normalisation, augmentation } = one;
  const [channels = 1, height = 0] = features;
  const hasNumbers = ['regression', 'binary'].includes(one.target.kind);
  const { scale, shift } = normalisation;
  const isImage = features.length === 3 && vocabulary === undefined;
  return (
    (one.x === 'int32') === (vocabulary !== undefined) &&
    (one.y === 'float32') === hasNumbers &&
    scale.length === shift.length &&
    [1, channels].includes(scale.length) &&
    (augmentation === undefined || (isImage && augmentation.cropPadding <= height))
  );
}
