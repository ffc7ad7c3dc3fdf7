/** Somebody at the door of a run who is no worker of ours. */
import { connect, type Socket } from 'node:net';
import { hostname } from 'node:os';
import type { TestContext } from 'node:test';
import { type Hello, PROTOCOL_VERSION, type ToCoordinator } from '../../src/protocol/messages.ts';
import { encodeFrameHead } from '../../src/transport/frame.ts';
import { FrameDecoder } from '../../src/transport/frame-decoder.ts';
import { waitFor } from './processes.ts';
import { type Run, startRun } from './runs.ts';

/** A socket that says what a test wants and keeps what it hears. */
export class Peer {
  readonly socket: Socket;
  readonly heard: Record<string, unknown>[] = [];
  isClosed = false;

  constructor(t: TestContext, address: string) {
    const colon = address.lastIndexOf(':');
    this.socket = connect({
      host: address.slice(0, colon),
      port: Number(address.slice(colon + 1)),
    });
    const decoder = new FrameDecoder({
      limits: () => ({ maxHeaderBytes: 1 << 20, maxPayloadBytes: 1 << 30 }),
      payloadTarget: () => undefined,
      frame: (header) => this.heard.push(header as Record<string, unknown>),
    });
    this.socket.on('data', (bytes) => decoder.push(bytes));
    this.socket.on('error', () => {});
    this.socket.on('close', () => (this.isClosed = true));
    t.after(() => this.socket.destroy());
  }

  say(message: ToCoordinator): void {
    this.socket.write(encodeFrameHead(message));
  }

  async hearing(kind: string): Promise<Record<string, unknown>> {
    return waitFor(`a message ${kind}`, () =>
      this.heard.find((message) => message['kind'] === kind),
    );
  }

  async closed(): Promise<void> {
    await waitFor('the end of the connection', () => this.isClosed);
  }
}

/** The first message of a worker that nobody knows. */
export function hello(changes: Partial<Hello> = {}): Hello {
  return {
    kind: 'hello',
    protocol: PROTOCOL_VERSION,
    channel: 'control',
    workerId: 'stranger',
    session: '',
    host: hostname(),
    rank: null,
    processId: 0,
    lanes: 1,
    software: 'a test',
    ...changes,
  };
}

/** A run on two workers that is under way. */
export async function startDisturbedRun(
  t: TestContext,
  args: readonly string[],
): Promise<{ run: Run; address: string }> {
  const run = startRun(t, [...args, '--workers', '2']);
  await run.reachesStep(1);
  return { run, address: await run.address() };
}
