import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { PeerLostError } from '../base/errors.ts';
import { parseTrainConfig } from '../config/parse-train-config.ts';
import { DataStock } from '../data/parcels/stock.ts';
import type { DataSupply } from '../runtime/engine.ts';
import { datasetSpecOf, jobDatasetOf, loadRunData, type RunData } from './data-source.ts';
import { type CameData, type JobData, type WantedData, WorkerData } from './worker-data.ts';

const ROWS = Array.from({ length: 40 }, (_, i) => `${i},${i * i},${i % 3}`);

/** A coordinator's table with a job that names it, and a machine that lacks it. */
async function createWorld(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-worker-data-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 't.csv');
  writeFileSync(path, ROWS.join('\n'));
  const { config } = parseTrainConfig([], { dataset: path });
  const theirs = await loadRunData(datasetSpecOf(config), { cacheDir: folder });
  const asked: string[] = [];
  let isCut = false;
  const stock = new DataStock(theirs);
  const supply: DataSupply = {
    offer: JSON.parse(JSON.stringify(stock.offer)) as DataSupply['offer'],
    ask: (request, answer, failed) => {
      asked.push(`${request.part} of ${request.byteLength}`);
      if (isCut && asked.length > 2) failed(new PeerLostError('cut'));
      else assert.ok(stock.read(request, answer));
    },
  };
  const wanted: WantedData = { spec: jobDatasetOf(config), digest: theirs.digest, supply };
  const logged: string[] = [];
  const cacheDir = join(folder, 'cache');
  const dataDir = join(folder, 'own');
  mkdirSync(dataDir);
  const worker = (load?: () => Promise<RunData>): WorkerData =>
    new WorkerData({
      places: { dataDir, cacheDir },
      log: (line) => void logged.push(line),
      ...(load && { load }),
    });
  const own = (content: string): void => writeFileSync(join(dataDir, 't.csv'), content);
  const cut = (on: boolean): void => void (isCut = on);
  return { theirs, wanted, asked, logged, cacheDir, worker, own, cut };
}

/** What a worker finds, once all of it is there. */
async function whole(
  worker: WorkerData,
  wanted: WantedData,
): Promise<Partial<CameData> & { readonly data: JobData }> {
  const { data, coming } = await worker.find(wanted);
  return { data, ...(await coming) };
}

describe('WorkerData', () => {
  test('takes what it lacks from the coordinator, keeps it, and asks for it once', async (t) => {
    const { theirs, wanted, asked, logged, cacheDir, worker } = await createWorld(t);

    const { data, received, isKept } = await whole(worker(), wanted);
    await isKept;

    assert.equal(data.digest, theirs.digest);
    for (const key of ['x', 'y', 'normalisation', 'target', 'features'] as const)
      assert.deepEqual(data.train[key], theirs.train[key], key);
    assert.equal(received?.bytes, 40 * 3 * 4);
    assert.equal(asked.length, 4);
    assert.equal(readdirSync(join(cacheDir, 'received')).length, 2);

    const again = await whole(worker(), wanted);
    assert.equal(again.data.digest, theirs.digest);
    assert.deepEqual([asked.length, again.received], [4, undefined]);
    assert.equal(logged.length, 1);
    assert.match(logged[0]!, /^got the data \.\/t\.csv from the coordinator: 480 bytes, \d+ on /);
  });

  test('asks for nothing that it has under the name of the job', async (t) => {
    const { theirs, wanted, asked, cacheDir, worker, own } = await createWorld(t);
    own(ROWS.join('\n'));

    const { data, received } = await whole(worker(), wanted);

    assert.equal(data.digest, theirs.digest);
    assert.deepEqual([asked, received], [[], undefined]);
    assert.throws(() => readdirSync(cacheDir), { code: 'ENOENT' });
  });

  test("says so when its own are others, or cannot be read, and takes the coordinator's", async (t) => {
    const { theirs, wanted, asked, logged, worker, own } = await createWorld(t);
    own(ROWS.slice(1).join('\n'));

    const { data, isKept } = await whole(worker(), wanted);
    await isKept;

    assert.equal(data.digest, theirs.digest);
    assert.equal(asked.length, 4);
    assert.equal(
      logged[0],
      "the data ./t.csv of this machine are not those of the run; the coordinator's are taken",
    );
    own('a,b\nno numbers');
    assert.equal((await whole(worker(), wanted)).data.digest, theirs.digest);
    assert.match(logged.at(-1)!, /^reading \S+t\.csv: .*; the coordinator's are taken$/s);
  });

  test('goes on with what it has when the coordinator is lost and found', async (t) => {
    const { theirs, wanted, asked, worker, cut } = await createWorld(t);
    const data = worker();
    cut(true);
    await assert.rejects(whole(data, wanted), { code: 'PEER_LOST' });
    const before = asked.length;
    cut(false);

    const found = await whole(data, wanted);
    await found.isKept;

    assert.equal(found.data.digest, theirs.digest);
    assert.equal(before, 4);
    assert.equal(asked.length - before, 2, 'the first split is there');
    assert.equal((await whole(data, wanted)).received, undefined, 'all are there');
  });

  test('trains without a cache where none can be written, and says why', async (t) => {
    const { theirs, wanted, logged, cacheDir, worker } = await createWorld(t);
    writeFileSync(cacheDir, 'no folder');

    const { data, isKept } = await whole(worker(), wanted);
    await isKept;

    assert.equal(data.digest, theirs.digest);
    assert.match(logged.at(-1)!, /^the data are not kept for another run, in \S+received: ENOTDIR/);
  });

  test('needs its own where the coordinator gives none', async (t) => {
    const { wanted, worker } = await createWorld(t);

    await assert.rejects(worker().find({ ...wanted, supply: undefined }), {
      code: 'DATA_INVALID',
      message: /^data of the run: expected "t\.csv".* found none in --data-dir /,
    });
  });

  test("takes none of the coordinator's in place of data that it was given", async (t) => {
    const { theirs, wanted, asked, worker } = await createWorld(t);
    const other = { ...theirs, digest: 'other' };

    const { data } = await worker(async () => other).find(wanted);

    assert.deepEqual([data.digest, asked], ['other', []]);
  });
});
