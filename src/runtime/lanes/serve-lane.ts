/** The thread of one lane: sleeps until the pool wakes it, does what the command says, answers. */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { invariant, LockstepError, messageOf } from '../../base/errors.ts';
import { shortageOf } from '../../base/shortage.ts';
import { Lane, type LaneHooks } from './lane.ts';
import type { LaneAnswer, LaneCommand, LaneNews, LaneStart } from './lane-job.ts';

/** Serves the pool until it says exit; `makeHooks` sees what the thread was started with. */
export async function serveLane(
  makeHooks: (start: LaneStart) => LaneHooks = () => ({}),
): Promise<void> {
  const port = parentPort;
  invariant(port !== null, 'a lane runs in a worker thread');
  const start = workerData as LaneStart;
  const answer = (message: LaneAnswer | LaneNews): void => port.postMessage(message);
  try {
    const lane = await Lane.create(start, makeHooks(start));
    answer({ kind: 'loaded' });
    for (;;) {
      const seen = lane.control.wakeCount(start.lane);
      const received: { message: LaneCommand } | undefined = receiveMessageOnPort(port);
      if (received === undefined) lane.control.sleep(start.lane, seen);
      else if (received.message.kind === 'exit') break;
      else answer(await obey(lane, start, received.message, answer));
    }
  } catch (error) {
    const shortage = shortageOf(error);
    const code = error instanceof LockstepError ? error.code : 'INTERNAL';
    answer(
      shortage === undefined
        ? { kind: 'failed', message: messageOf(error), code }
        : { kind: 'failed', message: shortage, code: 'OUT_OF_RESOURCES' },
    );
  }
  port.close();
}

async function obey(
  lane: Lane,
  start: LaneStart,
  command: Exclude<LaneCommand, { kind: 'exit' }>,
  tell: (news: LaneNews) => void,
): Promise<LaneAnswer> {
  switch (command.kind) {
    case 'pass':
      return { kind: 'computed', records: await lane.pass(command.plan) };
    case 'resume':
      return { kind: 'computed', records: await lane.resume() };
    case 'audit': {
      const own = command.microBatches.filter((_, index) => index % start.laneCount === start.lane);
      return { kind: 'computed', records: await lane.audit(command.plan, own) };
    }
    case 'apply':
      return { kind: 'applied', norms: lane.apply(command.commit, command.source) };
    case 'follow': {
      const { era } = command;
      await lane.follow(command, (attempts) => tell({ kind: 'attempted', era, attempts }));
      return { kind: 'done' };
    }
    case 'import':
      lane.importState();
      return { kind: 'done' };
    case 'export':
      lane.exportState();
      return { kind: 'done' };
    case 'probe':
      return { kind: 'probed', ...(await lane.probe()) };
    default:
      return command satisfies never;
  }
}
