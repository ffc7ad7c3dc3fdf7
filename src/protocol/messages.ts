/**
 * Every message of the cluster, with the one parser that turns a frame header from a peer into it.
 *
 * A worker holds three connections to the coordinator, told apart by their first message:
 *   control    membership, plans, leases: small and prompt
 *   data       gradient sums, totals, states: large
 *   heartbeat  proof of life and of progress, from a thread of its own
 * They are not ordered against each other.
 */
import { z } from 'zod';
import {
  HELLO_KEYS,
  parseMessage,
  type Protocol,
  peerReason,
  refusedSchema,
  token,
  words,
} from './greeting.ts';

/** Raised whenever a message changes; both ends must have the same. */
export const PROTOCOL_VERSION = 7;

const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const text = z.string().max(4096);
/** Names of machines and programs. */
const shortName = words(200);
const milliseconds = z.number().min(0);

/** At least one, and no more than the setting of this name takes. */
const upTo = (most: number): z.ZodInt => z.int().min(1).max(most);
/** Far above what networks have; a header of a mebibyte holds no more parameters than this. */
const MAX_TENSORS = 100_000;
const tensorShape = z.array(upTo(Number.MAX_SAFE_INTEGER)).max(32);

function hasNamesOfItsOwn(tensors: readonly { readonly name: string }[]): boolean {
  return new Set(tensors.map(({ name }) => name)).size === tensors.length;
}

const channel = z.enum(['control', 'data', 'heartbeat']);

/**
 * Worker to coordinator, first on every connection: says who it is. Answered on the control
 * connection by `welcome` or `refused`, on the others by nothing or `refused`. Sent before the
 * versions are known to agree: only ever add optional keys.
 */
const hello = z.object({
  ...HELLO_KEYS,
  channel,
  /** Stable over reconnections of one worker process. */
  workerId: token,
  /**
   * Given by `welcome`; ties the other two connections to the first. Empty on the control
   * connection.
   */
  session: token,
  host: shortName,
  /** The rank that the launcher meant for it; it gets it unless taken. */
  rank: z.number().int().min(0).max(65_535).nullable(),
  processId: count,
  lanes: count,
  /** Where it computes. */
  device: shortName.optional(),
  software: shortName,
});

/**
 * The whole job as data: a worker never receives code. The payload holds `train` then `evaluate` as
 * ONNX files.
 */
const job = z.object({
  runId: shortName,
  seed: count,
  /** Interpreted by `data/` on the worker. */
  dataset: z.record(z.string(), z.unknown()),
  /** SHA-256 of the data every worker must have. */
  dataDigest: token,
  task: z.enum(['classification', 'regression', 'binary', 'sequence', 'segmentation']),
  /** Elements of one sample, and of its target. */
  featureCount: count,
  targetCount: count,
  microBatch: upTo(65_536),
  globalBatch: upTo(16_777_216),
  evaluateMicroBatch: upTo(65_536),
  /** In canonical order: the order of the flat state and of the digest. */
  parameters: z
    .array(
      z.object({
        name: text,
        shape: tensorShape,
        /**
         * A running statistic moves by this part towards what was observed; a trained parameter has
         * null.
         */
        statisticMomentum: z.number().min(0).max(1).nullable(),
      }),
    )
    .max(MAX_TENSORS)
    .refine(hasNamesOfItsOwn, 'expected every name once'),
  /** Inputs of the training step that are drawn at random for each micro-batch (dropout). */
  masks: z
    .array(z.object({ name: text, shape: tensorShape, rate: z.number().min(0).lt(1) }))
    .max(MAX_TENSORS)
    .refine(hasNamesOfItsOwn, 'expected every name once'),
  /** Interpreted by `optim/`. */
  optimizer: z.record(z.string(), z.unknown()),
  /** Largest global gradient norm, or null for no clipping. */
  clipNorm: z.number().nullable(),
  /** Whether workers compute gradient norms per tensor at every step. */
  tracksNorms: z.boolean(),
  /** Whether records carry checksums, so that other workers' results can be compared with them. */
  isAudited: z.boolean(),
  /** How workers share the training; interpreted by `strategies/`. */
  strategy: z.looseObject({ kind: text }),
  trainBytes: count,
  evaluateBytes: count,
});
/** What a run computes, as every worker of it is told. */
export type Job = z.infer<typeof job>;

/**
 * Coordinator to worker, control: it is a member. The payload holds the files of `job`. Answered by
 * `ready`, once the data and heartbeat connections have said `hello` with this session, or before.
 */
const welcome = z.object({ kind: z.literal('welcome'), session: token, rank: count, job });

/**
 * Worker to coordinator, control: it has its data and sessions and can be given state and work.
 * Answered by `state` and `plan` when its turn comes, or by `refused` if its data differ.
 */
const ready = z.object({
  kind: z.literal('ready'),
  dataDigest: token,
  /** Hash of the gradient of one fixed micro-batch: equal on workers that agree bit for bit. */
  numericsClass: token,
  loadMs: milliseconds,
});

/**
 * How gradient sums become totals: through the coordinator, or not at all because one worker has
 * them all.
 */
const reduction = z.enum(['star', 'alone']);

/**
 * Coordinator to worker, control: one pass over the micro-batches of a step (or of an evaluation)
 * and this worker's leases in it. Answered by `contribution` once they are computed. A step that is
 * redone gets a new pass; what was computed for an older pass is void.
 */
const plan = z.object({
  kind: z.literal('plan'),
  pass: count,
  work: z.enum(['train', 'evaluate']),
  /** The state that the pass needs: after this many updates. */
  step: count,
  epoch: count,
  stepInEpoch: count,
  leases: z.array(count),
  /** Grid exponent per tensor (train): gradients are rounded to multiples of 2^-exponent. */
  exponents: z.array(z.number().int()),
  reduction,
});
/** A pass, with the leases of one worker. */
export type Plan = z.infer<typeof plan>;

/**
 * Coordinator to worker, control: more micro-batches of the current pass, taken over from another
 * worker. Answered by `contribution`.
 */
const lease = z.object({ kind: z.literal('lease'), pass: count, microBatches: z.array(count) });
/**
 * Coordinator to worker, control: asks for up to `count` micro-batches back that are not started.
 * Answered by `released`.
 */
const release = z.object({ kind: z.literal('release'), pass: count, count });
/** Worker to coordinator, control: the answer to `release`; these it will not compute. */
const released = z.object({
  kind: z.literal('released'),
  pass: count,
  microBatches: z.array(count),
});

/**
 * Coordinator to worker, control: asks for the records of micro-batches that somebody else has
 * computed in the pass under way, to compare them. Answered by `audited`, or not at all once the
 * pass is void. They are in no sum.
 */
const audit = z.object({ kind: z.literal('audit'), pass: count, microBatches: z.array(count) });

const checksum = z.number().int().min(0).max(0xffff_ffff);

/** The magnitude of a float32. */
const magnitude = z
  .number()
  .min(0)
  .max(2 ** 128 - 2 ** 104);

/** What one micro-batch gave, apart from its gradient; part of `contribution` and `audited`. */
const record = z.object({
  microBatch: count,
  sampleCount: count,
  /** Sum over samples, float32 as computed; null when not finite. */
  lossSum: z.number().nullable(),
  correctSum: z.number().min(0),
  /** Largest |gradient element| per tensor (train); null when not finite. */
  maxima: z.array(magnitude.nullable()),
  /**
   * When the job is audited, of a training micro-batch: the sum of its rounded gradient's elements
   * times odd numbers (see `kernels/`), modulo 2^32. Checksums add up as gradients do.
   */
  checksum: checksum.optional(),
  /** The same of the weights' bits that it was computed from: equal on all replicas. */
  weightsChecksum: checksum.optional(),
  computeMs: milliseconds,
});
/** What one micro-batch gave, apart from its gradient. */
export type MicroBatchRecord = z.infer<typeof record>;

/**
 * Worker to coordinator, data: the leases of a plan that it has finished. For star-reduced training
 * the payload is the int32 sum of their gradients. No answer of its own: `commit` comes to everyone
 * once the step is complete, `release` goes to others if this worker is idle.
 */
const contribution = z.object({
  kind: z.literal('contribution'),
  pass: count,
  records: z.array(record),
  /**
   * From the beginning of the pass, which starts with the update before it, or of what was leased
   * later, to this message.
   */
  busyMs: milliseconds,
});
/** Finished leases of one worker. */
export type Contribution = z.infer<typeof contribution>;

/** Worker to coordinator, control: the answer to `audit`. */
const audited = z.object({ kind: z.literal('audited'), pass: count, records: z.array(record) });

/** The numbers of one optimizer update, computed once, on the coordinator; part of `commit`. */
const update = z.object({
  /** Samples in the step: the divisor of the gradient sum. */
  sampleCount: count,
  /** Interpreted by `optim/`. */
  scalars: z.record(z.string(), z.number()),
});

/**
 * Coordinator to worker, data: step `step` is committed, apply it. The payload holds the int32
 * totals unless the pass was reduced alone. Answered by `applied` when the job tracks norms.
 */
const commit = z.object({
  kind: z.literal('commit'),
  pass: count,
  step: count,
  exponents: z.array(z.number().int()),
  update,
});
/** The agreed result of a step. */
export type Commit = z.infer<typeof commit>;

/** Steps that one `grant` may name. */
export const MAX_GRANTED_STEPS = 256;

/**
 * Coordinator to worker, data: steps that it computes and commits by itself, since it is alone. It
 * sends the contribution of every attempt, in order, and goes on without an answer; what a commit
 * is follows from records and grid (`plan/commit-rule.ts`), as the coordinator finds it, too. No
 * plan and no commit comes for these steps.
 */
const grant = z.object({
  kind: z.literal('grant'),
  /** The first step, for the state after as many updates. */
  step: count,
  /** The numbers of each step's update. */
  updates: z.array(update).min(1).max(MAX_GRANTED_STEPS),
  /** Where it begins; absent when it goes on where the grant before it ends. */
  start: z
    .object({
      /** Of the first attempt; each that follows has the next. */
      pass: count,
      /** Largest |gradient element| expected, per tensor. */
      maxima: z.array(magnitude).max(MAX_TENSORS),
      stepsPerEpoch: upTo(Number.MAX_SAFE_INTEGER),
    })
    .optional(),
});
/** Steps for a worker that is alone. */
export type Grant = z.infer<typeof grant>;

/**
 * Worker to coordinator, data: the update before `step` is applied; norms of the averaged gradient
 * per tensor, before clipping. Sent only when the job tracks them. No answer.
 */
const applied = z.object({
  kind: z.literal('applied'),
  step: count,
  norms: z.array(z.number().nullable()),
});

/** Coordinator to worker, data: asks for the state after `step` updates. Answered by `state`. */
const sendState = z.object({ kind: z.literal('sendState'), step: count });
/**
 * Worker to coordinator, data: the answer to `sendState`, with the whole state after `step` updates
 * as payload: parameters, then optimizer regions, unpadded float32.
 */
const state = z.object({ kind: z.literal('state'), step: count });
/** Coordinator to worker, data: the same; the worker goes on from it, without an answer. */
const newState = z.object({
  kind: z.literal('state'),
  step: count,
  /** Counts the states that the coordinator has sent, so that none is taken twice. */
  serial: count,
});

/**
 * Coordinator to worker, data: asks for the digest of the state after `step` updates. Answered by
 * `digest`.
 */
const sendDigest = z.object({
  kind: z.literal('sendDigest'),
  step: count,
  /** Comes back with the answer: the same step may be computed, and asked about, again. */
  ask: count,
});
/** Worker to coordinator, data: the answer to `sendDigest`. */
const digest = z.object({
  kind: z.literal('digest'),
  step: count,
  /** As in `sendDigest`. */
  ask: count,
  weightsDigest: token,
  stateDigest: token,
});

/**
 * Worker to coordinator, heartbeat: proof of life. Answered by the same kind with the same
 * `progress`, which counts finished micro-batches of this process.
 */
const heartbeat = z.object({
  kind: z.literal('heartbeat'),
  progress: count,
  /** Lanes that are computing. */
  busyLanes: count.optional(),
  /** Bytes that its data connection has brought it, also of what is not whole yet. */
  receivedBytes: count.optional(),
  /** The worker's wall clock, milliseconds since 1970: only shown when it jumps. */
  wallMs: z.number().min(0).max(8.64e15).optional(),
  /**
   * Its monotonic clock at the same moment: against it a jump of the other is seen, whatever the
   * way here takes.
   */
  upMs: z.number().min(0).max(8.64e15).optional(),
});

/**
 * Coordinator to worker, control: it is done with this worker; the process ends (or waits for
 * another run). No answer.
 */
const goodbye = z.object({ kind: z.literal('goodbye'), reason: peerReason });
/** Worker to coordinator, control: it cannot go on, and says why before it ends. No answer. */
const failed = z.object({ kind: z.literal('failed'), reason: peerReason });

const toCoordinator = z.discriminatedUnion('kind', [
  hello,
  ready,
  released,
  contribution,
  audited,
  applied,
  state,
  digest,
  heartbeat,
  failed,
]);
const toWorker = z.discriminatedUnion('kind', [
  welcome,
  refusedSchema,
  plan,
  lease,
  release,
  audit,
  commit,
  grant,
  sendState,
  newState,
  sendDigest,
  heartbeat,
  goodbye,
]);

/** Whatever a worker sends. */
export type ToCoordinator = z.infer<typeof toCoordinator>;
/** Whatever the coordinator sends. */
export type ToWorker = z.infer<typeof toWorker>;
/** How a connection begins. */
export type Hello = z.infer<typeof hello>;

/** The protocol between the coordinator and its workers. */
export const CLUSTER_PROTOCOL: Protocol<Hello> = {
  version: PROTOCOL_VERSION,
  describeMismatch: ({ protocol, software }) =>
    `protocol versions differ: the coordinator speaks ${PROTOCOL_VERSION}, the worker ` +
    `${protocol} (${software}). Install the same version of Lockstep on both machines.`,
};

/** A message from a worker, or ProtocolError. */
export function parseToCoordinator(header: unknown, peer: string): ToCoordinator {
  return parseMessage(toCoordinator, header, peer);
}

/** A message from the coordinator, or ProtocolError. */
export function parseToWorker(header: unknown, peer: string): ToWorker {
  return parseMessage(toWorker, header, peer);
}
