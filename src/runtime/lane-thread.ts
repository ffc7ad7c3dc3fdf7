/** The thread of one lane: sleeps until the pool wakes it, does what the command says, answers. */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { invariant, LockstepError, messageOf } from '../base/errors.ts';
import { Lane } from './lane.ts';
import type { LaneAnswer, LaneCommand, LaneStart } from './lane-job.ts';

const port = parentPort;
invariant(port !== null, 'a lane runs in a worker thread');

function answer(message: LaneAnswer): void {
  port?.postMessage(message);
}

async function obey(lane: Lane, command: Exclude<LaneCommand, { kind: 'exit' }>): Promise<LaneAnswer> {
  switch (command.kind) {
    case 'pass':
      return { kind: 'computed', records: await lane.pass(command.plan) };
    case 'resume':
      return { kind: 'computed', records: await lane.resume() };
    case 'apply':
      return { kind: 'applied', norms: lane.apply(command.commit, command.source) };
    case 'import':
      lane.importState();
      return { kind: 'done' };
    case 'export':
      lane.exportState();
      return { kind: 'done' };
    case 'probe':
      return { kind: 'probed', numericsClass: await lane.probe() };
    default:
      return command satisfies never;
  }
}

async function serve(start: LaneStart): Promise<void> {
  invariant(port !== null, 'a lane runs in a worker thread');
  const lane = await Lane.create(start);
  answer({ kind: 'loaded' });
  for (;;) {
    const seen = lane.control.wakeCount(start.lane);
    const received: { message: LaneCommand } | undefined = receiveMessageOnPort(port);
    if (received === undefined) lane.control.sleep(start.lane, seen);
    else if (received.message.kind === 'exit') return;
    else answer(await obey(lane, received.message));
  }
}

try {
  await serve(workerData as LaneStart);
} catch (error) {
  const code = error instanceof LockstepError ? error.code : 'INTERNAL';
  answer({ kind: 'failed', message: messageOf(error), code });
}
port.close();
