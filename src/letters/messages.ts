/**
 * Every message of the letters system, with the parsers that turn a frame header from a peer into
 * it.
 *
 * A connection begins with `hello`, answered by `welcome` or `refused`. Who connects: a coordinator
 * to a compute node, a client or a compute node (to register) to a coordinator.
 */
import * as z from 'zod';
import { ProtocolError } from '../base/errors.ts';
import type { FrameLimits } from '../transport/connection.ts';
import {
  HELLO_KEYS,
  type Misfit,
  parseMessage,
  type Protocol,
  peerReason,
  refusedSchema,
  words,
} from '../protocol/greeting.ts';
import { LETTERS_OPTIMIZERS, MODES } from './job-spec.ts';

const VERSION = 1;

/** The protocol between clients, the coordinator node and compute nodes. */
export const LETTERS_PROTOCOL: Protocol<{ readonly protocol: number }> = {
  version: VERSION,
  describeMismatch: ({ protocol }) =>
    `expected version ${VERSION} of the letters protocol, got ${protocol}. Update the older end.`,
};

/** Milliseconds within which who connects says what it is. */
export const GREETING_MS = 10_000;

/** A peer that is silent for so long is lost; all but compute nodes send pings more often. */
export const SILENCE_MS = 15_000;
/** Who connects to a coordinator node sends a ping this often. */
export const PING_MS = 2_000;

/** After the greeting: parameters and files travel as payloads. */
export const LETTERS_LIMITS: FrameLimits = { maxHeaderBytes: 1 << 20, maxPayloadBytes: 64 << 20 };

const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const MAX_TEXT = 4096;
const text = z.string().max(MAX_TEXT);
/** Names of nodes and codes of errors. */
const name = words(300);
const number = z.number();
const milliseconds = z.number().min(0);

const hello = z.object({
  ...HELLO_KEYS,
  role: z.enum(['coordinator', 'client', 'node']),
  /** A node that registers says where it listens. */
  port: z.number().int().min(0).max(65_535),
});
const welcome = z.object({ kind: z.literal('welcome') });

/** Within these bounds a number of parameters cannot overflow; `MAX_PARAMETERS` is tighter. */
const size = count.max(1 << 20);
const shape = z.object({ features: size, hidden: size, classes: size.max(256) });
const scaling = z.object({ shift: z.array(number).max(4096), factor: z.array(number).max(4096) });
const recipe = z.object({
  activation: z.enum(['relu', 'seed']),
  optimizer: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('gradient'), stopBelow: number }),
    z.object({ kind: z.literal('adam'), batch: count.min(1) }),
  ]),
  epochs: count.min(1),
  eta: number,
});

/** One task; the payload holds the parameters to start from, float64, little-endian. */
const task = z.object({
  kind: z.literal('task'),
  id: count,
  round: count,
  file: count,
  name,
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  shape,
  recipe,
  scaling: scaling.nullable(),
  seed: count,
  mayReject: z.boolean(),
});
/** What a compute node is given to do. It answers with `need`, then with how the task ended. */
export type TaskMessage = z.infer<typeof task>;

/** Answers `need`: the payload is the file. */
const data = z.object({ kind: z.literal('data'), digest: text });
const cancel = z.object({ kind: z.literal('cancel'), id: count });
/** Proof of life, by whoever has connected; answered by `pong`. */
const ping = z.object({ kind: z.literal('ping') });

/** The node lacks the file with this digest; the task goes on when it comes. */
const need = z.object({ kind: z.literal('need'), digest: text });
const rejected = z.object({ kind: z.literal('rejected'), id: count });
const cancelled = z.object({ kind: z.literal('cancelled'), id: count });
const diverged = z.object({ kind: z.literal('diverged'), id: count });
const failedTask = z.object({ kind: z.literal('failed'), id: count, reason: peerReason });
/** The payload holds the parameters at the end minus those at the start, float64. */
const result = z.object({
  kind: z.literal('result'),
  id: count,
  trainingError: number,
  epochs: count,
  computeMs: milliseconds,
  injectedMs: milliseconds,
});
/** `progress` rises with every epoch and every end of an injected delay. */
const pong = z.object({ kind: z.literal('pong'), progress: count });

/** A job; see JobSpec. */
const train = z.object({
  kind: z.literal('train'),
  spec: z.object({
    directory: text,
    rounds: number,
    epochs: number,
    hidden: number,
    classes: number,
    eta: number,
    mode: z.enum(MODES),
    optimizer: z.enum(LETTERS_OPTIMIZERS),
    batch: number,
    seed: number,
  }),
});

const nodeState = z.object({ node: name, reason: peerReason });
/** A compute node, and why it is of no use at the moment. */
export type NodeState = z.infer<typeof nodeState>;

const taskTime = z.object({
  file: text,
  node: name,
  /**
   * From sending the task to having the result, less the two times below, which the node measures.
   */
  transferMs: milliseconds,
  computeMs: milliseconds.nullable(),
  injectedMs: milliseconds.nullable(),
});
/** Where the time of one task went, and on which node; null where the node does not measure. */
export type TaskTime = z.infer<typeof taskTime>;

const jobEvent = z.discriminatedUnion('kind', [
  /** So many jobs come first. */
  z.object({ kind: z.literal('queued'), ahead: count }),
  z.object({ kind: z.literal('started'), files: count, rows: count, nodes: count }),
  z.object({
    kind: z.literal('round'),
    /** From 1. */
    round: count,
    validationError: number,
    wallMs: milliseconds,
    tasks: z.array(taskTime).max(10_000),
  }),
  /** A node was lost, or gave what cannot be used; its task goes to another. */
  z.object({ kind: z.literal('trouble'), node: name, reason: peerReason }),
  /** No node can be reached; the job goes on when one can. */
  z.object({ kind: z.literal('waiting'), nodes: z.array(nodeState).max(10_000) }),
  z.object({ kind: z.literal('resumed') }),
  /** The payload holds the parameters, float64. */
  z.object({
    kind: z.literal('done'),
    errors: z.array(number).max(1_000_000),
    shape,
    activation: z.enum(['relu', 'seed']),
    scaling: scaling.nullable(),
  }),
  z.object({ kind: z.literal('failed'), code: name, reason: peerReason }),
]);
/** What the coordinator tells a client of its job, from `queued` to `done` or `failed`. */
export type JobEvent = z.infer<typeof jobEvent>;
/** The last event of a job that came to its end; parameters are its payload. */
export type DoneEvent = Extract<JobEvent, { kind: 'done' }>;

const toNode = z.discriminatedUnion('kind', [hello, task, data, cancel, ping]);
const fromNode = z.discriminatedUnion('kind', [
  welcome,
  refusedSchema,
  need,
  rejected,
  cancelled,
  diverged,
  failedTask,
  result,
  pong,
]);
/** Answers the ping of a client, or of a node that registered. */
const alive = z.object({ kind: z.literal('pong') });

const toCoordinator = z.discriminatedUnion('kind', [hello, train, ping]);
const fromCoordinator = z.union([
  z.discriminatedUnion('kind', [welcome, refusedSchema, alive]),
  jobEvent,
]);

/** What a coordinator sends to a compute node. */
export type ToNode = z.infer<typeof toNode>;
/** What a compute node sends to a coordinator. */
export type FromNode = z.infer<typeof fromNode>;
/** What clients, and compute nodes that register, send to a coordinator. */
export type ToCoordinatorNode = z.infer<typeof toCoordinator>;
/** What a coordinator sends to clients, and to compute nodes that register. */
export type FromCoordinatorNode = z.infer<typeof fromCoordinator>;

/** Gives a message for a compute node. Throws: ProtocolError naming the key that is wrong. */
export function parseToNode(header: unknown, peer: string): ToNode {
  return parseMessage(toNode, header, peer, misfitIn('a message for a compute node'));
}

/** Gives a message of a compute node. Throws: ProtocolError naming the key that is wrong. */
export function parseFromNode(header: unknown, peer: string): FromNode {
  return parseMessage(fromNode, header, peer, misfitIn('a message of a compute node'));
}

/** Gives a message for a coordinator node. Throws: ProtocolError naming the key that is wrong. */
export function parseToCoordinatorNode(header: unknown, peer: string): ToCoordinatorNode {
  return parseMessage(toCoordinator, header, peer, misfitIn('a message for a coordinator node'));
}

/** Gives a message of a coordinator node. Throws: ProtocolError naming the key that is wrong. */
export function parseFromCoordinatorNode(header: unknown, peer: string): FromCoordinatorNode {
  return parseMessage(fromCoordinator, header, peer, misfitIn('a message of a coordinator node'));
}

/** Words as long as a message may have them. */
export function shortened(long: string): string {
  return long.slice(0, MAX_TEXT);
}

/** Float64 numbers as a payload. */
export function payloadOf(values: Float64Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/**
 * Gives the numbers of a payload in memory of their own. Throws: ProtocolError when there are not
 * `length` of them.
 */
export function numbersOf(payload: Uint8Array, length: number, what: string): Float64Array {
  if (payload.byteLength !== length * 8)
    throw new ProtocolError(
      `reading ${what}: expected ${length} numbers, got ${payload.byteLength} bytes in place ` +
        `of ${length * 8}`,
    );
  return new Float64Array(payload.slice().buffer);
}

function misfitIn(what: string): (misfit: Misfit) => string {
  return ({ path, problem }) => `reading ${what}: ${path}: ${problem}`;
}
