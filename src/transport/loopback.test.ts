import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isPrivate } from './loopback.ts';

test('a private address is one that the internet does not reach', () => {
  const inside = ['127.0.0.1', '10.1.2.3', '192.168.0.9', '172.16.0.1', '172.31.255.1'];
  const local = ['169.254.1.1', '100.64.0.1', '100.127.3.4', 'fd00::2', 'fe80::1', '::1'];
  const outside = [
    '8.8.8.8',
    '172.32.0.1',
    '192.169.0.1',
    '100.128.0.1',
    '2001:db8::1',
    '11.0.0.1',
  ];

  for (const address of [...inside, ...local]) assert.ok(isPrivate(address), address);
  for (const address of outside) assert.ok(!isPrivate(address), address);
});
