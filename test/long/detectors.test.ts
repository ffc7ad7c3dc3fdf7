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
