import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { hostOf, MAX_CONNECTIONS, MAX_PER_ADDRESS, Places } from './door.ts';

const quiet = { onClose: (): void => {} };

describe('Places', () => {
  test('has so many for one address, and others for others', () => {
    const places = new Places();
    const taken = Array.from({ length: MAX_PER_ADDRESS }, (_, i) =>
      places.taken(`::ffff:10.0.0.1:${i}`, quiet),
    );

    assert.match(places.problem('10.0.0.1:99')!, /64 connections from your address already/);
    assert.equal(places.problem('10.0.0.2:99'), undefined);
    taken[0]!.onClose();
    assert.equal(places.problem('10.0.0.1:99'), undefined);
  });

  test('has so many for all', () => {
    const places = new Places();
    const taken = Array.from({ length: MAX_CONNECTIONS }, (_, i) =>
      places.taken(`10.0.${i}.1:5`, quiet),
    );

    assert.match(places.problem('10.1.0.1:5')!, /256 connections already. Try again later/);
    for (const handlers of taken) handlers.onClose();
    assert.equal(places.problem('10.1.0.1:5'), undefined);
  });
});

describe('hostOf', () => {
  test('gives the host of a peer', () => {
    const peers = ['127.0.0.1:5', '::ffff:127.0.0.1:5', '::1:5', 'fe80::1:2:5'];

    assert.deepEqual(peers.map(hostOf), ['127.0.0.1', '127.0.0.1', '::1', 'fe80::1:2']);
  });
});
