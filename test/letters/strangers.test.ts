/** What strangers can do at the doors of the letters system: little, and nothing to others. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { parameterCount } from '../../src/letters/numeric/parameters.ts';
import {
  encodeFileCall,
  exceptionText,
  isIdentity,
  WHO_ARE_YOU,
} from '../../src/letters/thrift/seed-interface.ts';
import { ThriftDecoder } from '../../src/letters/thrift/thrift-decoder.ts';
import { encodeThrift } from '../../src/letters/thrift/thrift-encoder.ts';
import type { ThriftMessage } from '../../src/letters/thrift/thrift-values.ts';
import { type Program, startLockstep, waitFor } from '../cluster/processes.ts';
import { Cluster, portOf } from './letters-cluster.ts';

const SHAPE = { features: 16, hidden: 2, classes: 26 };
const TASK = {
  shape: SHAPE,
  start: new Float64Array(parameterCount(SHAPE)),
  epochs: 1,
  eta: 0.0001,
  policy: 1,
};
const WHO = encodeThrift('call', WHO_ARE_YOU, 1, {});

/** A connection of a stranger, which goes with the test. */
async function dial(t: TestContext, port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('connect', resolve));
  return socket;
}

/** The answer to one call; undefined when the connection ends without one. */
async function call(
  t: TestContext,
  port: number,
  bytes: Uint8Array,
): Promise<ThriftMessage | undefined> {
  const socket = await dial(t, port);
  return new Promise((resolve) => {
    const decoder = new ThriftDecoder(resolve);
    socket.on('data', (piece) => decoder.push(piece));
    socket.once('close', () => resolve(undefined));
    socket.write(bytes);
  });
}

function residentBytes({ pid }: Program): number {
  const pages = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(pages?.[1]) * 1024;
}

describe('compute-node and coordinator-node', () => {
  test('listen on 127.0.0.1 unless told otherwise, and where they are told', async (t) => {
    const { list } = await Cluster.create(t);
    const programs = [
      startLockstep(t, ['compute-node', '0', '0']),
      startLockstep(t, ['coordinator-node', '0', '2', '--nodes', list]),
      startLockstep(t, ['compute-node', '0', '0', '--host', '0.0.0.0', '--join', 'desk:9095']),
    ];

    const hosts = programs.map(
      async (program) => (await program.saying(/listens on (\S+):\d+/))[1] ?? '',
    );

    assert.deepEqual(await Promise.all(hosts), ['127.0.0.1', '127.0.0.1', '0.0.0.0']);
  });
});

describe('a stranger at a compute node', () => {
  test('can name files of the data folder alone, and learns nothing of what is in them', async (t) => {
    const cluster = await Cluster.create(t);
    const port = await portOf(cluster.startUnlistedNode(0));
    await mkdir(join(cluster.folder, 'more'));
    await symlink('/etc/passwd', join(cluster.folder, 'link'));
    await writeFile(join(cluster.folder, 'secret'), 'root:x:0\n');
    const tell = async (path: string): Promise<string> => {
      const answer = await call(t, port, encodeFileCall(1, { ...TASK, path }));
      return answer?.kind === 'exception' ? exceptionText(answer) : `${answer?.kind}`;
    };

    assert.equal(await tell('letters/train_letters1.txt'), 'reply');
    assert.equal(await tell(join(cluster.letters, 'train_letters1.txt')), 'reply');
    for (const path of ['/etc/passwd', '/dev/zero', '../a', '/none', 'link'])
      assert.match(await tell(path), /: expected a path inside the data folder of this node\./);
    assert.equal(await tell('more'), 'reading more: expected a file, and this is none');
    assert.equal(
      await tell('secret'),
      'secret, first row: expected 16 numbers and a class, with commas between, got fewer values',
    );
  });

  test('cannot fill its memory with empty structs, nor its places', async (t) => {
    const cluster = await Cluster.create(t);
    const node = cluster.startUnlistedNode(0);
    const port = await portOf(node);
    const before = residentBytes(node);
    const bomb = Buffer.concat([
      Buffer.from('800100010000000178000000010f00010f00000010', 'hex'),
      ...Array.from({ length: 16 }, () =>
        Buffer.concat([Buffer.from('0c00010000', 'hex'), Buffer.alloc(65_536)]),
      ),
    ]);

    for (let i = 0; i < 2; i++) assert.equal(await call(t, port, bomb), undefined);
    const idle = await Promise.all(Array.from({ length: 80 }, () => dial(t, port)));
    const ended = { count: 0 };
    for (const socket of idle) socket.once('close', () => ended.count++).write(WHO.subarray(0, 1));
    await waitFor('the end of those who are too many', () => ended.count >= 16);

    assert.ok(residentBytes(node) - before < 128 << 20, `${residentBytes(node) - before}`);
    for (const socket of idle) socket.destroy();
    let answer: ThriftMessage | undefined;
    for (let i = 0; i < 100 && answer === undefined; i++) answer = await call(t, port, WHO);
    assert.ok(answer !== undefined && isIdentity(answer));
  });
});
