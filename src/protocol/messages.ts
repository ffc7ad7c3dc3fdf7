/**
 * Every message of the cluster, with the one parser that turns a frame header from a peer into it.
 *
 * A worker holds three connections to the coordinator, told apart by their first message:
 *   control    membership, plans, leases: small and prompt
 *   data       gradient sums, totals, states: large
 *   heartbeat  proof of life and of progress, from a thread of its own
 * They are not ordered against each other.
 */
import * as z from 'zod';
import { BODY_NAMES } from '../collectives/body-names.ts';
import { PIECE_BYTES } from '../data/parcels/piece.ts';
import { door, MAX_DOORS } from './peer-messages.ts';
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
export const PROTOCOL_VERSION = 14;

const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const text = z.string().max(4096);
/** Names of machines and programs. */
const shortName = words(200);
const milliseconds = z.number().min(0);
const percent = z.number().min(0).max(100);
/** The magnitude of a float32. */
const magnitude = z
  .number()
  .min(0)
  .max(2 ** 128 - 2 ** 104);

/** At least one, and no more than the setting of this name takes. */
const upTo = (most: number): z.ZodInt => z.int().min(1).max(most);
/** Far above what networks have; a header of a mebibyte holds no more parameters than this. */
const MAX_TENSORS = 100_000;
const MAX_NOTE_BYTES = 1 << 20;
const MAX_MICRO_BATCHES = 16_777_216;
/** Workers that add up their sums among themselves. */
export const MAX_GROUP = 1024;
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
  /** On the control connection: it has the state after so many updates of a run that it has lost. */
  holds: count.optional(),
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
  /** Whether workers measure their machines before they begin. */
  isProfiled: z.boolean().optional(),
  /** How workers share the training; interpreted by `strategies/`. */
  strategy: z.looseObject({ kind: text }),
  trainBytes: count,
  evaluateBytes: count,
});
/** What a run computes, as every worker of it is told. */
export type Job = z.infer<typeof job>;

/** How the workers of a run reach each other. */
const reach = z.object({
  /** Whether they may come from every network: they should reach this one in all of its own. */
  isOpen: z.boolean(),
  /** The key of the run, in hex, by which they know each other; null: sums are not protected. */
  key: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .nullable(),
});
/** How the workers of a run reach each other. */
export type Reach = z.infer<typeof reach>;

/**
 * Coordinator to worker, control: it is a member. The payload holds the files of `job`. Answered by
 * `ready`, once the data and heartbeat connections have said `hello` with this session, or before.
 */
const welcome = z.object({
  kind: z.literal('welcome'),
  session: token,
  rank: count,
  job,
  reach,
  /** The data that the coordinator gives to who lacks them; interpreted by `data/`. */
  offer: z.record(z.string(), z.unknown()).optional(),
  /** The run goes on where its workers stand: steps up to this one are known here. */
  known: count.optional(),
});

/** Bytes of the data of a run. */
const samplePiece = z.object({
  /** SHA-256 of the split that has them. */
  split: token,
  /** Features or targets. */
  part: z.enum(['x', 'y']),
  offset: count,
  byteLength: upTo(PIECE_BYTES),
});

/**
 * Worker to coordinator, data, before it is ready: asks for some of the data that were offered.
 * Answered by `samples`, in the order in which they were asked for.
 */
const sendSamples = z.object({ kind: z.literal('sendSamples'), ...samplePiece.shape });
/** A worker asks for a piece of the data. */
export type SendSamples = z.infer<typeof sendSamples>;

/** Most bytes that carry a piece. */
export const MAX_SAMPLES_BYTES: number = PIECE_BYTES;
/** Coordinator to worker, data: the answer to `sendSamples`. The payload has the bytes. */
const samples = z.object({
  kind: z.literal('samples'),
  ...samplePiece.shape,
  /** Whether they are packed, as raw deflate. */
  isPacked: z.boolean(),
});
/** A piece of the data. */
export type Samples = z.infer<typeof samples>;

/** What came from the coordinator to a worker that lacked the data. */
const receivedData = z.object({
  /** Of the samples, and as they travelled. */
  bytes: count,
  wireBytes: count,
  /** From the first piece that was asked for to the last that came. */
  receiveMs: milliseconds,
});
/** What came from the coordinator to a worker that lacked the data. */
export type ReceivedData = z.infer<typeof receivedData>;

/** What a committed step comes to. */
const stepAccount = z.object({
  sampleCount: upTo(16_777_216),
  /** Sums over its micro-batches, in their order. */
  lossSum: z.number(),
  correctSum: z.number().min(0),
});
/** What a committed step comes to. */
export type StepAccount = z.infer<typeof stepAccount>;

/** Steps that a worker can tell of which it has committed by itself. */
export const MAX_OWN_STEPS = 1024;

/** The state that a worker has of a run whose coordinator it has lost. */
const keptState = z.object({
  /** Updates in it. */
  step: count,
  stateDigest: token,
  /** The steps up to that one that are not known to the coordinator, as far as it can tell. */
  own: z.array(stepAccount).max(MAX_OWN_STEPS),
  /** With these: largest |gradient element| expected in the next step, per tensor. */
  maxima: z.array(magnitude).max(MAX_TENSORS).optional(),
});
/** The state that a worker has of a run whose coordinator it has lost. */
export type KeptState = z.infer<typeof keptState>;

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
  /** What one micro-batch took it that it tried; absent where it is leased more than that. */
  trialMs: milliseconds.optional(),
  /** Absent when it had the data. */
  received: receivedData.optional(),
  /**
   * Where other workers may reach it, first where it reaches the coordinator; absent: nowhere.
   */
  doors: z.array(door).max(MAX_DOORS).optional(),
  /** About how fast its machine should be, where the job wants that measured. */
  computeScore: z.number().min(0).max(1e6).optional(),
  /** Where the welcome said what is known: the state that it has, if any. */
  kept: keptState.optional(),
});

/**
 * How gradient sums become totals: through the coordinator, among the workers of the present group,
 * or not at all because one worker has them all.
 */
const reduction = z.enum(['star', 'group', 'alone']);

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
  /** Of a training micro-batch: of `computeMs`, putting samples in place, and adding up at its end. */
  dataMs: milliseconds.optional(),
  quantiseMs: milliseconds.optional(),
});
/** What one micro-batch gave, apart from its gradient. */
export type MicroBatchRecord = z.infer<typeof record>;

/**
 * Members of a group that are connected to a ring: all, those of one host, or the first of each
 * host, its leaders. Each dials the one before it.
 */
const groupRing = z.object({
  kind: z.enum(['all', 'host', 'leaders']),
  /** Their places in the group, in the order of the ring. */
  members: z.array(count).min(2).max(MAX_GROUP),
  /** Of the worker before this one. */
  doors: z.array(door).min(1).max(MAX_DOORS),
});
/** A ring of a group, as one of its members sees it. */
export type GroupRing = z.infer<typeof groupRing>;

/**
 * Coordinator to worker, control: the workers that add up their sums among themselves from now on,
 * in place of any group before. Answered by `grouped`.
 */
const group = z.object({
  kind: z.literal('group'),
  generation: count,
  collective: z.enum(BODY_NAMES),
  /** Known to its members only. */
  secret: token,
  /** This worker's place in the group, of `size`. */
  index: count,
  size: z.int().min(2).max(MAX_GROUP),
  /** Bytes of a sum. */
  sumBytes: z
    .int()
    .min(16)
    .max(2 ** 31 - 16)
    .multipleOf(16),
  /** Bytes of what each worker tells the others of an attempt (`plan/attempt-note.ts`), or 0. */
  noteBytes: z.int().min(0).max(MAX_NOTE_BYTES).multipleOf(16),
  /** Those that this worker is in: that of all, or with `hosts` that of its host, the leaders'. */
  rings: z.array(groupRing).min(1).max(2),
});
/** A group, as one of its members sees it. */
export type Group = z.infer<typeof group>;

/** How fast bytes come over a connection, as measured. */
const linkSpeed = z.object({
  roundTripMs: milliseconds.max(60_000),
  bytesPerSecond: z.number().min(1e-3).max(1e15),
});

/**
 * Worker to coordinator, control: its place in the group. With `problem` there is no group: the
 * neighbour at that place cannot be reached, or is gone. Sent once it stands, and once if it breaks later.
 */
const grouped = z.object({
  kind: z.literal('grouped'),
  generation: count,
  /** Of the connection on which the worker before it sends; absent where memory is shared. */
  link: linkSpeed.optional(),
  problem: z.object({ place: count, reason: peerReason }).optional(),
});

/**
 * Coordinator to worker, control: the group is over. What is not added up yet goes through the
 * coordinator. Answered by `fenced`; after it comes the `contribution` of everything that is done
 * of a pass of the group, with its sum.
 */
const fence = z.object({
  kind: z.literal('fence'),
  generation: count,
  /** Where steps were granted: the last pass that the coordinator knows to be added up. */
  heard: count.optional(),
});

/**
 * Worker to coordinator, data: the answer to `fence`. Where steps were granted the payload holds
 * what all workers told each other of the passes after `heard`, up to `pass`.
 */
const fenced = z.object({
  kind: z.literal('fenced'),
  generation: count,
  /** The last pass of which it has the total; null if there is none in this generation. */
  pass: count.nullable(),
});

/**
 * Worker to coordinator, data: the leases of a plan that it has finished. For star-reduced training
 * the payload is the int32 sum of their gradients. No answer of its own: `commit`, or `reduce`,
 * comes to everyone once the step is complete, `release` goes to others if this worker is idle.
 */
const contribution = z.object({
  kind: z.literal('contribution'),
  pass: count,
  records: z.array(record),
  /**
   * From the beginning of the pass, which starts with the update before it, or of what was leased
   * later, to this message. Of a step that a worker alone was granted, to the end of its own update.
   */
  busyMs: milliseconds,
  /** Of such a step: since that before it ended. */
  elapsedMs: milliseconds.optional(),
  /**
   * How long its group took to add up the granted pass before: from this worker's own sum to the
   * total.
   */
  addingMs: milliseconds.optional(),
  /** Of that, until anything of another worker was there. */
  waitPeersMs: milliseconds.optional(),
  /** What updates took that are part of `busyMs`. */
  updateMs: milliseconds.optional(),
  /** Time without work, since that was last told, which ended with word of the coordinator. */
  waitCoordinatorMs: milliseconds.optional(),
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

/**
 * Coordinator to worker, data: all micro-batches of the group's pass are in. The group adds up its
 * sums, and each worker applies the total. Answered by `reduced` as soon as it has that.
 */
const reduce = z.object({ ...commit.shape, kind: z.literal('reduce') });
/** A step that is added up among the workers. */
export type Reduce = z.infer<typeof reduce>;

/** Worker to coordinator, data: it has the total of `pass`, and applies it. No answer. */
const reduced = z.object({
  kind: z.literal('reduced'),
  pass: count,
  /** As in a contribution, but of this pass. */
  addingMs: milliseconds.optional(),
  waitPeersMs: milliseconds.optional(),
  waitCoordinatorMs: milliseconds.optional(),
});

/** Steps that one `grant` may name. */
export const MAX_GRANTED_STEPS = 256;

/**
 * Coordinator to worker, data: steps that it computes and commits by itself, alone or together with
 * the others of its group, who are granted the same. It sends the contribution of every attempt, in
 * order, and goes on without an answer; what a commit is follows from records and grid
 * (`plan/commit-rule.ts`), as the coordinator finds it, too. No plan and no commit comes for these
 * steps. The last total of what was granted, and one of an attempt in which it has no micro-batch,
 * is told with `reduced`; each other one with the next contribution.
 */
const grant = z.object({
  kind: z.literal('grant'),
  /** The first step, for the state after as many updates. */
  step: count,
  /** The numbers of each step's update. */
  updates: z.array(update).min(1).max(MAX_GRANTED_STEPS),
  /** Of a group whose work is shared out otherwise from here on: as in `start`. */
  shares: z.array(upTo(MAX_MICRO_BATCHES)).min(2).max(MAX_GROUP).optional(),
  /** Where it begins; absent when it goes on where the grant before it ends. */
  start: z
    .object({
      /** Of the first attempt; each that follows has the next. */
      pass: count,
      /** Largest |gradient element| expected, per tensor. */
      maxima: z.array(magnitude).max(MAX_TENSORS),
      /** The group that adds up; absent for a worker that is alone. */
      group: z
        .object({
          generation: count,
          /** Micro-batches of a whole step that each worker computes, in their order. */
          shares: z.array(upTo(MAX_MICRO_BATCHES)).min(2).max(MAX_GROUP),
        })
        .optional(),
      stepsPerEpoch: upTo(Number.MAX_SAFE_INTEGER),
    })
    .optional(),
});
/** Steps that are granted. */
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
 * Worker to coordinator, data: a part of the answer to `sendState`, as payload: the bytes from
 * `offset` on, in order, of the whole state after `step` updates: parameters, then optimizer
 * regions, unpadded float32. Other messages go between the parts.
 */
const state = z.object({ kind: z.literal('state'), step: count, offset: count });
/** Coordinator to worker, data: a whole state; the worker goes on from it, without an answer. */
const newState = z.object({
  kind: z.literal('state'),
  step: count,
  /** Counts the states that the coordinator has sent, so that none is taken twice. */
  serial: count,
});

/**
 * Coordinator to worker, data: another worker is to get the state after `step` updates from this
 * one, which keeps a copy for whoever dials its door with `secret`. Answered by `serving`.
 */
const serveState = z.object({ kind: z.literal('serveState'), step: count, secret: token });
/** A state that another worker is to get. */
export type ServeState = z.infer<typeof serveState>;
/** Worker to coordinator, data: the answer to `serveState`, by its secret. */
const serving = z.object({
  kind: z.literal('serving'),
  secret: token,
  /** Of the state that it keeps; null: it cannot. */
  stateDigest: token.nullable(),
});

/**
 * Coordinator to worker, data: the worker gets a state from another one in place of `state`.
 * Answered by `fetched`, unless another state comes first.
 */
const fetchState = z.object({
  kind: z.literal('fetchState'),
  step: count,
  /** As in `state`. */
  serial: count,
  byteLength: upTo(2 ** 31 - 1),
  /** As the worker that has it has told the coordinator. */
  stateDigest: token,
  secret: token,
  /** Of the worker that has it. */
  doors: z.array(door).min(1).max(MAX_DOORS),
});
/** Where a state is. */
export type FetchState = z.infer<typeof fetchState>;
/** Worker to coordinator, data: the answer to `fetchState`; with `problem` it has no new state. */
const fetched = z.object({
  kind: z.literal('fetched'),
  serial: count,
  problem: peerReason.optional(),
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

/** Frames that one end of a connection has sent and received so far. */
const frameCount = z.object({ sent: count, received: count });
/** Frames that one end of a connection has sent and received so far. */
export type FrameCount = z.infer<typeof frameCount>;

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
  /** Answers to heartbeats that have reached it: a way that is open in one direction only shows. */
  echoes: count.optional(),
  /**
   * Frames over its other connections with us: what it has sent and we have not received, or the
   * other way round, is on its way, or lost.
   */
  frames: z.object({ control: frameCount, data: frameCount }).optional(),
  /** How busy its machine is, in percent. */
  use: z.object({ cpu: percent, memory: percent }).optional(),
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
  sendSamples,
  ready,
  grouped,
  fenced,
  released,
  contribution,
  reduced,
  audited,
  applied,
  state,
  serving,
  fetched,
  digest,
  heartbeat,
  failed,
]);
const toWorker = z.discriminatedUnion('kind', [
  welcome,
  refusedSchema,
  samples,
  plan,
  lease,
  release,
  audit,
  group,
  fence,
  commit,
  reduce,
  grant,
  sendState,
  newState,
  serveState,
  fetchState,
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
