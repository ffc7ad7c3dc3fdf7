import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createWorld } from '../../test/coordinator-world.ts';
import { DATA_DIGEST, ScriptedWorker } from '../../test/scripted-worker.ts';
import { ManualClock } from '../base/clock.ts';
import type { PieceRequest } from '../data/parcels/piece.ts';
import type { SendSamples } from '../protocol/messages.ts';

const LENGTH = 100;
const OFFER = { train: 'as data/ says' };
/** What packing takes. */
const PACKING_MS = 7;

/** A run in its midst, whose data are 100 bytes, and somebody who lacks them. */
function createDataWorld(isGiven = true) {
  const clock = new ManualClock();
  const read: PieceRequest[] = [];
  const source = {
    offer: OFFER,
    read: (
      request: PieceRequest,
      done: (piece: { bytes: Uint8Array; isPacked: boolean }) => void,
    ) => {
      if (request.offset + request.byteLength > LENGTH) return false;
      read.push(request);
      const bytes = new Uint8Array(request.byteLength).fill(request.offset);
      clock.after(PACKING_MS, () => done({ bytes, isPacked: true }));
      return true;
    },
  };
  const changes = { minWorkers: 2, totalSteps: 50 };
  const world = createWorld(changes, clock, isGiven ? source : undefined);
  const active = world.join('a', 'b');
  clock.advance(5);
  const late = new ScriptedWorker(world.door, 'late');
  late.connect();
  const ask = (offset: number, byteLength = 10): void => {
    const request = { kind: 'sendSamples', split: 'd', part: 'x', offset, byteLength } as const;
    late.data?.send(request satisfies SendSamples);
  };
  const step = (): void => {
    for (const worker of active) worker.contribute();
    clock.advance(5);
  };
  return { ...world, step, late, ask, read };
}

describe('DataGiver', () => {
  test('offers the data, and gives them in the order in which they are asked for', () => {
    const { clock, late, ask, read } = createDataWorld();
    assert.deepEqual(late.last('welcome')?.offer, OFFER);

    for (const offset of [0, 10, 10, 90]) ask(offset);
    clock.advance(3);
    assert.equal(read.length, 1, 'one after the other');
    clock.advance(50);

    assert.deepEqual(
      late
        .all('samples')
        .map(({ split, part, offset, byteLength, isPacked }) => [
          ...[split, part, offset, byteLength, isPacked],
        ]),
      [0, 10, 90].map((offset) => ['d', 'x', offset, 10, true]),
    );
  });

  test('lets the others go on meanwhile, and says what came once it is there', () => {
    const { clock, step, late, ask, eventsOf, coordinator } = createDataWorld();
    for (let i = 0; i < 8; i++) {
      ask(10 * i);
      step();
    }
    assert.ok(coordinator.committedSteps >= 5, `${coordinator.committedSteps} steps`);
    clock.advance(100);
    assert.equal(late.all('samples').length, 8);

    const received = { bytes: 100, wireBytes: 80, receiveMs: 9 };
    const ready = { kind: 'ready', dataDigest: DATA_DIGEST, numericsClass: 'one' } as const;
    late.say({ ...ready, loadMs: 1, received });
    clock.advance(10);

    const [event] = eventsOf('data-received');
    assert.deepEqual(event, { kind: 'data-received', rank: 2, workerId: 'late', ...received });
    ask(0);
    clock.advance(50);
    assert.equal(late.all('samples').length, 8, 'who is ready has the data');
  });

  test('puts out who asks for what is not there, or for too much at once', () => {
    const offences: readonly (readonly [boolean, readonly number[]])[] = [
      [true, [91]],
      [false, [0]],
      [true, Array.from({ length: 17 }, (_, i) => i)],
    ];
    for (const [isGiven, offsets] of offences) {
      const { clock, late, ask } = createDataWorld(isGiven);
      for (const offset of offsets) ask(offset);
      clock.advance(4);
      clock.advance(200);
      assert.deepEqual([late.all('samples').length, late.ended.length], [0, 3]);
    }
  });

  test('forgets who leaves in the midst', () => {
    const { clock, late, ask, coordinator, step } = createDataWorld();
    for (const offset of [0, 10, 20]) ask(offset);
    clock.advance(3);

    late.host.kill();
    clock.advance(100);
    step();
    step();

    assert.equal(coordinator.committedSteps, 1);
  });
});
