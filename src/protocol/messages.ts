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
import { HELLO_KEYS, parseMessage, type Protocol, refusedSchema } from './greeting.ts';

/** Raised whenever a message changes; both ends must have the same. */
export const PROTOCOL_VERSION = 4;

const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const text = z.string().max(4096);
const milliseconds = z.number().min(0);

/** Which of a worker's connections this is; the first message on each. */
const channel = z.enum(['control', 'data', 'heartbeat']);
export type Channel = z.infer<typeof channel>;

const hello = z.object({
  ...HELLO_KEYS,
  channel,
  /** Stable over reconnections of one worker process. */
  workerId: text,
  /**
   * Given by `welcome`; ties the other two connections to the first. Empty on the control
   * connection.
   */
  session: text,
  host: text,
  /** The rank that the launcher meant for it; it gets it unless taken. */
  rank: z.number().int().min(0).max(65_535).nullable(),
  processId: count,
  lanes: count,
  /** Where it computes. */
  device: text.optional(),
  software: text,
});

/**
 * The whole job as data: a worker never receives code. The payload holds `train` then `evaluate` as
 * ONNX files.
 */
const job = z.object({
  runId: text,
  seed: count,
  /** Interpreted by `data/` on the worker. */
  dataset: z.record(z.string(), z.unknown()),
  /** SHA-256 of the data every worker must have. */
  dataDigest: text,
  task: z.enum(['classification', 'regression', 'binary', 'sequence']),
  /** Elements of one sample, and of its target. */
  featureCount: count,
  targetCount: count,
  microBatch: count,
  globalBatch: count,
  evaluateMicroBatch: count,
  /** In canonical order: the order of the flat state and of the digest. */
  parameters: z.array(
    z.object({
      name: text,
      shape: z.array(count),
      /**
       * A running statistic moves by this part towards what was observed; a trained parameter has
       * null.
       */
      statisticMomentum: z.number().min(0).max(1).nullable(),
    }),
  ),
  /** Inputs of the training step that are drawn at random for each micro-batch (dropout). */
  masks: z.array(z.object({ name: text, shape: z.array(count), rate: z.number().min(0).lt(1) })),
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
export type Job = z.infer<typeof job>;

const welcome = z.object({ kind: z.literal('welcome'), session: text, rank: count, job });

/** The worker has its data and sessions and can be given state and work. */
const ready = z.object({
  kind: z.literal('ready'),
  dataDigest: text,
  /** Hash of the gradient of one fixed micro-batch: equal on workers that agree bit for bit. */
  numericsClass: text,
  loadMs: milliseconds,
});

/**
 * How gradient sums become totals: through the coordinator, or not at all because one worker has
 * them all.
 */
const reduction = z.enum(['star', 'alone']);

/**
 * One pass over the micro-batches of a step (or of an evaluation) and this worker's leases in it.
 * A step that is redone gets a new pass; what was computed for an older pass is void.
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
export type Plan = z.infer<typeof plan>;

/** More micro-batches of the current pass, taken over from another worker. */
const lease = z.object({ kind: z.literal('lease'), pass: count, microBatches: z.array(count) });
/** Asks for up to `count` micro-batches back that are not started; answered by `released`. */
const release = z.object({ kind: z.literal('release'), pass: count, count });
const released = z.object({
  kind: z.literal('released'),
  pass: count,
  microBatches: z.array(count),
});

/**
 * Asks for the records of micro-batches that somebody else has computed in the pass under way, to
 * compare them; answered by `audited`. They are in no sum.
 */
const audit = z.object({ kind: z.literal('audit'), pass: count, microBatches: z.array(count) });

const checksum = z.number().int().min(0).max(0xffff_ffff);

/** What one micro-batch gave, apart from its gradient. */
const record = z.object({
  microBatch: count,
  sampleCount: count,
  /** Sum over samples, float32 as computed; null when not finite. */
  lossSum: z.number().nullable(),
  correctSum: z.number(),
  /** Largest |gradient element| per tensor (train); null when not finite. */
  maxima: z.array(z.number().nullable()),
  /**
   * When the job is audited, of a training micro-batch: the sum of its rounded gradient's elements
   * times odd numbers (see `kernels/`), modulo 2^32. Checksums add up as gradients do.
   */
  checksum: checksum.optional(),
  /** The same of the weights' bits that it was computed from: equal on all replicas. */
  weightsChecksum: checksum.optional(),
  computeMs: milliseconds,
});
export type MicroBatchRecord = z.infer<typeof record>;

/** Finished leases; for star-reduced training the payload is the int32 sum of their gradients. */
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
export type Contribution = z.infer<typeof contribution>;

const audited = z.object({ kind: z.literal('audited'), pass: count, records: z.array(record) });

/** The numbers of one optimizer update, computed once, on the coordinator. */
const update = z.object({
  /** Samples in the step: the divisor of the gradient sum. */
  sampleCount: count,
  /** Interpreted by `optim/`. */
  scalars: z.record(z.string(), z.number()),
});
export type Update = z.infer<typeof update>;

/**
 * Step `step` is committed: apply it. The payload holds the int32 totals unless the pass was
 * reduced alone.
 */
const commit = z.object({
  kind: z.literal('commit'),
  pass: count,
  step: count,
  exponents: z.array(z.number().int()),
  update,
});
export type Commit = z.infer<typeof commit>;

/**
 * The update is applied; norms of the averaged gradient per tensor, before clipping, when the job
 * tracks them.
 */
const applied = z.object({
  kind: z.literal('applied'),
  step: count,
  norms: z.array(z.number().nullable()),
});

/**
 * Asks for the state after `step` updates; answered by `state` with the payload. On the data
 * connection.
 */
const sendState = z.object({ kind: z.literal('sendState'), step: count });
/** The whole state after `step` updates: parameters, then optimizer regions, unpadded float32. */
const state = z.object({ kind: z.literal('state'), step: count });

/** Asks for the digest of the state after `step` updates. */
const sendDigest = z.object({ kind: z.literal('sendDigest'), step: count });
const digest = z.object({
  kind: z.literal('digest'),
  step: count,
  weightsDigest: text,
  stateDigest: text,
});

/**
 * Proof of life, echoed by the coordinator. `progress` counts finished micro-batches of this
 * process.
 */
const heartbeat = z.object({
  kind: z.literal('heartbeat'),
  progress: count,
  /** The worker's wall clock, milliseconds since 1970: only shown when it jumps. */
  wallMs: z.number().optional(),
  /**
   * Its monotonic clock at the same moment: against it a jump of the other is seen, whatever the
   * way here takes.
   */
  upMs: z.number().optional(),
});

/** The coordinator is done with this worker; the process ends (or waits for another run). */
const goodbye = z.object({ kind: z.literal('goodbye'), reason: text });
/** The worker cannot go on and says why before it ends. */
const failed = z.object({ kind: z.literal('failed'), reason: text });

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
  sendState,
  state,
  sendDigest,
  heartbeat,
  goodbye,
]);

export type ToCoordinator = z.infer<typeof toCoordinator>;
export type ToWorker = z.infer<typeof toWorker>;
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
