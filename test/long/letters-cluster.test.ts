/** The letters system with slow nodes, lost nodes and newcomers. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { startLockstep, waitFor } from '../cluster/processes.ts';
import { Cluster, finalError, portOf } from '../letters/letters-cluster.ts';

/** Case 1 of the published results. */
const CASE_1 = [5, 15, 20, 0.0001, '--compat', 'seed'] as const;
const CASE_1_ERROR = 0.8054285714285714;

describe('lockstep client', () => {
  test(
    'gets the published error with slow nodes, one of them killed and two added while the job ' +
      'runs',
    async (t) => {
      const cluster = await Cluster.create(t);
      // Slow enough for newcomers to find work: alone, a node would take 17 s.
      const load = [1, '--delay', '300'] as const;
      const doomed = await cluster.startNode(...load);
      await cluster.startNode(...load);
      const { port, program: coordinator } = await cluster.startCoordinator('1');
      const client = cluster.startClient(port, ...CASE_1);
      await waitFor('the first round', () => client.stderr.includes('round 1/5'));

      doomed.signal('SIGKILL');
      const late = await cluster.startNode(...load);
      const registered = cluster.startUnlistedNode(...load, '--join', `127.0.0.1:${port}`);

      assert.equal(await finalError(client), CASE_1_ERROR);
      assert.match(coordinator.stderr, /compute node 127\.0\.0\.1:\d+ registered/);
      const timing = readFileSync(join(cluster.folder, 'out/timing.txt'), 'utf8');
      assert.equal(timing.match(/^\d .*train_letters\d+\.txt .*127/gm)?.length, 5 * 11);
      for (const node of [late, registered])
        assert.match(timing, new RegExp(`:${await portOf(node)} `));
    },
  );

  test('is told when every node is down, and goes on when one returns', async (t) => {
    const cluster = await Cluster.create(t);
    const node = await cluster.startNode(0);
    const { port } = await cluster.startCoordinator('random');
    const client = cluster.startClient(port, 15, 15, 20, 0.0001);
    await waitFor('the first round', () => client.stderr.includes('round 1/15'));
    const nodePort = await portOf(node);
    node.signal('SIGKILL');
    await waitFor('word of it', () =>
      /no compute node; waiting for one\n +127\.0\.0\.1:\d+: \S/.test(client.stderr),
    );

    startLockstep(t, ['compute-node', String(nodePort), '0', '--host', '127.0.0.1']);

    assert.ok((await finalError(client)) < 0.9);
    assert.match(client.stderr, /a compute node is back/);
  });
});
