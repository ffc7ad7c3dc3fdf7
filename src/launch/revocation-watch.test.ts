import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../base/clock.ts';
import { RevocationWatch } from './revocation-watch.ts';

/** A watch over a run with these workers, and what it has read, ended and said. */
function world(...inside: string[]) {
  const clock = new ManualClock();
  const revoked = new Set<string>();
  const read: string[] = [];
  const out: string[] = [];
  const notes: string[] = [];
  const disk = { version: '1', trouble: '' };
  const store = {
    version: () => disk.version,
    revocationOf: (identity: string) => {
      read.push(identity);
      if (identity === disk.trouble) throw new Error('the file is damaged');
      return revoked.has(identity) ? 'revoked' : undefined;
    },
  };
  const run = {
    identities: () => [...inside],
    expel: (identity: string, reason: string) => {
      inside.splice(inside.indexOf(identity), 1);
      out.push(`${identity}: ${reason}`);
    },
  };
  const watch = new RevocationWatch(clock, store, (note) => notes.push(note));
  watch.begin(run);
  return { clock, revoked, read, out, notes, disk, inside, watch };
}

describe('RevocationWatch', () => {
  test('puts out whose key was revoked, within seconds, and nobody else', () => {
    const { clock, revoked, out, disk } = world('a', 'b', 'c');
    clock.advance(60_000);
    assert.deepEqual(out, []);

    for (const one of ['a', 'c']) revoked.add(one);
    disk.version = '2';
    clock.advance(3_000);

    assert.deepEqual(out, ['a: revoked', 'c: revoked']);
  });

  test('reads only after something has changed, and then twice, or of whoever is new', () => {
    const { clock, read, disk, inside } = world('a', 'b');
    clock.advance(60_000);
    assert.deepEqual(read.splice(0), ['a', 'b', 'a', 'b']);

    inside.push('c');
    clock.advance(60_000);
    assert.deepEqual(read.splice(0), ['c']);

    disk.version = '2';
    clock.advance(60_000);
    assert.deepEqual(read, ['a', 'b', 'c', 'a', 'b', 'c']);
  });

  test('looks at nothing while nobody is inside, and not after the end', () => {
    const { clock, read, inside, watch } = world();
    clock.advance(60_000);
    assert.deepEqual(read, []);

    inside.push('a');
    watch.end();
    clock.advance(60_000);
    assert.deepEqual([read, clock.pendingCount()], [[], 0]);
  });

  test('keeps whose file cannot be read, says so once, and tries again', () => {
    const { clock, revoked, out, notes, disk } = world('a', 'b');
    disk.trouble = 'a';
    revoked.add('a').add('b');
    clock.advance(60_000);
    assert.deepEqual([out, notes], [['b: revoked'], ['the file is damaged']]);

    disk.trouble = '';
    clock.advance(3_000);

    assert.deepEqual(out, ['b: revoked', 'a: revoked']);
  });
});
