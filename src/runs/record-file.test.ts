import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { MAX_WAITING_BYTES, RecordFile } from './record-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'lockstep-record-file-'));
after(() => rmSync(folder, { recursive: true }));

describe('RecordFile', () => {
  test('writes at once what is urgent, and the rest within half a second', () => {
    const path = join(folder, 'records');
    const file = new RecordFile(path, 'a');
    file.add('one\n', 100);
    file.add('two\n', 200, 'now');
    assert.equal(readFileSync(path, 'utf8'), 'one\ntwo\n');
    file.add('three\n', 300);
    assert.equal(readFileSync(path, 'utf8'), 'one\ntwo\n');
    file.add('four\n', 701);

    assert.equal(readFileSync(path, 'utf8'), 'one\ntwo\nthree\nfour\n');
    file.close(702);
  });

  test('keeps what cannot be written, and writes it when it can be', () => {
    const place = join(folder, 'later');
    const file = new RecordFile(join(place, 'records'), 'a');
    file.add('one\n', 0, 'now');
    file.add('two\n', 1, 'now');
    assert.equal(file.failure?.code, 'FILE_FAILED');
    assert.equal(file.missingCount, 2);
    mkdirSync(place);
    file.add('three\n', 600);

    assert.equal(readFileSync(join(place, 'records'), 'utf8'), 'one\ntwo\nthree\n');
    assert.equal(file.failure, undefined);
    assert.equal(file.missingCount, 0);
    file.close(601);
  });

  test('keeps no more than its bound, and counts what is lost', () => {
    const place = join(folder, 'much-later');
    const file = new RecordFile(join(place, 'records'), 'a');
    const record = `${'x'.repeat(999)}\n`;
    const kept = Math.floor(MAX_WAITING_BYTES / record.length);
    for (let index = 0; index < kept + 50; index++) file.add(record, 0);
    assert.equal(file.missingCount, kept + 50);
    mkdirSync(place);
    file.flush(1);

    assert.equal(file.missingCount, 50);
    const records = readFileSync(join(place, 'records'), 'utf8').trimEnd().split('\n');
    assert.equal(records.length, kept);
    file.close(2);
  });

  test('does not try at every record while nothing can be written', () => {
    const place = join(folder, 'not-yet');
    const file = new RecordFile(join(place, 'records'), 'a');
    file.add('one\n', 1000, 'now');
    mkdirSync(place);
    file.add('two\n', 1400, 'now');

    assert.equal(file.missingCount, 2);
    file.close(1401);
    assert.equal(file.missingCount, 0);
  });
});
