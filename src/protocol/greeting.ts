/**
 * The greeting that all protocols share. Who connects says `hello` with the version that it speaks;
 * the other end answers with the protocol's own welcome, or with `refused` and closes. A connection
 * that says nothing is closed. And the one parser from a schema to what a peer said.
 */
import * as z from 'zod';
import type { Clock, Timer } from '../base/clock.ts';
import { ProtocolError } from '../base/errors.ts';
import { printable } from '../base/printable.ts';
import type { Connection } from '../transport/connection.ts';

/** Characters of any text in a message. */
const MAX_TEXT = 4096;
const MAX_TOKEN = 256;

/** Words of a peer for people to read: whatever they hold, they can be shown and logged. */
export function words(limit: number): z.ZodType<string> {
  return z
    .string()
    .max(MAX_TEXT)
    .transform((text) => printable(text, limit));
}

/** What a peer says of why something failed, or is refused. */
export const peerReason: z.ZodType<string> = words(1_000);

/** A name or digest for programs, which is compared and reported as it is. */
export const token: z.ZodType<string> = z
  .string()
  .max(MAX_TEXT)
  .refine((text) => printable(text, MAX_TOKEN) === text, {
    message: `expected at most ${MAX_TOKEN} characters that can be seen`,
  });

/**
 * Keys of every protocol's hello, which adds its own. They are sent before the versions are known
 * to agree: only optional keys may ever be added.
 */
export const HELLO_KEYS = {
  kind: z.literal('hello'),
  /** The version that the sender speaks. */
  protocol: z.number().int(),
} as const;

/**
 * The answer to a hello that is turned away; the sender closes after it. `isForNow`: the same hello
 * may be accepted a little later. `isDenied`: whoever has this key has no right to what it wants;
 * also said to who is inside, when that right has ended.
 */
export const refusedSchema = z.object({
  kind: z.literal('refused'),
  reason: peerReason,
  isForNow: z.boolean().optional(),
  isDenied: z.boolean().optional(),
});

/** A protocol as far as its greeting goes. */
export interface Protocol<H extends { readonly protocol: number }> {
  /** Raised whenever a message changes; both ends must have the same. */
  readonly version: number;
  /** Says to people that `hello` speaks another version, and what to do about it. */
  readonly describeMismatch: (hello: H) => string;
}

/** Gives why a hello of another version is refused; undefined when the versions agree. */
export function versionProblem<H extends { readonly protocol: number }>(
  protocol: Protocol<H>,
  hello: H,
): string | undefined {
  return hello.protocol === protocol.version ? undefined : protocol.describeMismatch(hello);
}

/** Says why a connection is turned away, and closes it once that is sent. */
export function refuseConnection(
  connection: Connection,
  reason: string,
  more: { readonly isForNow?: true; readonly isDenied?: true } = {},
): void {
  connection.send({ kind: 'refused', reason, ...more } satisfies z.infer<typeof refusedSchema>);
  connection.close();
}

/**
 * Destroys a fresh connection unless the timer that is returned is cancelled within `withinMs`,
 * which is for whoever hears its hello or its end to do.
 */
export function awaitGreeting(connection: Connection, clock: Clock, withinMs: number): Timer {
  return clock.after(withinMs, () => connection.destroy());
}

/** Where a message breaks its schema: keys joined with dots, and what is wrong there. */
export interface Misfit {
  readonly path: string;
  readonly problem: string;
  readonly peer: string;
}

/**
 * Gives the message in a frame header from `peer`, without the keys that its schema lacks.
 *
 * Throws: ProtocolError in the words of `describe`, which has the first misfit.
 */
export function parseMessage<T>(
  schema: z.ZodType<T>,
  header: unknown,
  peer: string,
  describe: (misfit: Misfit) => string = describeMisfit,
): T {
  const result = schema.safeParse(header);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const path = printable(issue?.path.join('.') ?? '');
  throw new ProtocolError(describe({ path, problem: issue?.message ?? 'not understood', peer }), {
    peer,
  });
}

function describeMisfit({ path, problem, peer }: Misfit): string {
  return `message from ${peer}: ${path} ${problem}`;
}
