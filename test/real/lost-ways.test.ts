/**
 * Ways to a machine that are lost, or never were: one that vanishes without a word, one that gets
 * another address, names and addresses behind which nobody is.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { openRelay } from '../../src/transport/relay.ts';
import { startLockstep, startProgram, temporaryFolder } from '../cluster/processes.ts';
import { assertSameModel, referenceOf, startRun } from '../cluster/runs.ts';
import { reasonToSkip, withNetwork } from './network.ts';

const ARGS = ['--hidden', '64', '--seed', '7', '--eval-every', 'never', '--steps', '5000'];
/** In the network, where no host has it. */
const NOBODYS_ADDRESS = '10.99.0.200';
const OTHER_ADDRESS = '10.99.0.77';
const NOT_HEARD_MS = 3_500;

describe('a run of which a machine', { skip: reasonToSkip() }, () => {
  test('gets another address, and later vanishes without a word, goes on', async (t) => {
    const reference = await referenceOf(t, ARGS);
    await withNetwork(async (network) => {
      const run = await network.coordinate([...ARGS, '--workers', '2']);
      network.join(undefined);
      const second = network.join(undefined);
      await run.workerIds(2);
      const moves = ({ processId }: { readonly processId: number }): boolean =>
        processId === second.program.pid;
      const [first] = run.eventsOf('worker-joined').filter(moves);
      await run.reachesStep(50);

      second.move(OTHER_ADDRESS);
      const back = await run.event('worker-joined', (event) => moves(event) && event.step > 0);
      const atMs = Date.now();
      second.plug(false);
      second.program.signal('SIGKILL'); // Neither FIN nor RST gets through.
      const stalled = await run.event('worker-stalled', ({ step }) => step >= back.step);
      const afterMs = Date.now() - atMs;
      const outcome = await run.outcome();

      assertSameModel(outcome, reference);
      const worker = [first!.rank, first!.workerId];
      assert.deepEqual([back.rank, back.workerId], worker, 'it came back as the same worker');
      assert.deepEqual([stalled.rank, stalled.workerId], worker);
      t.diagnostic(`noticed after ${afterMs} ms: ${stalled.reason}`);
      assert.ok(afterMs < NOT_HEARD_MS, `${afterMs} ms`);
      assert.equal(outcome.summary.events.rollbacks, 0);
    });
  });
});

describe('a worker that is sent', { skip: reasonToSkip() }, () => {
  test('where nobody answers says so after five seconds, and looks on', async (t) => {
    await startLockstep(t, ['--version']).end();
    await withNetwork(async (network) => {
      const host = network.addHost(undefined);
      host.swallow(NOBODYS_ADDRESS);
      const joining = (place: string, retry: string) =>
        host.start(['worker', '--join', place, '--insecure', '--retry', retry]);
      const patient = joining(`${NOBODYS_ADDRESS}:29500`, '60');
      const impatient = joining(`${NOBODYS_ADDRESS}:29500`, '1');
      const elsewhere = joining('10.99.0.201:29500', '1');
      const misnamed = joining('nowhere.invalid:29500', '1');

      await patient.saying(
        /no coordinator at \S+:29500 yet \(.* for 5000 ms\); looking for it for 5\d s more\n/,
      );
      patient.signal('SIGINT');
      const ends = [impatient, elsewhere, misnamed, patient];
      const statuses = await Promise.all(ends.map(async (one) => (await one.end()).status));

      assert.deepEqual(statuses, [1, 1, 1, 130]);
      assert.match(
        impatient.stderr,
        /^error: joining .* tried once in 5\.\d s \(last: .*no answer/m,
      );
      assert.match(
        elsewhere.stderr,
        /^error: .*no way leads there, or the host is off \(EHOSTUNREACH/m,
      );
      assert.match(
        misnamed.stderr,
        /^error: .*(nobody knows this name|no name server answers) \(E/m,
      );
    });
  });

  test('to a name that is lost stays, and comes back when it is known again', async (t) => {
    const reference = await referenceOf(t, ARGS);
    const folder = temporaryFolder(t);
    const hosts = join(folder, 'hosts');
    const know = (...names: readonly string[]): void =>
      writeFileSync(hosts, `127.0.0.1 localhost ${names.join(' ')}\n`);
    know('desk');
    writeFileSync(join(folder, 'resolv.conf'), 'options attempts:1 timeout:1\n');
    const run = startRun(t, [...ARGS, '--collective', 'star', '--workers', '1', '--lanes', '1']);
    const [host, port] = (await run.address()).split(':') as [string, string];
    const relay = await openRelay({ host, port: Number(port) });
    t.after(async () => relay.close());
    const inPlace =
      'mount --bind "$1/hosts" /etc/hosts && mount --bind "$1/resolv.conf" /etc/resolv.conf && ' +
      'shift && exec "$@"';
    const worker = startProgram(t, 'unshare', [
      ...['--mount', 'bash', '-c', inPlace, 'bash', folder, process.execPath, 'bin/lockstep.js'],
      ...['worker', '--join', `desk:${relay.address.port}`, '--lanes', '1'],
    ]);

    const { step } = await run.event('worker-joined', ({ processId }) => processId === worker.pid);
    know();
    await run.reachesStep(step + 50);
    assert.deepEqual(run.eventsOf('worker-lost'), [], 'who is in needs no name');
    relay.resetAll();
    await worker.saying(/no coordinator at desk:\d+ yet|lost the coordinator/);
    const { step: lostAt } = await run.event('worker-lost');
    know('desk');
    await run.event(
      'worker-joined',
      ({ processId, step: at }) => processId === worker.pid && at > lostAt,
    );
    const outcome = await run.outcome();

    assertSameModel(outcome, reference);
    assert.equal(outcome.summary.events.workersLost, 1);
  });
});
