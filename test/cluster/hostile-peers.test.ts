import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connect as connectSocket } from 'node:net';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { connect } from '../../src/transport/tcp.ts';
import { hello, Peer, startDisturbedRun } from './peer.ts';
import { REPOSITORY, startProgram, waitFor } from './processes.ts';
import { assertSameModel, referenceOf, SHORT } from './runs.ts';

describe("the coordinator's door", () => {
  test('refuses, with a reason, who cannot be in the run, and goes on', async (t) => {
    const reference = await referenceOf(t, SHORT);
    const { run, address } = await startDisturbedRun(t, SHORT);

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

  test('shows what a hostile worker calls itself, obeys nothing of it, and stays calm', async (t) => {
    const reference = await referenceOf(t, SHORT);
    const { run, address } = await startDisturbedRun(t, SHORT);
    const hostile = '\u001b[2J\u001b]0;owned\u0007\n::error::forged\r\u202e##[error]\u009b1m';

    const liar = new Peer(t, address);
    liar.say(hello({ workerId: 'liar', host: hostile, software: hostile, device: hostile }));
    const { session } = await liar.hearing('welcome');
    const heart = new Peer(t, address);
    const named = { workerId: 'liar', host: hostile, session: String(session) };
    heart.say(hello({ ...named, channel: 'heartbeat' }));
    for (let beat = 0; beat < 30; beat++)
      heart.say({ kind: 'heartbeat', progress: 0, wallMs: (beat % 2) * 60_000, upMs: beat });
    const future = new Peer(t, address);
    future.say(hello({ protocol: 999, software: hostile }));
    await future.hearing('refused');
    await waitFor('all heartbeats', () => heart.heard.length >= 30);
    liar.say({ kind: 'failed', reason: hostile });
    await liar.closed();
    const outcome = await run.outcome();

    const shown = String.raw`\x1b[2J\x1b]0;owned\x07\n::error::forged\r\u{202e}#\x23[error]\x9b1m`;
    const files = ['metrics.jsonl', 'summary.json'].map((name) =>
      readFileSync(join(run.folder, name), 'utf8'),
    );
    assert.ok(run.program.stderr.includes(`999 (${shown})`));
    for (const text of [run.program.stderr, ...files]) {
      // oxlint-disable-next-line no-control-regex
      assert.ok(!/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]|^::|##\[/mu.test(text));
      assert.ok(text.split('jumped').length <= 30);
    }
    assert.equal(files[0]?.split('"clock-jumped"').length, 21);
    assertSameModel(outcome, reference);
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
