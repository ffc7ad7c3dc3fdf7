import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createRosterWorld } from '../../test/roster-world.ts';

describe("Roster and the clocks of workers' machines", () => {
  /** Sends heartbeats with these times, a quarter of a second apart. */
  function tellTimes(times: readonly { readonly wallMs: number; readonly upMs: number }[]) {
    const world = createRosterWorld();
    const member = world.worker().join();
    member.stopBeating();
    world.told.splice(0);
    for (const time of times) {
      member.heartbeat?.send({ kind: 'heartbeat', progress: 0, ...time });
      world.clock.advance(250);
    }
    return world.told;
  }

  test('tells of a jump once, with its size and direction', () => {
    const told = tellTimes([
      { wallMs: 1_000_000, upMs: 500 },
      { wallMs: 1_000_250, upMs: 750 },
      { wallMs: 4_600_500, upMs: 1_000 },
      { wallMs: 4_600_750, upMs: 1_250 },
      { wallMs: 4_591_000, upMs: 1_500 },
      { wallMs: 4_591_250, upMs: 1_750 },
    ]);

    assert.deepEqual(told, ['w jumped by 3600000 ms', 'w jumped by -10000 ms']);
  });

  test('says nothing of a clock that is corrected little by little, however far', () => {
    const times = Array.from({ length: 100 }, (_, i) => ({
      wallMs: 1e6 + i * 1_250,
      upMs: i * 250,
    }));

    assert.deepEqual(tellTimes(times), []);
  });

  test('says nothing of heartbeats that are long on their way', () => {
    const { clock, told, worker } = createRosterWorld();
    const member = worker().join();
    member.stopBeating();
    told.splice(0);
    const beat = (ms: number): void =>
      member.heartbeat?.send({ kind: 'heartbeat', progress: 0, wallMs: 1e6 + ms, upMs: ms });

    beat(0);
    clock.advance(4_500);
    for (let ms = 250; ms <= 4_500; ms += 250) beat(ms);
    clock.advance(10);

    assert.deepEqual(
      told.filter((line) => line.includes('jumped')),
      [],
    );
  });

  test('takes heartbeats that tell no time', () => {
    const { clock, told, worker } = createRosterWorld();

    worker().join();
    clock.advance(1_000);

    assert.deepEqual(told, ['w ready']);
  });
});
