/**
 * The heartbeat of a worker process: a thread and a connection of its own, so that neither a long
 * computation nor a long transfer can be taken for death. It beats, carries the progress counter
 * and the time, and expects an echo.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../base/clock.ts';
import { invariant, messageOf } from '../base/errors.ts';
import type { FrameCount, Hello } from '../protocol/messages.ts';
import { laneSigns } from '../runtime/lanes/lane-control.ts';
import { MachineUse } from '../runtime/machine-use.ts';
import { type Address, connect, type Protection } from '../transport/tcp.ts';

/** What the thread is started with. */
export interface HeartbeatStart {
  readonly address: Address;
  readonly protection: Protection;
  readonly hello: Hello;
  readonly intervalMs: number;
  /** Without an echo for this long, its own sleep left out, the coordinator counts as lost. */
  readonly echoTimeoutMs: number;
}

/** What the main thread tells this one as it changes. */
export interface HeartbeatNews {
  /** The shared words of the lanes, once there are any. */
  readonly lanes?: Int32Array;
  /** Bytes that the data connection has brought so far. */
  readonly receivedBytes?: number;
  /** Frames over the connections with the coordinator that bring work. */
  readonly frames?: { readonly control: FrameCount; readonly data: FrameCount };
}

/** Told to the main thread, once. */
export interface HeartbeatLost {
  readonly reason: string;
}

const CONNECT_TIMEOUT_MS = 5_000;
const port = parentPort;
invariant(port !== null, 'the heartbeat runs in a worker thread');
const { address, protection, hello, intervalMs, echoTimeoutMs } = workerData as HeartbeatStart;

const use = new MachineUse();
let news: HeartbeatNews = {};
port.on('message', (later: HeartbeatNews) => (news = { ...news, ...later }));

function lose(reason: string): void {
  port?.postMessage({ reason } satisfies HeartbeatLost);
  port?.close();
}

try {
  const connection = await connect(address, CONNECT_TIMEOUT_MS, protection);
  let echoMs = systemClock.now();
  let echoes = 0;
  let lastBeatMs = echoMs;
  let isOver = false;
  connection.handlers = {
    onFrame: () => {
      echoMs = systemClock.now();
      echoes++;
    },
    onClose: (error) => {
      isOver = true;
      lose(error?.message ?? 'the coordinator closed the heartbeat connection');
    },
  };
  connection.send(hello);
  const beat = (): void => {
    if (isOver) return;
    const nowMs = systemClock.now();
    // Nothing could be heard while this process slept.
    echoMs += Math.max(0, nowMs - lastBeatMs - 2 * intervalMs);
    lastBeatMs = nowMs;
    if (nowMs - echoMs > echoTimeoutMs) {
      connection.destroy();
      return;
    }
    connection.send({
      kind: 'heartbeat',
      ...(news.lanes === undefined ? { progress: 0 } : laneSigns(news.lanes)),
      receivedBytes: news.receivedBytes ?? 0,
      ...(news.frames && { frames: news.frames }),
      echoes,
      use: use.look(nowMs),
      wallMs: Date.now(),
      upMs: systemClock.now(),
    });
    systemClock.after(intervalMs, beat);
  };
  beat();
} catch (error) {
  lose(messageOf(error));
}
