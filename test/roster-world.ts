import { ManualClock } from '../src/base/clock.ts';
import { Roster } from '../src/membership/roster.ts';
import { DEFAULT_TIMING } from '../src/membership/timing.ts';
import type { ToCoordinator } from '../src/protocol/messages.ts';
import { SimulatedHost } from '../src/transport/memory-network.ts';
import { makeTestPlan, NO_BYTES, ScriptedWorker, SleepyClock } from './scripted-worker.ts';

/** A roster whose owner writes down all that it is told. */
export function createRosterWorld() {
  const clock = new ManualClock();
  const sleepy = new SleepyClock(clock);
  const host = new SimulatedHost('coordinator');
  const told: string[] = [];
  const refusals: string[] = [];
  const refusedRanks: (number | undefined)[] = [];
  const messages: ToCoordinator['kind'][] = [];
  let sessions = 0;
  const { job } = makeTestPlan();
  const { jobFiles } = NO_BYTES;
  const roster = new Roster(
    {
      clock: sleepy,
      timing: DEFAULT_TIMING,
      job,
      jobFiles,
      dataLimits: { maxHeaderBytes: 1 << 20, maxPayloadBytes: 1000 },
      reach: { isOpen: false, key: null },
      newSession: () => `session-${sessions++}`,
    },
    {
      onReady: (member) => void told.push(`${member.workerId} ready`),
      onMessage: (_, message) => void messages.push(message.kind),
      payloadTarget: () => undefined,
      onStalled: (member, { reason }) => void told.push(`${member.workerId} stalled: ${reason}`),
      onRevived: (member) => void told.push(`${member.workerId} revived, ${member.phase}`),
      onLost: (member, reason) => void told.push(`${member.workerId} lost: ${reason}`),
      onRejected: ({ reason, rank }) => {
        refusals.push(reason);
        refusedRanks.push(rank);
      },
      onDataReceived: (member, { bytes }) =>
        void told.push(`${member.workerId} got ${bytes} bytes`),
      onClockJumped: (member, jumpMs) =>
        void told.push(`${member.workerId} jumped by ${jumpMs} ms`),
      onTick: () => {},
    },
  );
  const door = { clock, host, accept: roster.accept.bind(roster) };
  const worker = (name = 'w', lanes = 1): ScriptedWorker => new ScriptedWorker(door, name, lanes);
  return { clock, sleepy, host, roster, told, refusals, refusedRanks, messages, worker };
}
