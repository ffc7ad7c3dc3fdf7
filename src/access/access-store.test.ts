import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { temporaryFolder } from '../../test/cluster/processes.ts';
import { AccessError, ConfigError } from '../base/errors.ts';
import { AccessStore } from './access-store.ts';
import { joinKeyOf } from './token.ts';

const HOUR_MS = 3_600_000;
const WISHES = { role: 'worker', lifetimeMs: HOUR_MS, maxUses: 2, note: '' } as const;

function world(t: TestContext) {
  const folder = temporaryFolder(t);
  const time = { ms: 1e12 };
  const store = new AccessStore(folder, () => time.ms);
  const token = store.create(WISHES);
  const { identity, key } = joinKeyOf(token);
  return { folder, time, store, token, identity, key };
}

describe('AccessStore', () => {
  test('knows the key of a token that it has made, and nobody else', (t) => {
    const { store, identity, key } = world(t);

    assert.deepEqual(Buffer.from(store.keyOf(identity) ?? ''), Buffer.from(key));
    assert.equal(store.problemWith(identity, 'worker'), undefined);
    for (const other of ['', 'join:', 'join:aaaaaaaaaa', `${identity}.0`, 'join:../../etc'])
      assert.equal(store.keyOf(other), undefined, other);
  });

  test('writes no secret, and what only its owner may read', (t) => {
    const { folder, token } = world(t);
    const [name] = readdirSync(join(folder, 'tokens'));
    const path = join(folder, 'tokens', name ?? '');

    assert.ok(!readFileSync(path, 'utf8').includes(token.secret));
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(statSync(join(folder, 'tokens')).mode & 0o777, 0o700);
  });

  test('trades a token as often as it may be, each time for another key', (t) => {
    const { store, identity } = world(t);
    const [first, second] = ['a', 'b'].map((holder) => store.issue(identity, holder));

    assert.notEqual(first?.key, second?.key);
    for (const one of [first, second]) {
      const own = `cred:${one?.id}`;
      assert.equal(Buffer.from(store.keyOf(own) ?? '').toString('hex'), one?.key);
      assert.equal(store.problemWith(own, 'worker'), undefined);
    }
    assert.throws(() => store.issue(identity, 'c'), AccessError);
    const [listed] = store.list();
    assert.deepEqual(
      listed?.credentials.map(({ holder }) => holder),
      ['a', 'b'],
    );
  });

  test('says of what is over since when it is, and what to do', (t) => {
    const { store, time, identity, token } = world(t);
    const { id } = store.issue(identity, 'a');

    time.ms += HOUR_MS + 180_000;
    assert.match(store.problemWith(identity, 'worker') ?? '', /expired 3 min ago: make a new one/);
    assert.equal(store.problemWith(`cred:${id}`, 'worker'), undefined, 'it outlives its token');
    store.revoke(id);
    assert.match(store.problemWith(`cred:${id}`, 'worker') ?? '', /credential was revoked 1 s ago/);
    store.revoke(token.id);
    assert.match(store.problemWith(identity, 'worker') ?? '', /token was revoked/);
    assert.match(
      store.problemWith(joinKeyOf(store.create(WISHES)).identity, 'admin') ?? '',
      /needs admin/,
    );
    assert.throws(() => store.revoke('aaaaaaaaaa'), ConfigError);
    assert.throws(() => store.revoke('../tokens'), ConfigError);
  });

  test('a revoked token ends what came of it', (t) => {
    const { store, identity, token } = world(t);
    const { id } = store.issue(identity, 'a');

    store.revoke(token.id);

    assert.match(store.problemWith(`cred:${id}`, 'worker') ?? '', /revoked/);
  });

  test('tells what was revoked from what is merely over, and when to look', (t) => {
    const { store, time, folder, identity, token } = world(t);
    const [first, second] = ['a', 'b'].map((holder) => `cred:${store.issue(identity, holder).id}`);
    for (const name of ['tokens', 'credentials']) utimesSync(join(folder, name), 1, 1);
    const before = store.version();
    assert.equal(store.version(), before);
    time.ms += 365 * 24 * HOUR_MS;
    for (const one of [identity, first!, second!]) assert.equal(store.revocationOf(one), undefined);

    store.revoke(first!.slice('cred:'.length));
    assert.equal(store.revocationOf(first!), 'the credential was revoked');
    assert.equal(store.revocationOf(second!), undefined);
    store.revoke(token.id);
    assert.equal(store.revocationOf(second!), 'the token of its link was revoked');
    assert.notEqual(store.version(), before);
  });

  test('forgets what has been over for a month when it makes another', (t) => {
    const { store, time, folder, identity } = world(t);
    store.issue(identity, 'a');
    time.ms += 61 * 24 * HOUR_MS;

    const { id } = store.create(WISHES);

    assert.deepEqual(readdirSync(join(folder, 'tokens')), [`${id}.json`]);
    assert.deepEqual(readdirSync(join(folder, 'credentials')), []);
  });

  test('names a file that is damaged, and what to do with it', (t) => {
    const { store, folder, token, identity } = world(t);
    writeFileSync(join(folder, 'tokens', `${token.id}.json`), '{"id":');

    assert.throws(() => store.keyOf(identity), /damaged, or of another version.*Delete it/);
  });
});
