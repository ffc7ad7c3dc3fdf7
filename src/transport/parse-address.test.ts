import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseAddress } from './parse-address.ts';

describe('parseAddress', () => {
  test('reads names, addresses of both kinds, and ports', () => {
    assert.deepEqual(parseAddress('mini-1.local:29500'), { host: 'mini-1.local', port: 29500 });
    assert.deepEqual(parseAddress(' büro_pc:1 '), { host: 'büro_pc', port: 1 });
    assert.deepEqual(parseAddress('10.0.0.5:65535'), { host: '10.0.0.5', port: 65_535 });
    assert.deepEqual(parseAddress('[fe80::1%eth0]:7'), { host: 'fe80::1%eth0', port: 7 });
  });

  test('refuses what a shell would read, options, and what is no address', () => {
    const wrong = ['a$(id):1', '`id`:1', "it's:1", 'a b:1', '-x:1', '[a;b]:1', 'a\u001bb:1'];
    for (const text of [...wrong, 'desk', 'desk:0', 'desk:65536', ':1', 'fe80::1:7'])
      assert.equal(parseAddress(text), undefined, text);
  });
});
