/** The seed system's client, in Python with Apache Thrift, in a whole training. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  Cluster,
  finalError,
  pythonThriftMissing,
  startPython,
} from '../letters/letters-cluster.ts';

const CASE_1_ERROR = 0.8054285714285714;

describe('programs that speak Thrift', { skip: pythonThriftMissing() }, () => {
  test('a client of theirs trains with our coordinator and nodes', async (t) => {
    const cluster = await Cluster.create(t);
    await cluster.startNode(0.6, '--delay', '20');
    const { port } = await cluster.startCoordinator('2');

    const client = startPython(t, 'seed_client.py', [
      '127.0.0.1',
      port,
      cluster.letters,
      5,
      15,
      20,
      0.0001,
    ]);

    assert.equal(await finalError(client), CASE_1_ERROR);
  });
});
