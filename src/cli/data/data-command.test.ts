import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { DATASET_NAMES } from '../../data/sources/datasets.ts';
import type { DatasetDescription } from '../../data/describe-dataset.ts';

const MAIN = join(import.meta.dirname, '../main.ts');

function data(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, ['--import', 'tsx', MAIN, 'data', ...args], {
    encoding: 'utf8',
    timeout: 60_000,
  });
}

describe('lockstep data', () => {
  test('lists every data set that has a name', () => {
    const { stdout, status } = data('--list');

    assert.equal(status, 0);
    assert.deepEqual(stdout.match(/^\w+/gm), [...DATASET_NAMES]);
  });

  test('lists and removes what came from coordinators', (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'lockstep-data-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const kept = join(folder, 'lockstep', 'received');
    const digest = 'a1'.repeat(32);
    mkdirSync(kept, { recursive: true });
    for (const name of [`${digest}.samples`, 'other.part'])
      writeFileSync(join(kept, name), new Uint8Array(47_000));
    const received = (...args: string[]): string =>
      spawnSync(process.execPath, ['--import', 'tsx', MAIN, 'data', 'received', ...args], {
        encoding: 'utf8',
        timeout: 60_000,
        env: { ...process.env, XDG_CACHE_HOME: folder },
      }).stdout;

    assert.match(received(), new RegExp(`^${digest}   47 kB  used \\d{4}.*Z\n47 kB in ${kept}\n$`));
    assert.equal(received('--clear'), '47 kB removed\n');
    assert.equal(existsSync(kept), false);
  });

  test('writes an archive in the layout of CIFAR, and reads it', (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'lockstep-data-'));
    t.after(() => rmSync(folder, { recursive: true }));

    const made = data('make-cifar', folder, '--samples', '60', '--classes', '100', '--seed', '3');
    const read = data('cifar100', '--data-dir', folder);

    assert.equal(made.stdout, `${join(folder, 'cifar-100-binary.tar.gz')}\n`);
    const { splits, notes, classNames } = JSON.parse(read.stdout) as DatasetDescription;
    assert.deepEqual(
      splits.map(({ sampleCount }) => sampleCount),
      [60, 15],
    );
    assert.equal(classNames?.length, 100);
    assert.match(notes?.join() ?? '', /is not the official archive/);
    assert.match(
      data('make-cifar', folder, '--classes', '7').stderr,
      /--classes: expected 10 or 100, got 7/,
    );
  });

  test(
    "describes the user's own table with the flags of `lockstep train`, and refuses a folder " +
      'that is not there',
    (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'lockstep-data-'));
      t.after(() => rmSync(folder, { recursive: true }));
      const path = join(folder, 'a.csv');
      writeFileSync(path, 'a,b\n1,x\noops,y\n3,y\n4,x\n');

      const stopped = data(path);
      const skipped = data(path, '--on-bad-row', 'skip');
      const nowhere = data('digits', '--data-dir', join(folder, 'none'));

      assert.equal(stopped.status, 2);
      assert.match(
        stopped.stderr,
        /1 of 4 rows cannot be used: line 3: column 1: expected a number, found "oops"/,
      );
      assert.deepEqual((JSON.parse(skipped.stdout) as DatasetDescription).notes?.length, 1);
      assert.equal(nowhere.status, 2);
      assert.match(nowhere.stderr, /--data-dir: expected a folder with data files, found none at/);
    },
  );
});
