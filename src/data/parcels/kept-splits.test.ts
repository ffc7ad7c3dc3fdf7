import assert from 'node:assert/strict';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { pictures } from '../../../test/made-splits.ts';
import type { Dataset } from '../dataset.ts';
import { KeptSplits } from './kept-splits.ts';
import { offerOf, type SplitOffer } from './offer.ts';

const offered = (split: Dataset): SplitOffer => offerOf({ train: split, evaluate: split }).train;
const [first, second, third] = [1, 2, 3].map((seed) => pictures(10, 6, seed)) as [
  Dataset,
  Dataset,
  Dataset,
];
/** Of each of them. */
const BYTES = 10 * (6 + 4);

/** A cache folder of the test. */
function cacheFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-kept-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

describe('KeptSplits', () => {
  test('gives back what was kept, to another process too', async (t) => {
    const cache = cacheFolder(t);
    const large = pictures(1_500, 1_000);
    await new KeptSplits(cache).keep(large);

    const again = new KeptSplits(cache);

    assert.deepEqual(await again.find(offered(large), 'pictures'), large);
    assert.equal(await again.find(offered(first), 'pictures'), undefined);
    assert.deepEqual(readdirSync(again.folder), [`${large.digest}.samples`]);
  });

  test('removes what is damaged, and what is shorter or longer', async (t) => {
    const kept = new KeptSplits(cacheFolder(t));
    const path = join(kept.folder, `${first.digest}.samples`);
    const damages: readonly ((content: Buffer) => Buffer)[] = [
      (content) => content.fill(1, 5, 6),
      (content) => content.subarray(1),
      (content) => Buffer.concat([content, Buffer.alloc(1)]),
    ];
    for (const damage of damages) {
      await kept.keep(first);
      writeFileSync(path, damage(readFileSync(path)));

      assert.equal(await kept.find(offered(first), 'pictures'), undefined);
      assert.equal(existsSync(path), false);
    }
  });

  test('has room for so much: what was not used for longest goes', async (t) => {
    const kept = new KeptSplits(cacheFolder(t), 2 * BYTES + 1);
    const age = (split: Dataset, seconds: number): void => {
      const then = Date.now() / 1000 - seconds;
      utimesSync(join(kept.folder, `${split.digest}.samples`), then, then);
    };
    await kept.keep(first);
    await kept.keep(second);
    age(first, 200);
    age(second, 100);
    await kept.find(offered(first), 'pictures');

    await kept.keep(third);

    // A file system's clock may be some milliseconds behind: which of both is newer is not told.
    const digests = (await kept.list()).map(({ digest }) => digest);
    assert.deepEqual(new Set(digests), new Set([third.digest, first.digest]));
    await new KeptSplits(join(kept.folder, 'small'), BYTES - 1).keep(first);
    assert.equal(existsSync(join(kept.folder, 'small')), false);
  });

  test('leaves nothing half-written behind', async (t) => {
    const cache = cacheFolder(t);
    const kept = new KeptSplits(cache);
    await kept.keep(first);
    const leftover = join(kept.folder, `${second.digest}.x.part`);
    const fresh = join(kept.folder, `${third.digest}.y.part`);
    for (const path of [leftover, fresh]) writeFileSync(path, 'half');
    utimesSync(leftover, 1, 1);

    await kept.keep(second);

    assert.equal(existsSync(leftover), false);
    assert.ok(existsSync(fresh), 'another process may be writing it');
    writeFileSync(join(cache, 'file'), '');
    await assert.rejects(new KeptSplits(join(cache, 'file')).keep(first), { code: 'ENOTDIR' });
  });

  test('lists what there is, and clears it', async (t) => {
    const kept = new KeptSplits(cacheFolder(t));
    assert.deepEqual(await kept.list(), []);
    await kept.keep(first);
    await kept.keep(second);

    const listed = await kept.list();
    assert.deepEqual(
      listed.map(({ bytes }) => bytes),
      [BYTES, BYTES],
    );
    assert.equal(await kept.clear(), 2 * BYTES);
    assert.deepEqual(await kept.list(), []);
    assert.equal(await kept.clear(), 0);
  });
});
