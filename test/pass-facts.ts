/**
 * Members without a worker behind them, and facts of passes, for tests of those who hear of them.
 */
import type { Clock } from '../src/base/clock.ts';
import type {
  BegunPass,
  CompletedPass,
  CountedPart,
} from '../src/coordinator/steps/pass-listener.ts';
import { Pass, type PassSpec } from '../src/coordinator/steps/pass.ts';
import { Member } from '../src/membership/member.ts';
import {
  type Commit,
  type Contribution,
  type Hello,
  type MicroBatchRecord,
  parseToWorker,
  PROTOCOL_VERSION,
  type ToWorker,
} from '../src/protocol/messages.ts';
import type { Door } from '../src/protocol/peer-messages.ts';
import type { Connection } from '../src/transport/connection.ts';
import { connectInMemory, SimulatedHost } from '../src/transport/memory-network.ts';

/** What a test member is; its rank is the number in its name unless given. */
export interface MemberChanges {
  readonly rank?: number;
  readonly lanes?: number;
  readonly device?: string;
  /** One of its own unless given. */
  readonly host?: string;
  readonly numericsClass?: string;
  /** What one micro-batch took it that it tried; it does not say unless given. */
  readonly trialMs?: number;
  /** Where other workers reach it; nowhere unless given. */
  readonly doors?: readonly Door[];
  /** The address of the coordinator's machine at which it is reached; none unless given. */
  readonly localHost?: string;
  /** How far it has come; `active` unless given. */
  readonly phase?: 'loading' | 'ready' | 'active';
}

/** A member, and all that was sent to it once it has arrived. */
export interface TestMember {
  readonly member: Member;
  readonly received: ToWorker[];
  /** The worker's end of its data connection. */
  readonly data: Connection;
  /** Lets nothing that is sent from now on arrive before then. */
  readonly hold: (untilMs: number) => void;
}

/** Makes a member with three connections in memory, each frame a millisecond on its way. */
export function joinMember(clock: Clock, name: string, changes: MemberChanges = {}): TestMember {
  const { rank = Number(/\d+$/.exec(name)?.[0] ?? 0), phase = 'active' } = changes;
  const received: ToWorker[] = [];
  const hosts = [new SimulatedHost(name), new SimulatedHost('coordinator')] as const;
  const link = { delayMs: () => 1, heldUntilMs: 0 };
  const dial = (): readonly [Connection, Connection] => {
    const [near, far] = connectInMemory(clock, link, ...hosts);
    near.limits = far.limits = { maxHeaderBytes: 1 << 20, maxPayloadBytes: 1 << 20 };
    near.handlers = {
      onFrame: (header) => void received.push(parseToWorker(header, 'coordinator')),
      onClose: () => {},
    };
    return [near, far];
  };
  const [, control] = dial();
  if (changes.localHost !== undefined) Object.assign(control, { localHost: changes.localHost });
  const [near, data] = dial();
  const [, heartbeat] = dial();
  const hello = helloOf(name, changes);
  const nowMs = clock.now();
  const member = new Member({ session: `session of ${name}`, rank, hello, control, nowMs });
  if (phase !== 'loading') {
    member.link.attach('data', data);
    member.link.attach('heartbeat', heartbeat);
    const { numericsClass = 'one', trialMs, doors = [] } = changes;
    member.load({ numericsClass, trialMs, doors });
    member.becomeReady(nowMs);
  }
  if (phase === 'active') member.activate();
  const hold = (untilMs: number): void => void (link.heldUntilMs = untilMs);
  return { member, received, data: near, hold };
}

function helloOf(name: string, changes: MemberChanges): Hello {
  const { lanes = 1, host = `host of ${name}`, device } = changes;
  return {
    kind: 'hello',
    protocol: PROTOCOL_VERSION,
    channel: 'control',
    session: '',
    workerId: name,
    host,
    processId: 1,
    lanes,
    software: 'test',
    rank: null,
    ...(device !== undefined && { device }),
  };
}

/** A pass of eight micro-batches of two samples, of the first step's training. */
export function makePass(changes: Partial<PassSpec> = {}): Pass {
  return new Pass({
    id: 1,
    work: 'train',
    step: 0,
    epoch: 0,
    stepInEpoch: 0,
    microBatchCount: 8,
    sampleCount: 16,
    exponents: [0],
    reduction: 'star',
    ...changes,
  });
}

/** That `pass` begins. */
export function begunOf(pass: Pass, nowMs: number, members: readonly Member[] = []): BegunPass {
  return { pass, members, isGranted: false, nowMs };
}

/** What two samples of a micro-batch gave. */
export function recordOf(
  microBatch: number,
  changes: Partial<MicroBatchRecord> = {},
): MicroBatchRecord {
  const results = { lossSum: 1, correctSum: 0, maxima: [1], computeMs: 10 };
  return { microBatch, sampleCount: 2, ...results, ...changes };
}

/** That records of `member` were counted, which it was given `turnaroundMs` ago. */
export function countedOf(
  member: Member,
  { spec }: Pass,
  records: readonly MicroBatchRecord[],
  times: { readonly nowMs: number; readonly turnaroundMs: number; readonly busyMs: number },
): CountedPart {
  const { nowMs, turnaroundMs, busyMs } = times;
  const contribution: Contribution = {
    kind: 'contribution',
    pass: spec.id,
    records: [...records],
    busyMs,
  };
  return { member, spec, contribution, turnaroundMs, nowMs };
}

/** That `pass` is complete and its step committed. */
export function committedOf(
  { spec }: Pass,
  nowMs: number,
  records: readonly MicroBatchRecord[] = [],
): CompletedPass {
  const { id, step, sampleCount } = spec;
  const update = { sampleCount, scalars: {} };
  const commit: Commit = { kind: 'commit', pass: id, step, exponents: [], update };
  return { spec, outcome: { kind: 'commit', commit, records }, nowMs };
}

/** That `pass` is complete and computed again. */
export function redoneOf({ spec }: Pass, nowMs: number): CompletedPass {
  return { spec, outcome: { kind: 'redo', reason: 'overflow' }, nowMs };
}
