/** `lockstep bench-collective`: all-reduces between real processes. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import {
  assertGone,
  type Program,
  startLockstep,
  temporaryFolder,
  waitFor,
} from '../cluster/processes.ts';
import { listen } from '../../src/transport/tcp.ts';
import { lockstep } from '../cluster/lockstep-command.ts';

/** Processes that a process has started and that live. */
function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter(Boolean)
    .map(Number);
}

/** Ports that were free a moment ago. */
async function freePorts(count: number): Promise<number[]> {
  const doors = await Promise.all(
    Array.from({ length: count }, async () => listen({ host: '127.0.0.1', port: 0 }, () => {})),
  );
  await Promise.all(doors.map(async (door) => door.close()));
  return doors.map(({ address }) => address.port);
}

describe('lockstep bench-collective', () => {
  test('measures several sizes, checks every sum, and prints what it writes', async (t) => {
    const output = join(temporaryFolder(t), 'deep', 'collective.json');
    const { status, stdout, stderr } = await lockstep(
      t,
      ...['bench-collective', '--workers', '3', '--sizes', '0.05,1', '--iterations', '5', '--json'],
      ...['--output', output],
    );

    assert.equal(status, 0, stderr);
    assert.equal(readFileSync(output, 'utf8'), stdout);
    const result = JSON.parse(stdout);
    assert.deepEqual(
      [result.workers, result.iterations, result.backend, result.size_mb],
      [3, 5, 'ring', 1],
    );
    for (const key of ['mean', 'p50', 'p99', 'min'].map((name) => `${name}_bandwidth_gbps`))
      assert.ok(result[key] > 0, key);
    assert.deepEqual(
      result.results.map((one: { size_mb: number }) => one.size_mb),
      [0.05, 1],
    );
    assert.deepEqual(
      result.results.map((one: { checked_iterations: number }) => one.checked_iterations),
      [8, 8],
    );
    // Only large payloads go through shared memory, where there is one.
    assert.equal(result.results[0].path, 'tcp');
    if (process.platform === 'linux')
      assert.equal(result.results[1].path, 'loopback shared memory');
    const expected = (4 / 3) * (result.bytes / (result.mean_time_ms / 1000) / 1e9);
    assert.ok(
      result.mean_bandwidth_gbps >= expected * 0.999,
      'the mean of speeds is at least the speed of the mean time',
    );
    assert.match(stderr, /loopback shared memory/);
  });

  test('measures the all-reduce that it is told', async (t) => {
    const args = ['bench-collective', '--collective', 'shm', '--size-mb', '0.1', '--json'];
    const { status, stdout, stderr } = await lockstep(t, ...args, '--workers', '3');

    assert.equal(status, 0, stderr);
    const { backend, checked_iterations: checked } = JSON.parse(stdout);
    assert.deepEqual([backend, checked], ['shm', 53]);
  });

  test('measures between processes that were started by hand, and shows the same in each', async (t) => {
    const hosts = (await freePorts(2)).map((port) => `127.0.0.1:${port}`).join(',');
    const args = ['bench-collective', '--hosts', hosts, '--sizes', '0.01,0.1', '--json'];
    const results = await Promise.all(
      ['0', '1'].map(async (rank) => lockstep(t, ...args, '--rank', rank)),
    );

    for (const { status, stderr } of results) assert.equal(status, 0, stderr);
    const [first, second] = results.map(({ stdout }) => JSON.parse(stdout).results);
    assert.equal(first.length, 2);
    assert.deepEqual(first, second);
  });

  test('measures between hosts of which one has several workers, and needs two hosts', async (t) => {
    const ports = await freePorts(3);
    const doors = ['127.0.0.1', '127.0.0.1', '127.0.0.2'].map((host, i) => `${host}:${ports[i]}`);
    const args = ['bench-collective', '--collective', 'hosts', '--sizes', '0.01', '--json'];
    const all = [...args, '--hosts', doors.join(',')];
    const results = await Promise.all(
      ['0', '1', '2'].map(async (rank) => lockstep(t, ...all, '--rank', rank)),
    );
    for (const { status, stdout, stderr } of results) {
      assert.equal(status, 0, stderr);
      assert.equal(JSON.parse(stdout).backend, 'hosts');
    }

    const { status, stderr } = await lockstep(t, ...args, '--workers', '2');
    assert.equal(status, 2);
    assert.match(stderr, /--collective hosts: expected --hosts with at least two addresses/);
  });

  test('waits for a machine that comes late, while the others have found each other', async (t) => {
    const hosts = (await freePorts(4)).map((port) => `127.0.0.1:${port}`).join(',');
    const args = ['bench-collective', '--hosts', hosts, '--collective', 'shm', '--sizes', '0.01'];
    const start = (rank: number): Program =>
      startLockstep(t, [...args, '--iterations', '5', '--rank', String(rank), '--json']);
    const early = [0, 1, 3].map(start);
    for (const { pid } of early) await waitFor('its worker', () => childrenOf(pid).length === 1);

    for (const program of [...early, start(2)]) {
      assert.equal((await program.end()).status, 0, program.stderr);
      assert.equal(JSON.parse(program.stdout).workers, 4);
    }
  });

  test('ends its workers when interrupted', async (t) => {
    const program = startLockstep(t, [
      'bench-collective',
      '--size-mb',
      '4',
      '--iterations',
      '1000000',
    ]);
    const children = await waitFor('two workers', () => {
      const found = childrenOf(program.pid);
      return found.length === 2 && found;
    });
    program.signal('SIGINT');

    assert.equal((await program.end()).status, 130);
    await assertGone(children);
  });

  test('says so when a worker dies, and ends the other', async (t) => {
    const program = startLockstep(t, [
      'bench-collective',
      '--size-mb',
      '4',
      '--iterations',
      '1000000',
    ]);
    const children = await waitFor('two workers', () => {
      const found = childrenOf(program.pid);
      return found.length === 2 && found;
    });
    process.kill(children[0]!, 'SIGKILL');

    assert.equal((await program.end()).status, 1);
    assert.match(program.stderr, /the worker of rank \d was ended by SIGKILL/);
    await assertGone(children);
  });

  test('leaves no worker when it is killed itself', async (t) => {
    const program = startLockstep(t, [
      'bench-collective',
      '--size-mb',
      '4',
      '--iterations',
      '1000000',
    ]);
    const children = await waitFor('two workers', () => {
      const found = childrenOf(program.pid);
      return found.length === 2 && found;
    });
    program.signal('SIGKILL');
    await program.end();

    await assertGone(children);
  });

  test('refuses what cannot be measured, before it writes or starts anything', async (t) => {
    const folder = temporaryFolder(t);
    const cases: [string[], RegExp][] = [
      [['--workers', '1'], /--workers: expected a whole number from 2 to 64, got "1"/],
      [['--size-mb', '0'], /--size-mb: expected a number from 0.001 to 1024/],
      [
        ['--size-mb', '1000', '--workers', '64'],
        /64 workers need 125.0 GiB of memory.*Choose at most/,
      ],
      [['--sizes', '1,,2'], /--sizes: expected a number/],
      [['--iterations', '0'], /--iterations: expected a whole number/],
      [['--backend', 'mpi'], /--backend/],
      [['--collective', 'mesh'], /--collective/],
      [['--hosts', 'desk:7070,laptop:7070'], /--hosts: expected --rank with it/],
      [['--rank', '0'], /--rank: expected --hosts with it/],
      [['--hosts', 'desk:7070', '--rank', '0'], /--hosts: expected 2 to 64 addresses, got 1/],
      [['--hosts', 'desk,laptop', '--rank', '0'], /--hosts: expected host:port, got "desk"/],
      [['--hosts', 'a:1,b:1', '--rank', '2'], /--rank: expected a whole number from 0 to 1/],
      [['--output', folder], /this is a folder/],
    ];
    for (const [args, message] of cases) {
      const { status, stdout, stderr } = await lockstep(t, 'bench-collective', ...args);
      assert.equal(status, 2, stderr);
      assert.match(stderr, message);
      assert.equal(stdout, '');
    }
    assert.deepEqual(readdirSync(folder), []);
  });
});
