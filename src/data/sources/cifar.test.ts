import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { parts } from '../../../test/patterns.ts';
import { systemClock } from '../../base/clock.ts';
import { makeCifarArchive } from './cifar-archive.ts';
import { CIFAR10, CIFAR100 } from './cifar-sets.ts';
import type { CifarSet } from './cifar-sets.ts';
import { loadCifar } from './cifar.ts';
import type { DataPlaces } from '../dataset.ts';
import type { WebAccess } from './download.ts';
import { makeTar, readTar } from '../formats/tar.ts';

const archive = makeCifarArchive(CIFAR10, { seed: 1, trainSamples: 103, testSamples: 20 });
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** CIFAR-10 as if `archive` were the official one, to be had at `address`. */
function officially(bytes: Buffer, address: string): CifarSet {
  const addresses = [address];
  return {
    ...CIFAR10,
    archive: { ...CIFAR10.archive, addresses, bytes: bytes.length, sha256: sha256(bytes) },
  };
}

const offline: WebAccess = {
  fetch: () => Promise.reject(new TypeError('no network in tests')),
  clock: systemClock,
};

let root = '';
let count = 0;
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'lockstep-cifar-'));
});
after(() => rm(root, { recursive: true, force: true }));

async function folderWith(files: Record<string, Uint8Array>): Promise<string> {
  const folder = join(root, String(count++));
  await mkdir(folder);
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  return folder;
}

async function placesWith(files: Record<string, Uint8Array>): Promise<DataPlaces> {
  return { dataDir: await folderWith(files), cacheDir: join(root, `cache-${count}`) };
}

/** The message of loading an archive with these members changed; undefined leaves one out. */
async function refusal(
  change: (files: Map<string, Buffer>) => void,
  set = CIFAR10,
): Promise<string> {
  const members = readTar(gunzipSync(archive), 'archive');
  const files = new Map(members.map(({ name, content }) => [name, Buffer.from(content)]));
  change(files);
  const changed = gzipSync(makeTar([...files].map(([name, content]) => ({ name, content }))));
  return refusalOf(changed, set);
}

async function refusalOf(bytes: Buffer, set = CIFAR10): Promise<string> {
  const places = await placesWith({ [set.archive.fileName]: bytes });
  return loadCifar(set, places, offline).then(
    () => assert.fail('loaded'),
    (error: Error & { code: string }) => `${error.code} ${error.message}`,
  );
}

describe('loadCifar', () => {
  test('downloads the archive once, checks it, and reads its images', async () => {
    const requests: string[] = [];
    const server = createServer((request, response) => {
      requests.push(request.url ?? '');
      response.end(archive);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/cifar.tar.gz`;
      const places = { cacheDir: await folderWith({}) };
      const network = { ...offline, fetch: globalThis.fetch };

      const {
        train,
        test: held,
        origin,
      } = await loadCifar(officially(archive, address), places, network);
      const again = await loadCifar(officially(archive, address), places, offline);

      assert.match(origin, /^downloaded to /);
      assert.equal(again.notes, undefined);
      assert.match(again.origin, /^cache folder /);
      assert.equal(again.train.digest, train.digest);
      assert.deepEqual(requests, ['/cifar.tar.gz']);
      assert.deepEqual(await readdir(join(places.cacheDir, 'cifar10')), ['cifar-10-binary.tar.gz']);
      assert.deepEqual(
        [train.sampleCount, held.sampleCount, train.features],
        [103, 20, [3, 32, 32]],
      );
      const second = readTar(gunzipSync(archive), 'archive')[2]!;
      assert.equal(second.name, 'cifar-10-batches-bin/data_batch_2.bin');
      assert.equal(train.y[20], second.content[0]);
      assert.deepEqual(
        train.x.slice(20 * 3072, 21 * 3072),
        new Uint8Array(second.content.subarray(1, 3073)),
      );
      assert.ok(
        train.x.buffer instanceof SharedArrayBuffer && train.normalisation.scale.length === 3,
      );
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  test('reads CIFAR-100 with its fine labels, and class names', async () => {
    const bytes = makeCifarArchive(CIFAR100, { seed: 1, trainSamples: 300, testSamples: 50 });

    const { train, notes } = await loadCifar(
      CIFAR100,
      await placesWith({ 'cifar-100-binary.tar.gz': bytes }),
      offline,
    );

    assert.match(
      notes?.join() ?? '',
      /cifar-100-binary\.tar\.gz is not the official archive of cifar100$/,
    );
    assert.deepEqual(train.target, { kind: 'classification', classes: 100 });
    assert.equal(train.classNames?.[99], 'pattern 99');
    assert.ok(new Set(train.y).size > 60);
  });

  test('reads an unpacked folder, with the same digest', async () => {
    const members = readTar(gunzipSync(archive), 'archive');
    const files = members.map(({ name, content }) => [name.replace(/.*\//, ''), content] as const);

    const unpacked = await loadCifar(CIFAR10, await placesWith(Object.fromEntries(files)), offline);
    const packed = await loadCifar(
      CIFAR10,
      await placesWith({ 'cifar-10-binary.tar.gz': archive }),
      offline,
    );

    assert.match(unpacked.origin, /^folder /);
    assert.equal(unpacked.notes?.length, 1);
    assert.equal(unpacked.train.digest, packed.train.digest);
    assert.equal(unpacked.test.digest, packed.test.digest);
  });

  test('refuses an archive in the cache that is not the official one', async () => {
    const places = { cacheDir: root };
    await mkdir(join(root, 'cifar10'), { recursive: true });
    await writeFile(join(root, 'cifar10', 'cifar-10-binary.tar.gz'), archive);

    await assert.rejects(loadCifar(CIFAR10, places, offline), {
      code: 'DATA_INVALID',
      message:
        /expected 170052171 bytes with SHA-256 c4a38c50.*found \d+ bytes with SHA-256 .*Delete it/,
    });
  });

  test('refuses foreign members and paths that lead outside, before anything is read', async () => {
    const foreign = await refusal((files) =>
      files.set('cifar-10-batches-bin/run.sh', Buffer.from('rm -rf /')),
    );
    const outside = await refusal((files) =>
      files.set('cifar-10-batches-bin/../../x.bin', Buffer.from('x')),
    );
    const elsewhere = await refusal((files) =>
      files.set('/etc/data_batch_1.bin', Buffer.from('x')),
    );

    assert.match(
      foreign,
      parts(
        /DATA_INVALID reading .*expected only files of cifar-10-batches-bin\/.*/,
        /found file "cifar-10-batches-bin\/run.sh"/,
      ),
    );
    assert.match(outside, /found file "cifar-10-batches-bin\/\.\.\/\.\.\/x\.bin"/);
    assert.match(elsewhere, /found file "\/etc\/data_batch_1\.bin"/);
  });

  test('refuses missing and truncated files and records, and labels out of range', async () => {
    const part = 'cifar-10-batches-bin/data_batch_3.bin';

    assert.match(
      await refusal((files) => files.delete(part)),
      /expected cifar-10-batches-bin\/data_batch_3\.bin in it/,
    );
    assert.match(
      await refusal((files) => files.set(part, files.get(part)!.subarray(0, 5000))),
      /expected data_batch_3\.bin to hold whole records of 3073 bytes, found 5000 bytes/,
    );
    assert.match(
      await refusal((files) => (files.get(part)![3073] = 10)),
      /data_batch_3\.bin, record 1: expected a label from 0 to 9, found 10/,
    );
    assert.match(
      await refusalOf(archive.subarray(0, -100)),
      /unpacked: unexpected end of file\. Is it truncated\?/,
    );
  });

  test('says how to get the archive when it is nowhere', async () => {
    const message = await loadCifar(CIFAR10, { cacheDir: root + '/none' }, offline).then(
      () => assert.fail('loaded'),
      ({ message: text }: Error) => text,
    );

    for (const part of [
      'cifar-10-binary.tar.gz is nowhere to be had',
      'no network in tests',
      '--data-dir',
    ])
      assert.ok(message.includes(part), message);
  });
});

describe('makeCifarArchive', () => {
  test(
    'gives the recorded bytes, and files of the official sizes with the official numbers of ' +
      'images',
    () => {
      const content = gunzipSync(archive);

      assert.equal(
        sha256(content),
        'bc68845b10a7fa0971a634b586cde7250cb6e3d207548d6726949cd872257d1d',
      );
      const sizes = readTar(content, 'archive').map(({ name, content: { length } }) => [
        name,
        length,
      ]);
      assert.deepEqual(sizes.slice(1), [
        ['cifar-10-batches-bin/data_batch_1.bin', 20 * 3073],
        ['cifar-10-batches-bin/data_batch_2.bin', 21 * 3073],
        ['cifar-10-batches-bin/data_batch_3.bin', 20 * 3073],
        ['cifar-10-batches-bin/data_batch_4.bin', 21 * 3073],
        ['cifar-10-batches-bin/data_batch_5.bin', 21 * 3073],
        ['cifar-10-batches-bin/test_batch.bin', 20 * 3073],
      ]);
    },
  );
});
