/** The letters system as processes: faults, newcomers, and what is kept. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { startLockstep } from '../cluster/processes.ts';
import { Cluster, finalError } from './letters-cluster.ts';

/** Case 1 of the published results. */
const CASE_1 = [5, 15, 20, 0.0001, '--compat', 'seed'] as const;
const CASE_1_ERROR = 0.8054285714285714;

describe('lockstep client', () => {
  test('sees a frozen node as lost and gets its task done elsewhere', async (t) => {
    const cluster = await Cluster.create(t);
    const frozen = await cluster.startNode(0);
    await cluster.startNode(0);
    const { port } = await cluster.startCoordinator('3');
    frozen.signal('SIGSTOP');

    const client = cluster.startClient(port, ...CASE_1);

    assert.equal(await finalError(client), CASE_1_ERROR);
    frozen.signal('SIGCONT');
  });

  test('shares nodes with other clients', async (t) => {
    const cluster = await Cluster.create(t);
    await cluster.startNode(0);
    const { port } = await cluster.startCoordinator('2');

    const clients = [1, 2, 3].map(() => cluster.startClient(port, ...CASE_1, '--no-save'));

    for (const client of clients) assert.equal(await finalError(client), CASE_1_ERROR);
  });

  test('fails with exit code 1 and advises a smaller eta when training diverges', async (t) => {
    const cluster = await Cluster.create(t);
    await cluster.startNode(0);
    await cluster.startNode(0);
    const { port } = await cluster.startCoordinator('2');

    const client = cluster.startClient(port, 2, 15, 20, 1000);

    assert.equal((await client.end()).status, 1);
    const says =
      '^error: round \\d+, train_letters\\d+\\.txt: the parameters became infinite or NaN ' +
      '\\(found by 127\\S+, 127\\S+\\)\\. Choose an eta below 1000\\.$';
    assert.match(client.stderr, new RegExp(says, 'm'));
    assert.equal(client.stdout, '');
  });

  test('keeps a model that predicts as well as it was validated', async (t) => {
    const cluster = await Cluster.create(t);
    await cluster.startNode(0);
    const { port } = await cluster.startCoordinator('2');
    const error = await finalError(
      cluster.startClient(port, 2, 5, 24, 0.01, '--optimizer', 'adam'),
    );
    const errors = readFileSync(join(cluster.folder, 'out/errors.csv'), 'utf8');

    const predict = startLockstep(t, [
      'predict',
      join(cluster.folder, 'out'),
      join(cluster.letters, 'validate_letters.txt'),
    ]);
    assert.equal((await predict.end()).status, 0, predict.stderr);

    const shown = Number(/^error (\S+)$/m.exec(predict.stderr)?.[1]);
    // float32 may turn a close call.
    assert.ok(Math.abs(shown - error) < 0.001, `${shown} ${error}`);
    assert.equal(predict.stdout.split('\n').length, 3501);
    assert.match(predict.stdout, /^\d+ [A-Z]\n/);
    assert.match(errors, /^round,validation_error,wall_ms\n1,0\.\d+,\d+\n2,0\.\d+,\d+\n$/);
  });
});

describe('what the user gives', () => {
  const wrong: readonly (readonly [string, readonly string[], RegExp])[] = [
    [
      'a load above 1',
      ['compute-node', '0', '1.5'],
      /load_probability: expected a number from 0 to 1, got "1\.5"/,
    ],
    [
      'a port that is none',
      ['compute-node', '70000', '0'],
      /port: expected a whole number from 0 to 65535/,
    ],
    [
      'a coordinator elsewhere for a node that listens here alone',
      ['compute-node', '0', '0', '--join', 'desk:9095'],
      /--join desk:9095: .* cannot reach us .* 127\.0\.0\.1 alone\. Add --host 0\.0\.0\.0/,
    ],
    [
      'an unknown policy',
      ['coordinator-node', '0', '7'],
      /scheduling_policy: expected 1 or random, .* got "7"/,
    ],
    [
      'a list of nodes that is no file',
      ['coordinator-node', '0', '2', '--nodes', '/dev/zero'],
      /\/dev\/zero: expected a file of at most 1048576 bytes/,
    ],
    [
      'a model that is no file',
      ['predict', '/dev/zero', 'rows'],
      /model \/dev\/zero: expected a file, got something else/,
    ],
    [
      'no rounds',
      ['client', 'localhost', '1', 'd', '0', '1', '1', '1'],
      /rounds: expected a whole number from 1/,
    ],
    [
      'no learning rate',
      ['client', 'localhost', '1', 'd', '1', '1', '1', '0'],
      /eta: expected a number above 0/,
    ],
    [
      'an argument too few',
      ['client', 'localhost', '1', 'd', '1', '1', '1'],
      /missing required argument 'eta'/,
    ],
  ];
  for (const [what, args, message] of wrong) {
    test(`is refused with exit code 2: ${what}`, async (t) => {
      const program = startLockstep(t, args);

      assert.equal((await program.end()).status, 2);
      assert.match(program.stderr, message);
    });
  }

  test('is refused by the coordinator: no data, lists with bad lines, ports in use', async (t) => {
    const cluster = await Cluster.create(t);
    await cluster.startNode(0);
    const { port } = await cluster.startCoordinator('2');
    const missing = startLockstep(t, [
      'client',
      '127.0.0.1',
      String(port),
      join(cluster.folder, 'nowhere'),
      '1',
      '1',
      '1',
      '1',
    ]);
    assert.equal((await missing.end()).status, 2);
    assert.match(
      missing.stderr,
      /^error: \/\S+\/nowhere: expected a directory with train_letters\*\.txt .*it is not there$/m,
    );

    const inUse = startLockstep(t, [
      'coordinator-node',
      String(port),
      '2',
      '--nodes',
      cluster.list,
    ]);
    assert.equal((await inUse.end()).status, 1);
    assert.match(inUse.stderr, /port \d+ is in use/);

    writeFileSync(cluster.list, 'localhost,1\nlocalhost 2\n');
    const badList = startLockstep(t, ['coordinator-node', '0', '2', '--nodes', cluster.list]);
    assert.equal((await badList.end()).status, 2);
    assert.match(
      badList.stderr,
      /compute_nodes\.txt: line 2: expected host,port, got "localhost 2"/,
    );
  });
});
