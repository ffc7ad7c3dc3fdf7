/** What a run notices about its links, and a worker about its coordinator, with real processes. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { encodeFrameHead } from '../../src/transport/frame.ts';
import { startLockstep } from '../cluster/processes.ts';
import { assertDamageIsNoticed } from '../cluster/relayed-run.ts';

describe('a run with a bad link', () => {
  test(
    'names the worker of which a frame was damaged on its way to the coordinator, takes it back, ' +
      'and ends with the same model',
    (t) => assertDamageIsNoticed(t, 'up'),
  );
});

describe('a worker that is refused for now', () => {
  test('comes back ever more slowly as long as somebody is there, whatever --retry says', async (t) => {
    const reason = 'full for now: the run has 256 workers. Try again later.';
    const calledMs: number[] = [];
    const server = createServer((socket: Socket) => {
      calledMs.push(performance.now());
      socket.on('error', () => {});
      socket.end(encodeFrameHead({ kind: 'refused', reason, isForNow: true }));
      if (calledMs.length === 6) server.close();
    });
    server.listen({ host: '127.0.0.1', port: 0 });
    await once(server, 'listening');
    t.after(() => server.close());
    const { port } = server.address() as { port: number };

    const worker = startLockstep(t, ['worker', '--join', `127.0.0.1:${port}`, '--retry', '1']);
    const { status } = await worker.end();

    assert.equal(status, 1);
    assert.equal(calledMs.length, 6);
    assert.ok(calledMs[5]! - calledMs[4]! > 4 * (calledMs[1]! - calledMs[0]!));
    assert.equal(worker.stderr.split(`not let in yet, trying again: ${reason}`).length, 2);
    assert.match(worker.stderr, /error: joining .*: no coordinator there; tried \d+ times in /);
  });
});
