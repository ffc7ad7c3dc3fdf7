import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { hello, Peer, startDisturbedRun } from './peer.ts';
import { assertSameModel, referenceOf, PROMISE } from './runs.ts';

describe("the coordinator's door", () => {
  test('refuses, with a reason, who cannot be in the run, and goes on', async (t) => {
    const reference = await referenceOf(t, PROMISE);
    const { run, address } = await startDisturbedRun(t, PROMISE);

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
});
