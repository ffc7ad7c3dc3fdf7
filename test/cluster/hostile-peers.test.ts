import assert from 'node:assert/strict';
import { connect as connectSocket } from 'node:net';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { connect } from '../../src/transport/tcp.ts';
import { hello, Peer, startDisturbedRun } from './peer.ts';
import { REPOSITORY, startProgram, waitFor } from './processes.ts';
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

/** A door of ours that sends back every frame, and prints its port. */
const ECHO = `
  import { listen } from '${pathToFileURL(join(REPOSITORY, 'src/transport/tcp.ts')).href}';
  const echo = (far) => (far.handlers = { onFrame: (header) => far.send(header), onClose() {} });
  const door = await listen({ host: '127.0.0.1', port: 0 }, echo);
  console.log(door.address.port);
`;

/** What comes back; undefined when the door hangs up instead. */
async function echoOf(t: TestContext, port: number): Promise<unknown> {
  const near = await connect({ host: '127.0.0.1', port }, 5_000);
  t.after(() => near.destroy());
  const heard = new Promise((resolve) => {
    near.handlers = { onFrame: resolve, onClose: () => resolve(undefined) };
  });
  near.send({ kind: 'echo' });
  return heard;
}

describe('a door in a process that may have 100 files open', () => {
  test('answers newcomers again once the 200 that knocked have gone', async (t) => {
    const limited = 'ulimit -n 100 && exec "$0" --import tsx --input-type=module -e "$1"';
    const program = startProgram(t, 'bash', ['-c', limited, process.execPath, ECHO]);
    const port = Number(await waitFor('its port', () => program.stdout.trim() || undefined));
    const crowd = Array.from({ length: 200 }, () =>
      connectSocket(port, '127.0.0.1').on('error', () => {}),
    );
    await waitFor('some turned away', () => crowd.some(({ closed }) => closed) || undefined);
    for (const socket of crowd) socket.destroy();

    // It may take a moment until it has seen them go.
    let answer: unknown;
    for (let attempt = 0; attempt < 50 && answer === undefined; attempt++) {
      await setTimeout(20);
      answer = await echoOf(t, port);
    }
    assert.deepEqual(answer, { kind: 'echo' });
  });
});
