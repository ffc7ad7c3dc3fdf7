import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { hostname } from 'node:os';
import { describe, test, type TestContext } from 'node:test';
import { type Hello, PROTOCOL_VERSION, type ToCoordinator } from '../../src/protocol/messages.ts';
import { encodeFrameHead } from '../../src/transport/frame.ts';
import { FrameDecoder } from '../../src/transport/frame-decoder.ts';
import { waitFor } from './processes.ts';
import { assertSameModel, PROMISE, referenceOf, type Run, startRun } from './runs.ts';

/** A socket that says what a test wants and keeps what it hears. */
class Peer {
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

function hello(changes: Partial<Hello> = {}): Hello {
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

/** A frame whose prefix promises a payload of nearly 4 GiB. */
function oversizedFrame(): Uint8Array {
  return encodeFrameHead(hello(), { byteLength: 0xfff_ffff0 >>> 0, checksum: 0 });
}

/** A run on one worker that is under way. */
async function startDisturbedRun(t: TestContext): Promise<{ run: Run; address: string }> {
  const run = startRun(t, [...PROMISE, '--workers', '2']);
  await run.reachesStep(1);
  return { run, address: await run.address() };
}

describe("the coordinator's door", () => {
  test('lets nobody disturb the run who does not speak its language', async (t) => {
    const reference = await referenceOf(t, PROMISE);
    const { run, address } = await startDisturbedRun(t);

    const garbage = new Peer(t, address);
    garbage.socket.write(Buffer.alloc(4096, 0xa5));
    const browser = new Peer(t, address);
    browser.socket.write(`GET / HTTP/1.1\r\nHost: ${address}\r\n\r\n`);
    const greedy = new Peer(t, address);
    greedy.socket.write(oversizedFrame());
    const impatient = new Peer(t, address);
    impatient.say({ kind: 'heartbeat', progress: 1 });
    const silent = new Peer(t, address);
    const halfOpen = new Peer(t, address);
    halfOpen.socket.write('LKST');
    halfOpen.socket.end();
    for (const peer of [garbage, browser, greedy, impatient, silent, halfOpen]) await peer.closed();
    const outcome = await run.outcome();

    assertSameModel(outcome, reference);
    assert.equal(outcome.summary.events.workersLost, 0);
    assert.equal(outcome.summary.events.workersJoined, 2);
  });

  test('refuses, with a reason, who cannot be in the run, and goes on', async (t) => {
    const reference = await referenceOf(t, PROMISE);
    const { run, address } = await startDisturbedRun(t);

    const future = new Peer(t, address);
    future.say(hello({ protocol: 999 }));
    const refusal = await future.hearing('refused');
    const thief = new Peer(t, address);
    thief.say(hello({ channel: 'data', session: 'guessed' }));
    const secondRefusal = await thief.hearing('refused');
    const liar = new Peer(t, address);
    liar.say(hello({ workerId: 'liar' }));
    await liar.hearing('welcome');
    liar.say({ kind: 'ready', dataDigest: 'of other data', numericsClass: '0', loadMs: 1 });
    const thirdRefusal = await liar.hearing('refused');
    for (const peer of [future, thief, liar]) await peer.closed();
    const outcome = await run.outcome();

    const needsSameVersion =
      /^protocol versions differ: the coordinator speaks \d+, the worker 999 \(a test\)/;
    assert.match(String(refusal['reason']), needsSameVersion);
    assert.equal(secondRefusal['reason'], 'this connection belongs to no member of the run');
    const needsSameData =
      /^the worker's data differ from the coordinator's: expected .*, got of other data/;
    assert.match(String(thirdRefusal['reason']), needsSameData);
    assert.match(run.program.stderr, /! 127\.0\.0\.1:\d+ was refused: protocol versions differ: /);
    assert.match(run.program.stderr, /! 127\.0\.0\.1:\d+ was refused: the worker's data differ /);
    assertSameModel(outcome, reference);
    assert.equal(outcome.summary.events.workersJoined, 2);
  });

  test('puts a member out that breaks the protocol, and goes on', async (t) => {
    const reference = await referenceOf(t, PROMISE);
    const { run, address } = await startDisturbedRun(t);

    const liar = new Peer(t, address);
    liar.say(hello({ workerId: 'liar' }));
    await liar.hearing('welcome');
    liar.say({ kind: 'released', pass: 1, microBatches: [0, 1, 2, 999_999] });
    liar.say({ kind: 'state', step: 0 });
    liar.socket.write('and now something else');
    await liar.closed();
    const outcome = await run.outcome();

    assertSameModel(outcome, reference);
  });
});
