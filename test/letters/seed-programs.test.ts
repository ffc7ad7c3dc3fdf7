/**
 * The letters system together with programs of the seed system's interface, in Python with Apache
 * Thrift.
 */
import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { waitFor } from '../cluster/processes.ts';
import {
  Cluster,
  finalError,
  portOf,
  pythonThriftMissing,
  startPython,
} from './letters-cluster.ts';

const skip = pythonThriftMissing();
const CASE_1_ERROR = 0.8054285714285714;

describe('programs that speak Thrift', { skip }, () => {
  test('a client of theirs is told what is wrong', async (t) => {
    const cluster = await Cluster.create(t);
    const { port } = await cluster.startCoordinator('2');

    const client = startPython(t, 'seed_client.py', [
      '127.0.0.1',
      port,
      'nowhere',
      5,
      15,
      20,
      0.0001,
    ]);

    assert.equal((await client.end()).status, 1);
    assert.match(
      client.stderr,
      /TApplicationException: nowhere: expected a directory with train_letters/,
    );
  });

  test('compute nodes of theirs, one with load, and one of ours train for us', async (t) => {
    const cluster = await Cluster.create(t);
    const theirs = [
      startPython(t, 'seed_compute_node.py', [0]),
      startPython(t, 'seed_compute_node.py', [0.5]),
    ];
    for (const node of theirs)
      cluster.addToList(Number(await waitFor('a port', () => /^(\d+)\n/.exec(node.stdout)?.[1])));
    // So slow that it cannot do all alone before theirs are found.
    await cluster.startNode(0.2, '--delay', '500');
    const { port } = await cluster.startCoordinator('2');

    const client = cluster.startClient(port, 5, 15, 20, 0.0001, '--compat', 'seed');

    assert.equal(await finalError(client), CASE_1_ERROR);
    const timing = readFileSync(join(cluster.folder, 'out/timing.txt'), 'utf8');
    assert.match(timing, / {2}- +\d+\.\d +-$/m, 'their nodes took part, and measure nothing');
  });

  test('a job for nodes of theirs that have no such files fails, and says which path', async (t) => {
    const cluster = await Cluster.create(t);
    const { port } = await cluster.startCoordinator('1');
    const client = cluster.startClient(port, 1, 1, 20, 0.0001, '--compat', 'seed');
    await waitFor('the job', () => /no compute node/.test(client.stderr));
    // As on a machine to which nobody has copied them.
    rmSync(cluster.letters, { recursive: true });

    const theirs = startPython(t, 'seed_compute_node.py', [0]);
    cluster.addToList(Number(await waitFor('a port', () => /^(\d+)\n/.exec(theirs.stdout)?.[1])));

    assert.equal((await client.end()).status, 2);
    const file = `${cluster.letters}/train_letters`;
    assert.ok(client.stderr.includes(`it gives no result for ${file}`), client.stderr);
    assert.match(client.stderr, /error: .*train_letters\d+\.txt was rejected 10 times/);
  });

  test('what their nodes cannot compute waits for one of ours, with the reason', async (t) => {
    const cluster = await Cluster.create(t);
    const theirs = startPython(t, 'seed_compute_node.py', [0]);
    cluster.addToList(Number(await waitFor('a port', () => /^(\d+)\n/.exec(theirs.stdout)?.[1])));
    const { port } = await cluster.startCoordinator('2');
    const client = cluster.startClient(port, 1, 1, 20, 0.0001);
    await waitFor('word of it', () =>
      /original system's interface only, .*: start the job with --compat seed/.test(client.stderr),
    );

    await cluster.startNode(0);

    assert.ok((await finalError(client)) < 1);
  });

  test('a coordinator of theirs trains for our client, once it is asked for mode seed', async (t) => {
    const cluster = await Cluster.create(t);
    const theirs = startPython(t, 'seed_coordinator.py', []);
    const port = Number(await waitFor('a port', () => /^(\d+)\n/.exec(theirs.stdout)?.[1]));

    const ours = cluster.startClient(port, 5, 15, 20, 0.0001);
    assert.equal((await ours.end()).status, 2);
    assert.match(
      ours.stderr,
      /a coordinator of the original system, which has no mode but seed\. Add --compat seed/,
    );

    const seed = cluster.startClient(port, 5, 15, 20, 0.0001, '--compat', 'seed');
    assert.equal(await finalError(seed), CASE_1_ERROR);
    assert.match(seed.stderr, /tells the error alone: no model, no files/);

    rmSync(cluster.letters, { recursive: true });
    const lost = cluster.startClient(port, 5, 15, 20, 0.0001, '--compat', 'seed');
    assert.equal((await lost.end()).status, 2);
    assert.match(lost.stderr, /found nothing to train on in .*letters: expected a directory/);
  });

  test('a coordinator of theirs gets what numpy computes, and rejections under load', async (t) => {
    const cluster = await Cluster.create(t);
    const file = join(cluster.letters, 'train_letters1.txt');
    const free = await portOf(cluster.startUnlistedNode(0));
    const busy = await portOf(cluster.startUnlistedNode(1, '--delay', '10'));

    const ask = async (
      port: number,
      path: string,
      policy: number,
    ): Promise<Record<string, unknown>> => {
      const program = startPython(t, 'seed_task.py', ['127.0.0.1', port, path, 15, 20, policy]);
      assert.equal((await program.end()).status, 0, program.stderr);
      return JSON.parse(program.stdout) as Record<string, unknown>;
    };

    const { accepted, trainingError, distance } = await ask(free, file, 1);
    assert.deepEqual([accepted, trainingError], [true, 0.9353333333333333]);
    assert.ok(Number(distance) < 1e-9, String(distance));
    assert.deepEqual(await ask(busy, file, 2), {
      accepted: false,
      trainingError: -1,
      rows: [0, 0],
      distance: null,
    });
    assert.equal((await ask(busy, file, 1))['accepted'], true);
  });

  test('a coordinator of theirs is told which file our node cannot read', async (t) => {
    const cluster = await Cluster.create(t);
    const port = await portOf(cluster.startUnlistedNode(0));

    const program = startPython(t, 'seed_task.py', ['127.0.0.1', port, 'nowhere/a.txt', 15, 20, 1]);

    assert.equal((await program.end()).status, 1);
    assert.match(program.stderr, /TApplicationException: reading nowhere\/a\.txt: it is not there/);
  });
});
