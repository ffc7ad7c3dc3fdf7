import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ClientOptions, runClient } from './client.ts';

const SPEC = {
  directory: 'letters',
  rounds: 1,
  epochs: 1,
  hidden: 2,
  eta: 0.1,
  classes: 26,
  mode: 'default',
  optimizer: 'gradient',
  batch: 64,
  seed: 42,
} as const;

async function listen(t: TestContext, port: number): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.end('no coordinator');
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return server;
}

/** A job for a port at which nobody listens. */
async function optionsOfNobody(t: TestContext, signal: AbortSignal): Promise<ClientOptions> {
  const server = await listen(t, 0);
  const { port } = server.address() as AddressInfo;
  await new Promise((closed) => server.close(closed));
  return { coordinator: { host: '127.0.0.1', port }, spec: SPEC, onEvent: () => {}, signal };
}

describe('runClient', () => {
  test('waits for a door that opens a moment later', async (t) => {
    const options = await optionsOfNobody(t, new AbortController().signal);
    const job = runClient(options).then(
      () => 'done',
      ({ message }: Error) => message,
    );

    await sleep(300);
    await listen(t, options.coordinator.port);

    assert.doesNotMatch(await job, /ECONNREFUSED/);
  });

  test('ends without a result when it is given up meanwhile', async (t) => {
    const controller = new AbortController();
    const job = runClient(await optionsOfNobody(t, controller.signal));

    await sleep(300);
    controller.abort();

    assert.equal(await job, undefined);
  });
});
