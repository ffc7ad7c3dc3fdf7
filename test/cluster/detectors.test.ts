/**
 * What a run notices about its links, with real processes and a relay between one worker and the
 * coordinator.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { encodeFrameHead } from '../../src/transport/frame.ts';
import { openRelay, type Relay } from '../../src/transport/relay.ts';
import { startLockstep } from './processes.ts';
import { assertSameModel, PROMISE, referenceOf, type Run, startRun, startWorker } from './runs.ts';

/** Small enough for gradient sums to travel on the sockets: 15,910 parameters. */
const SMALL: readonly string[] = [...PROMISE, '--hidden', '20'];
const RELAYED_RANK = 1;

/** A run on three workers, one of which joins by way of a relay. */
async function startRelayedRun(
  t: TestContext,
  args: readonly string[],
): Promise<{ run: Run; relay: Relay }> {
  const run = startRun(t, [...args, '--workers', '3'], 'coordinator');
  const [host, port] = (await run.address()).split(':') as [string, string];
  const relay = await openRelay({ host, port: Number(port) });
  t.after(async () => relay.close());
  await startWorker(t, run, '--rank', '0');
  const { address } = relay;
  startLockstep(t, [
    ...['worker', '--join', `${address.host}:${address.port}`],
    ...['--lanes', '1', '--rank', String(RELAYED_RANK)],
  ]);
  await startWorker(t, run, '--rank', '2');
  return { run, relay };
}

describe('a run with a bad link', () => {
  for (const direction of ['up', 'down'] as const) {
    test(
      `names the worker of which a frame was damaged on its way ${direction}, takes it back, ` +
        'and ends with the same model',
      async (t) => {
        const reference = await referenceOf(t, SMALL);
        const { run, relay } = await startRelayedRun(t, SMALL);

        await run.reachesStep(20);
        // Most bytes by far are of a gradient sum or of totals.
        relay.set({ [direction]: { kind: 'corrupt', afterBytes: 200_000, bit: 5 } });
        const outcome = await run.outcome();

        assertSameModel(outcome, reference);
        const lost = run.eventsOf('worker-lost');
        assert.deepEqual(
          lost.map(({ rank }) => rank),
          [RELAYED_RANK],
        );
        assert.match(
          lost[0]!.reason,
          /reading a frame: it was damaged on its way: expected a \w+ with CRC-32/,
        );
        const joined = run.eventsOf('worker-joined').filter(({ rank }) => rank === RELAYED_RANK);
        assert.equal(joined.length, 2, 'it joined again');
      },
    );
  }

  test('reports the worker whose frames are late, and no other', async (t) => {
    const reference = await referenceOf(t, SMALL);
    const { run, relay } = await startRelayedRun(t, SMALL);

    await run.reachesStep(20);
    relay.set({ up: { kind: 'delay', ms: 80 } });
    const slow = await run.event('worker-slow');
    relay.set({ up: { kind: 'pass' } });
    const outcome = await run.outcome();

    assertSameModel(outcome, reference);
    assert.deepEqual([slow.rank, slow.where], [RELAYED_RANK, 'link']);
    assert.ok(slow.ms > 79, `${slow.ms} ms`);
    assert.deepEqual(run.eventsOf('worker-slow').length, 1);
    assert.equal(outcome.summary.events.workersLost, 0);
  });
});

describe('a worker that is refused for now', () => {
  test('tries again for as long as it was told to, then says what it was told', async (t) => {
    const reason = 'the worker with this identity is in the run already';
    let calls = 0;
    const server = createServer((socket: Socket) => {
      calls++;
      socket.on('error', () => {});
      socket.end(encodeFrameHead({ kind: 'refused', reason, isForNow: true }));
    });
    server.listen({ host: '127.0.0.1', port: 0 });
    await once(server, 'listening');
    t.after(() => server.close());
    const { port } = server.address() as { port: number };

    const worker = startLockstep(t, ['worker', '--join', `127.0.0.1:${port}`, '--retry', '1']);
    const { status } = await worker.end();

    assert.equal(status, 1);
    assert.ok(calls > 2, `it called ${calls} times`);
    assert.match(
      worker.stderr,
      new RegExp(
        `error: joining 127.0.0.1:${port}: refused: ${reason}; tried \\d+ times in \\d\\.\\d s\\n`,
      ),
    );
  });
});
