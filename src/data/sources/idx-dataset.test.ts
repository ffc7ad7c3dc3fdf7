import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { ManualClock, systemClock } from '../../base/clock.ts';
import type { DataError } from '../../base/errors.ts';
import { AS_STORED } from '../dataset.ts';
import type { DataPlaces } from '../dataset.ts';
import type { WebAccess } from './download.ts';
import { loadIdxDataset } from './idx-dataset.ts';
import type { IdxDataset } from './idx-dataset.ts';
import type { IdxFile } from '../formats/idx-files.ts';

/** The bytes of an IDX file with made-up elements 0 .. 9. */
function idx(shape: number[], salt: number): Buffer {
  const count = shape.reduce((product, size) => product * size, 1);
  const header = Buffer.alloc(4 + 4 * shape.length);
  header.writeUInt32BE(0x800 + shape.length);
  shape.forEach((size, axis) => header.writeUInt32BE(size, 4 + 4 * axis));
  return Buffer.concat([
    header,
    Buffer.from(Array.from({ length: count }, (_, i) => (i * 7 + salt) % 10)),
  ]);
}

function describeFile(fileName: string, shape: number[], content: Buffer): IdxFile {
  const gzip = gzipSync(content);
  return {
    fileName,
    shape,
    sha256: sha256(content),
    gzipBytes: gzip.length,
    gzipSha256: sha256(gzip),
  };
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

const contents: Record<string, Buffer> = {
  'train-images': idx([30, 4, 4], 1),
  'train-labels': idx([30], 2),
  'test-images': idx([10, 4, 4], 3),
  'test-labels': idx([10], 4),
};
const tiny: IdxDataset = {
  name: 'tiny',
  classes: 10,
  normalisation: AS_STORED,
  innerFolders: ['MNIST/raw'],
  mirrors: [],
  files: {
    trainImages: describeFile('train-images', [30, 4, 4], contents['train-images']!),
    trainLabels: describeFile('train-labels', [30], contents['train-labels']!),
    testImages: describeFile('test-images', [10, 4, 4], contents['test-images']!),
    testLabels: describeFile('test-labels', [10], contents['test-labels']!),
  },
};

let root = '';
let folderCount = 0;
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'lockstep-data-'));
});
after(() => rm(root, { recursive: true, force: true }));

async function folderWith(files: Record<string, Buffer>, inside = ''): Promise<string> {
  const folder = join(root, `folder-${folderCount++}`);
  await mkdir(join(folder, inside), { recursive: true });
  for (const [name, content] of Object.entries(files))
    await writeFile(join(folder, inside, name), content);
  return folder;
}

async function emptyPlaces(): Promise<DataPlaces> {
  return { cacheDir: await folderWith({}) };
}

const network: WebAccess = { fetch: globalThis.fetch, clock: systemClock };

/** The error of loading when `name` in the user's folder has `content`. */
async function errorWith(name: string, content: Buffer): Promise<DataError> {
  const files = { ...contents };
  if (name.endsWith('.gz')) delete files[name.slice(0, -3)];
  const dataDir = await folderWith({ ...files, [name]: content });
  return loadIdxDataset(tiny, { ...(await emptyPlaces()), dataDir }, network).then(
    () => assert.fail('loaded'),
    (error: DataError) => error,
  );
}

function changed(content: Buffer, at: number, value: number): Buffer {
  const copy = Buffer.from(content);
  copy[at] = value;
  return copy;
}

describe('loadIdxDataset', () => {
  test('reads plain files of the folder the user names into shared memory', async () => {
    const dataDir = await folderWith(contents);

    const splits = await loadIdxDataset(tiny, { ...(await emptyPlaces()), dataDir }, network);

    assert.equal(splits.origin, `folder ${dataDir}`);
    assert.deepEqual([splits.train.sampleCount, splits.test.sampleCount], [30, 10]);
    assert.deepEqual(splits.train.features, [1, 4, 4]);
    assert.ok(
      splits.train.x.buffer instanceof SharedArrayBuffer &&
        splits.train.y.buffer instanceof SharedArrayBuffer,
    );
    assert.deepEqual([...splits.train.x], [...contents['train-images']!.subarray(16)]);
    assert.deepEqual([...splits.test.y], [...contents['test-labels']!.subarray(8)]);
  });

  test(
    'gives compressed files the same digest as plain ones, also in the MNIST/raw folder of ' +
      'torchvision',
    async () => {
      const packed = Object.fromEntries(
        Object.entries(contents).map(([name, bytes]) => [`${name}.gz`, gzipSync(bytes)]),
      );
      const places = await emptyPlaces();
      const plain = await loadIdxDataset(
        tiny,
        { ...places, dataDir: await folderWith(contents) },
        network,
      );

      const unpacked = await loadIdxDataset(
        tiny,
        { ...places, dataDir: await folderWith(packed, 'MNIST/raw') },
        network,
      );

      assert.equal(unpacked.train.digest, plain.train.digest);
      assert.equal(unpacked.test.digest, plain.test.digest);
    },
  );

  test('prefers the cache folder to what comes with Lockstep', async () => {
    const carried = await folderWith(contents);
    const cacheDir = await folderWith({ 'test-labels': contents['test-labels']! }, 'tiny');

    const splits = await loadIdxDataset({ ...tiny, carried }, { cacheDir }, network);

    assert.equal(splits.origin, `part of Lockstep, cache folder ${join(cacheDir, 'tiny')}`);
  });

  test('finds files of a system package, and names the command that installs it', async () => {
    const packed = Object.fromEntries(
      Object.entries(contents).map(([name, bytes]) => [
        `${name}.gz`,
        gzipSync(bytes, { level: 1 }),
      ]),
    );
    const system = { folder: await folderWith(packed), install: 'apt-get install tiny' };

    const splits = await loadIdxDataset({ ...tiny, system }, await emptyPlaces(), network);

    assert.equal(splits.origin, system.folder);
    const nowhere = loadIdxDataset(
      { ...tiny, system: { ...system, folder: '/none' } },
      await emptyPlaces(),
      network,
    );
    await assert.rejects(
      nowhere,
      /\/none: not there[^]*run `apt-get install tiny`, or copy the four files/,
    );
  });

  test('refuses a file with one changed byte, naming the file and both hashes', async () => {
    const tampered = changed(contents['train-images']!, 100, 77);

    const error = await errorWith('train-images', tampered);

    assert.equal(error.code, 'DATA_INVALID');
    assert.match(error.message, /folder-\d+\/train-images: /);
    assert.ok(error.message.includes(tiny.files.trainImages.sha256));
    assert.ok(error.message.includes(sha256(tampered)));
    assert.match(error.message, /the content was changed/);
  });

  test('refuses a truncated file, naming both sizes', async () => {
    const error = await errorWith('train-images', contents['train-images']!.subarray(0, 400));

    assert.match(error.message, /expected 496 bytes .* found 400 bytes .* the file is truncated/);
  });

  test('refuses an empty file and one that is too long', async () => {
    assert.match((await errorWith('test-labels', Buffer.alloc(0))).message, /found 0 bytes/);
    assert.match(
      (await errorWith('test-labels', Buffer.alloc(5000))).message,
      /expected 18 bytes .* found 5000 bytes/,
    );
  });

  test('refuses a wrong magic number, naming it', async () => {
    const error = await errorWith('train-images', changed(contents['train-images']!, 3, 1));

    assert.match(
      error.message,
      /expected IDX magic 2051 \(unsigned bytes, 3 dimensions\), found 2049/,
    );
  });

  test('refuses wrong dimensions, naming them', async () => {
    const error = await errorWith('train-images', changed(contents['train-images']!, 15, 5));

    assert.match(error.message, /expected dimensions 30 x 4 x 4, found 30 x 4 x 5/);
  });

  test('refuses truncated and damaged gzip, and gzip that unpacks to too much', async () => {
    const gzip = gzipSync(contents['train-images']!);

    assert.match(
      (await errorWith('train-images.gz', gzip.subarray(0, -20))).message,
      /gzip data is truncated or damaged/,
    );
    assert.match(
      (await errorWith('train-images.gz', Buffer.from('not gzip'))).message,
      /truncated or damaged/,
    );
    assert.match(
      (await errorWith('train-images.gz', gzipSync(Buffer.alloc(1e6)))).message,
      /more when unpacked/,
    );
    assert.match(
      (await errorWith('train-images.gz', Buffer.alloc(5000))).message,
      /expected 496 bytes .* found 5000 bytes still packed/,
    );
  });

  test('names every place it looked in, and the remedy, when a file is nowhere', async () => {
    const places = { ...(await emptyPlaces()), dataDir: '/no/such/folder' };
    const offline: WebAccess = {
      ...network,
      fetch: () => Promise.reject(new TypeError('fetch failed', { cause: new Error('ENETDOWN') })),
    };

    const error = await loadIdxDataset(
      { ...tiny, carried: '/no/such', mirrors: ['http://a.test/'] },
      places,
      offline,
    ).then(
      () => assert.fail('loaded'),
      (thrown: DataError) => thrown,
    );

    assert.equal(error.code, 'DATA_INVALID');
    for (const part of [
      '--data-dir /no/such/folder: not there',
      `cache folder ${join(places.cacheDir, 'tiny')}: not there`,
      '/no/such: not there, though it comes with Lockstep',
      'http://a.test/train-images.gz: fetch failed (ENETDOWN)',
      'copy the four files (plain or .gz) into a folder',
      '--data-dir',
    ])
      assert.ok(error.message.includes(part), `${error.message}\nlacks: ${part}`);
  });
});

type Handler = (name: string, request: IncomingMessage, response: ServerResponse) => void;

const serve: Handler = (name, request, response) => {
  const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
  const bytes = gzipOf(name);
  if (from > 0)
    response.writeHead(206, {
      'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}`,
    });
  response.end(bytes.subarray(from));
};

const serveChanged: Handler = (name, _, response) => response.end(changed(gzipOf(name), 30, 0));

function gzipOf(name: string): Buffer {
  return gzipSync(contents[name.replace('.gz', '')]!);
}

const failure = async (set: IdxDataset, places: DataPlaces, using = network): Promise<string> =>
  loadIdxDataset(set, places, using).then(
    () => assert.fail('loaded'),
    (error: DataError) => error.message,
  );

async function withServer(
  handler: Handler,
  action: (mirror: string, requests: string[]) => Promise<void>,
): Promise<void> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    const name = (request.url ?? '').slice(1);
    requests.push(`${name} ${request.headers.range ?? 'whole'}`);
    handler(name, request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await action(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`, requests);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

describe('downloadFile', () => {
  test('fetches what is missing into the cache folder, and only once', async () => {
    await withServer(serve, async (mirror, requests) => {
      const set = { ...tiny, mirrors: [mirror] };
      const places = await emptyPlaces();

      const first = await loadIdxDataset(set, places, network);
      const second = await loadIdxDataset(set, places, network);

      assert.match(first.origin, /^downloaded to /);
      assert.match(second.origin, /^cache folder /);
      assert.equal(second.train.digest, first.train.digest);
      assert.equal(requests.length, 4);
      assert.deepEqual(
        (await readdir(join(places.cacheDir, 'tiny'))).filter((name) => !name.endsWith('.gz')),
        [],
      );
    });
  });

  test('lets several loaders fetch the same files at once', async () => {
    await withServer(serve, async (mirror) => {
      const set = { ...tiny, mirrors: [mirror] };
      const places = await emptyPlaces();

      const loaded = await Promise.all(
        Array.from({ length: 6 }, () => loadIdxDataset(set, places, network)),
      );

      assert.equal(new Set(loaded.map(({ train }) => train.digest)).size, 1);
    });
  });

  test('continues where a cut connection ended', async () => {
    let cuts = 0;
    const cutOnce: Handler = (name, request, response) => {
      if (name !== 'train-images.gz' || cuts++ > 0) return serve(name, request, response);
      const bytes = gzipOf(name);
      response.writeHead(200, { 'content-length': bytes.length });
      response.write(bytes.subarray(0, 20), () => setTimeout(() => response.destroy(), 20));
    };
    await withServer(cutOnce, async (mirror, requests) => {
      await loadIdxDataset({ ...tiny, mirrors: [mirror] }, await emptyPlaces(), network);

      assert.deepEqual(requests.slice(0, 2), [
        'train-images.gz whole',
        'train-images.gz bytes=20-',
      ]);
    });
  });

  test('starts over when the server does not know ranges', async () => {
    await withServer(
      (name, _, response) => response.end(gzipOf(name)),
      async (mirror, requests) => {
        const places = await emptyPlaces();
        await mkdir(join(places.cacheDir, 'tiny'));
        await writeFile(join(places.cacheDir, 'tiny', 'train-images.gz.part'), 'leftover');

        await loadIdxDataset({ ...tiny, mirrors: [mirror] }, places, network);

        assert.equal(requests[0], 'train-images.gz bytes=8-');
      },
    );
  });

  test('fetches the whole file again when what it continued was bad', async () => {
    await withServer(serve, async (mirror, requests) => {
      const places = await emptyPlaces();
      await mkdir(join(places.cacheDir, 'tiny'));
      await writeFile(join(places.cacheDir, 'tiny', 'train-images.gz.part'), 'leftover');

      await loadIdxDataset({ ...tiny, mirrors: [mirror] }, places, network);

      assert.deepEqual(requests.slice(0, 2), ['train-images.gz bytes=8-', 'train-images.gz whole']);
    });
  });

  test('refuses a download of the wrong hash, and leaves nothing behind', async () => {
    await withServer(serveChanged, async (mirror) => {
      const places = await emptyPlaces();

      const message = await failure({ ...tiny, mirrors: [mirror] }, places);

      assert.match(
        message,
        /train-images\.gz: expected \d+ bytes with SHA-256 [0-9a-f]{64}, got \d+ bytes with/,
      );
      assert.deepEqual(await readdir(join(places.cacheDir, 'tiny')), []);
    });
  });

  test('goes on to the next mirror after HTTP errors, and names them when all fail', async () => {
    await withServer(
      (_, __, response) => response.writeHead(404).end(),
      async (bad) => {
        await withServer(serve, async (good) => {
          await loadIdxDataset({ ...tiny, mirrors: [bad, good] }, await emptyPlaces(), network);
        });
        const message = await failure({ ...tiny, mirrors: [bad] }, await emptyPlaces());
        assert.match(message, /HTTP status 404 Not Found/);
      },
    );
  });

  test('stops a server that sends more than the file', async () => {
    await withServer(
      (_, __, response) => response.end(Buffer.alloc(100_000)),
      async (mirror) => {
        const message = await failure({ ...tiny, mirrors: [mirror] }, await emptyPlaces());
        assert.match(message, /the server sends more/);
      },
    );
  });

  test('gives up a server that goes silent, and one that is too slow', async () => {
    for (const [limits, expected] of [
      [{ stallMs: 1000 }, /no data for 1000 ms/],
      [{ deadlineMs: 2000 }, /not finished within 2000 ms/],
    ] as const) {
      const clock = new ManualClock();
      const silent: Handler = (_, __, response) => {
        response.writeHead(200);
        response.write('x', () => setTimeout(() => clock.advance(3000), 20));
      };
      await withServer(silent, async (mirror) => {
        const set = { ...tiny, mirrors: [mirror] };
        const message = await failure(set, await emptyPlaces(), { ...network, clock, ...limits });
        assert.match(message, expected);
      });
    }
  });

  test('stops when the caller says so', async () => {
    const controller = new AbortController();
    await withServer(
      (_, __, response) => {
        response.write('x');
        controller.abort();
      },
      async (mirror) => {
        const set = { ...tiny, mirrors: [mirror] };
        const message = await failure(set, await emptyPlaces(), {
          ...network,
          signal: controller.signal,
        });
        assert.match(message, /aborted/);
      },
    );
  });
});
