/**
 * `manifest.json`, the last file of a checkpoint: what the run needs to go on beside the tensors,
 * and which bytes the other files must have. It holds its own SHA-256, too.
 */
import * as z from 'zod';
import { LockstepError, messageOf } from '../base/errors.ts';

/** What another program has to know before it reads on. */
const FORMAT = 1;

const count = z.int().min(0);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const evaluation = z.strictObject({
  step: count,
  split: z.enum(['test', 'validation']),
  lossMean: z.number(),
  accuracy: z.number().optional(),
});

const MANIFEST = z.strictObject({
  format: z.literal(FORMAT),
  /** Version of Lockstep that wrote it. */
  software: z.string(),
  /** When, by the clock of that machine: nothing but what is shown depends on it. */
  written: z.string(),
  /** Name of the run. */
  run: z.string(),
  /** Updates done, and of how many. */
  step: count,
  totalSteps: count,
  /** Where the run stood: the rest of the committed state. */
  standing: z.strictObject({
    evaluatedStep: z.int().min(-1),
    maxima: z.array(z.number()).optional(),
    ledger: z.strictObject({
      expected: count,
      counted: count,
      dropped: z.int(),
      duplicated: count,
    }),
    losses: z.strictObject({
      firstLoss: z.number().optional(),
      highSteps: count,
      isDiverged: z.boolean(),
    }),
  }),
  /** What a summary tells of the steps so far. */
  history: z.strictObject({
    epoch: z.int().min(-1),
    epochLoss: z.number(),
    epochSteps: count,
    evaluation: evaluation.optional(),
    diverged: z
      .strictObject({ step: count, lossMean: z.number(), firstLoss: z.number() })
      .optional(),
  }),
  /** Of a variation: the run that it began from, after which step, and the settings that differ. */
  parent: z
    .strictObject({
      run: z.string(),
      step: count,
      stateDigest: sha256,
      changed: z.record(z.string(), z.strictObject({ had: z.unknown(), has: z.unknown() })),
    })
    .optional(),
  weightsDigest: sha256,
  stateDigest: sha256,
  /** Of the compiled step: the same settings, data and version lead to the same. */
  stepDigest: sha256,
  /** Every setting, as it was resolved. */
  config: z.record(z.string(), z.unknown()),
  /** The files beside this one: tensors first, in the order of the state. */
  files: z.array(z.strictObject({ name: z.string(), bytes: count, sha256 })),
});

/** What a checkpoint says of itself. */
export type Manifest = z.infer<typeof MANIFEST>;
/** What a summary tells of the steps so far, which a run that goes on cannot see again. */
export type RunHistory = Manifest['history'];

/** What a run began from that is a variation of another one. */
export type Parent = NonNullable<Manifest['parent']>;

/** The manifest as its file; the same for everyone. */
export async function encodeManifest(manifest: Manifest): Promise<Uint8Array> {
  const checkpoint = JSON.stringify(manifest);
  const digest = await hexSha256(new TextEncoder().encode(checkpoint));
  return new TextEncoder().encode(
    `${JSON.stringify({ sha256: digest, checkpoint: manifest }, null, 1)}\n`,
  );
}

/**
 * Reads a manifest, which messages call `name`. Throws CHECKPOINT_INVALID when a bit of it is not
 * as it was written, or another version wrote it.
 */
export async function parseManifest(bytes: Uint8Array, name: string): Promise<Manifest> {
  const fail = (reason: string, cause?: unknown): never => {
    const message = `reading ${name}: ${reason}`;
    throw new LockstepError('CHECKPOINT_INVALID', message, { file: name }, { cause });
  };
  let read: { readonly sha256?: unknown; readonly checkpoint?: { readonly format?: unknown } };
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    read = Object(JSON.parse(text)) as typeof read;
  } catch (error) {
    return fail(`it is damaged: ${messageOf(error)}`, error);
  }
  const format = read.checkpoint?.format;
  if (typeof format === 'number' && format > FORMAT)
    return fail(`it has format ${format}, and this version of Lockstep reads ${FORMAT}`);
  const { success, data, error } = MANIFEST.safeParse(read.checkpoint);
  if (!success) return fail(`it is damaged: ${error.issues[0]?.message}`, error);
  // Byte for byte: what was written is the only way to write it.
  if (!isSame(await encodeManifest(data), bytes))
    return fail('it is damaged: its checksum is another');
  return data;
}

async function hexSha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
