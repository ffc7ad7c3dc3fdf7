import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, utimesSync } from 'node:fs';
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { Meeting } from './meeting.ts';

const PLACE = { address: { host: '10.0.0.1', port: 29_500 }, link: 'lockstep://...' };
const listener = { signal: new AbortController().signal, log: () => {} };

describe('Meeting', () => {
  let home = '';
  before(() => (home = mkdtempSync(join(tmpdir(), 'lockstep-meeting-'))));
  after(() => rmSync(home, { recursive: true }));
  const soon = (): number => systemClock.now() + 50;

  test('tells where rank 0 is, in files for their owner, and then how it has ended', async () => {
    const [zero, one] = [new Meeting(home, 'a'), new Meeting(home, 'a')];
    zero.announce(PLACE);
    const found = await one.find(soon(), listener);

    assert.deepEqual(found, { kind: 'place', place: { version: 1, ...PLACE } });
    assert.equal(statSync(zero.folder).mode & 0o777, 0o700);
    assert.equal(statSync(join(zero.folder, 'place.json')).mode & 0o777, 0o600);

    zero.end({ reason: 'the run is finished', isFailed: false });
    assert.equal((await one.find(soon(), listener))?.kind, 'over');
    assert.equal(existsSync(join(zero.folder, 'place.json')), false, 'the key is gone');
  });

  test('lets nobody have a rank that another process has', () => {
    const meeting = new Meeting(home, 'b');
    meeting.claim(1);
    meeting.claim(2);

    assert.throws(() => meeting.claim(1), /rank 1 is there twice in this group: process \d+ on /);
  });

  test('waits no longer than it may, or is to', async () => {
    const meeting = new Meeting(home, 'c');
    const signal = AbortSignal.abort();

    await assert.rejects(
      meeting.find(soon() - 100, listener),
      /no word of rank 0 .* LOCKSTEP_HOME/,
    );
    assert.equal(await meeting.find(soon(), { ...listener, signal }), undefined);
  });

  test('refuses what another version has written, and forgets what is a week old', async () => {
    const [old, other] = ['old', 'other'].map((name) => join(home, 'groups', name));
    for (const folder of [old, other]) mkdirSync(folder!, { recursive: true });
    utimesSync(old!, new Date(0), new Date(0));
    writeFileSync(join(other!, 'place.json'), JSON.stringify({ version: 2, ...PLACE }));
    const meeting = new Meeting(home, 'other');

    assert.equal(existsSync(old!), false);
    await assert.rejects(meeting.find(soon(), listener), /damaged, or of another version/);
  });
});
