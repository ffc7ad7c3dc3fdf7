import assert from 'node:assert/strict';
import { test } from 'node:test';
import { remember } from './remember.ts';

test('remember keeps the 4,096 newest, and what is said again is new', () => {
  const map = new Map<number, number>();
  remember(map, 0, 0);
  remember(map, 1, 1);
  for (let key = 2; key < 4_096; key++) remember(map, key, key);
  remember(map, 0, -1);

  remember(map, 4_096, 4_096);

  assert.equal(map.size, 4_096);
  assert.deepEqual([map.get(0), map.has(1), map.has(2)], [-1, false, true]);
});
