/** Peers that are waited for until they are put out. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { hello, Peer, startDisturbedRun } from '../cluster/peer.ts';
import { assertSameModel, PROMISE, referenceOf } from '../cluster/runs.ts';
import { encodeFrameHead } from '../../src/transport/frame.ts';

/** A frame whose prefix promises a payload of nearly 4 GiB. */
function oversizedFrame(): Uint8Array {
  return encodeFrameHead(hello(), { byteLength: 0xfff_ffff0 >>> 0, checksum: 0 });
}

describe("the coordinator's door", () => {
  test('lets nobody disturb the run who does not speak its language', async (t) => {
    const reference = await referenceOf(t, PROMISE);
    const { run, address } = await startDisturbedRun(t, PROMISE);

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

  test('puts a member out that breaks the protocol, and goes on', async (t) => {
    const reference = await referenceOf(t, PROMISE);
    const { run, address } = await startDisturbedRun(t, PROMISE);

    const liar = new Peer(t, address);
    liar.say(hello({ workerId: 'liar' }));
    await liar.hearing('welcome');
    liar.say({ kind: 'released', pass: 1, microBatches: [0, 1, 2, 999_999] });
    liar.say({ kind: 'state', step: 0, offset: 0 });
    liar.socket.write('and now something else');
    await liar.closed();
    const outcome = await run.outcome();

    assertSameModel(outcome, reference);
  });
});
