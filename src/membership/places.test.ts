import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createRosterWorld } from '../../test/roster-world.ts';
import { crowdedOut } from './places.ts';

type World = ReturnType<typeof createRosterWorld>;

/** Says hello from each of these peers, and nothing more. */
function knock({ clock, worker }: World, peers: readonly string[]): void {
  for (const peer of peers) {
    const stranger = worker(peer);
    stranger.dial('control', stranger.hello('control', ''));
  }
  clock.advance(10);
}

/** A worker that says hello, and what it hears. */
function askedBy({ clock, worker }: World, name: string) {
  const asking = worker(name);
  asking.dial('control', asking.hello('control', ''));
  clock.advance(10);
  return { isWelcome: asking.last('welcome') !== undefined, refused: asking.last('refused') };
}

function peersOf(address: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${address}:${2_000 + i}`);
}

function addresses(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `10.1.${i >> 8}.${i & 255}:29`);
}

describe('strangers who say hello and nothing more', () => {
  test('take few places from one address, and keep nobody of another out', () => {
    const world = createRosterWorld();

    knock(world, peersOf('10.0.0.9', 300));
    const honest = world.worker('10.0.0.10:1').join();
    const tooMany = askedBy(world, '10.0.0.9:1');

    assert.equal(world.roster.members().length, 33);
    assert.equal(world.told.at(-1), '10.0.0.10:1 ready');
    assert.deepEqual(honest.ended, []);
    assert.equal(tooMany.refused?.isForNow, true);
    assert.match(tooMany.refused.reason, /^full for now: 32 workers of this address are not ready/);
  });

  test('are one address with all that one network of IPv6 gives them', () => {
    const world = createRosterWorld();
    const peers = Array.from({ length: 100 }, (_, i) => `2001:db8:0:7::${i.toString(16)}:29`);

    knock(world, [...peers, ...peers.map((_, i) => `2001:db8:0:7:1:2:${i}:4:29`)]);

    assert.equal(world.roster.members().length, 32);
    assert.equal(askedBy(world, '2001:db8:0:8::1:29').isWelcome, true);
  });

  test('of this machine or of many addresses give way after five seconds, oldest first', () => {
    for (const peers of [peersOf('127.0.0.1', 300), addresses(300)]) {
      const world = createRosterWorld();
      knock(world, peers);

      const early = askedBy(world, '127.0.0.1:1');
      world.clock.advance(5_000);
      const honest = world.worker('127.0.0.1:1').join();

      assert.equal(early.refused?.isForNow, true);
      assert.match(early.refused.reason, /^full for now: the run has 256 workers/);
      assert.deepEqual(world.told, [
        `${peers[0]} lost: it was not ready, and others wait to join`,
        '127.0.0.1:1 ready',
      ]);
      assert.deepEqual(honest.ended, []);
    }
  });

  test('never take the place of who is ready, however full the run is', () => {
    const world = createRosterWorld();
    for (const peer of addresses(256)) world.worker(peer).join();
    world.clock.advance(60_000);
    world.told.splice(0);

    const late = askedBy(world, '127.0.0.1:1');

    assert.equal(late.refused?.isForNow, true);
    assert.deepEqual(world.told, []);
    assert.equal(world.roster.members().length, 256);
  });
});

describe('strangers who say nothing', () => {
  test('hold a bounded number of connections, and who says hello at once comes in', () => {
    const world = createRosterWorld();

    for (const peer of peersOf('10.0.0.9', 600)) world.worker(peer).dial('silent');
    for (const peer of addresses(600)) world.worker(peer).dial('silent');
    assert.ok(world.host.connectionCount() <= 512);
    const honest = world.worker('10.0.0.9:1');
    honest.dial('control', honest.hello('control', ''));
    world.clock.advance(9_900);

    assert.notEqual(honest.last('welcome'), undefined);
  });

  test('go oldest first, of a crowded address or of all', () => {
    const crowd = (address: string, count: number) =>
      peersOf(address, count).map((peer) => ({ peer }));
    const few = crowd('10.0.0.1', 3);
    const many = crowd('127.0.0.1', 509);

    assert.equal(crowdedOut([...few, ...many]), undefined);
    assert.equal(crowdedOut([...few, ...many, { peer: '10.0.0.2:1' }]), few[0]);
    const neighbours = crowd('10.0.0.9', 65);
    assert.equal(crowdedOut([...few, ...neighbours]), neighbours[0]);
    assert.equal(crowdedOut([]), undefined);
  });
});
