/** What the processes of `lockstep bench-collective` tell each other, and what they reduce. */
import { z } from 'zod';
import { HELLO_KEYS, parseMessage, type Protocol, refusedSchema } from '../../protocol/greeting.ts';

const VERSION = 1;

/** The protocol between the root and its workers, which are programs of one build. */
export const BENCH_PROTOCOL: Protocol<{ readonly protocol: number }> = {
  version: VERSION,
  describeMismatch: ({ protocol }) =>
    `protocol versions differ: the root speaks ${VERSION}, the worker ${protocol}. Was Lockstep ` +
    'replaced meanwhile?',
};

/** What a worker is told on stdin; it ends when stdin does. */
export const workerStartSchema = z.object({
  address: z.object({ host: z.string(), port: z.number().int() }),
  rank: z.number().int(),
  /** Proves that it was started by this benchmark. */
  token: z.string(),
});
/** How a worker finds the root and proves who it is. */
export type WorkerStart = z.infer<typeof workerStartSchema>;

const roundSchema = z.number().int();

const toRootSchema = z.discriminatedUnion('kind', [
  z.object({ ...HELLO_KEYS, rank: z.number().int(), token: z.string() }),
  /** Its numbers of this round are in place. */
  z.object({ kind: z.literal('ready'), round: roundSchema }),
  /** The payload: int32 [bytes / 4]. */
  z.object({ kind: z.literal('contribution'), round: roundSchema }),
  /** It has the total. `ms` from being told to go; `isRight`: every element is what it must be. */
  z.object({
    kind: z.literal('done'),
    round: roundSchema,
    ms: z.number(),
    isRight: z.boolean(),
    localBytes: z.number().int(),
  }),
]);
/** What a worker sends: its greeting, then for every round `ready`, `contribution` and `done`. */
export type ToRoot = z.infer<typeof toRootSchema>;

const toBenchWorkerSchema = z.discriminatedUnion('kind', [
  refusedSchema,
  z.object({
    kind: z.literal('prepare'),
    round: roundSchema,
    workers: z.number().int(),
    byteLength: z.number().int(),
  }),
  z.object({ kind: z.literal('go'), round: roundSchema }),
  /** The payload: the int32 sums. */
  z.object({ kind: z.literal('total'), round: roundSchema }),
]);
/** What the root sends: for every round `prepare`, `go` and `total`. */
export type ToBenchWorker = z.infer<typeof toBenchWorkerSchema>;

/** Gives a worker's message. Throws: ProtocolError naming the key that is wrong. */
export function parseToRoot(header: unknown, peer: string): ToRoot {
  return parseMessage(toRootSchema, header, peer);
}

/** Gives the root's message. Throws: ProtocolError naming the key that is wrong. */
export function parseToBenchWorker(header: unknown, peer: string): ToBenchWorker {
  return parseMessage(toBenchWorkerSchema, header, peer);
}

/** An odd number, so that neighbours differ in every bit sooner or later. */
const STRIDE = 0x9e3779b1;
const SALT = 0x85ebca6b;

/**
 * Fills `target` with what `rank` contributes in a round: other numbers for every rank and round.
 */
export function fillContribution(target: Int32Array, rank: number, round: number): void {
  const salt = saltOf(rank, round);
  for (let index = 0; index < target.length; index++)
    target[index] = Math.imul(index, STRIDE) + salt;
}

/** Whether `total` is the sum modulo 2^32 of all workers' contributions to a round. */
export function isTotal(total: Int32Array, workers: number, round: number): boolean {
  const stride = Math.imul(STRIDE, workers);
  let salt = 0;
  for (let rank = 0; rank < workers; rank++) salt += saltOf(rank, round);
  for (let index = 0; index < total.length; index++) {
    if (total[index] !== ((Math.imul(index, stride) + salt) | 0)) return false;
  }
  return true;
}

function saltOf(rank: number, round: number): number {
  return Math.imul(SALT + rank, 2 * round + 1);
}
