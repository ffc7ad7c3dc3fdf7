import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../base/clock.ts';
import { EventRate } from './event-rate.ts';
import type { RunEvent } from './events.ts';

function jump(rank: number): RunEvent {
  return { kind: 'clock-jumped', rank, workerId: `w${rank}`, step: 1, jumpMs: 5_000 };
}

function refusal(peer: string): RunEvent {
  return { kind: 'worker-refused', peer, reason: 'full for now' };
}

function createRate() {
  const clock = new ManualClock();
  const rate = new EventRate(clock);
  const admitted = (events: readonly RunEvent[]): RunEvent[] =>
    events.flatMap((event) => rate.admit(event) ?? []);
  return { clock, admitted };
}

describe('EventRate', () => {
  test('lets a hundred thousand jumps of one clock pass as a few, and counts the others', () => {
    const { clock, admitted } = createRate();

    const first = admitted(Array.from({ length: 100_000 }, () => jump(0)));
    clock.advance(5_000);
    const later = admitted([jump(0), jump(0)]);

    assert.deepEqual(first, Array(20).fill(jump(0)));
    assert.deepEqual(later, [{ ...jump(0), leftOut: 99_980 }]);
  });

  test('bounds what a worker provokes of the whole run by joining and leaving', () => {
    const { admitted } = createRate();
    const classes = [{ numericsClass: 'x', ranks: [0] }];
    const events = Array.from({ length: 1_000 }, (_, step): RunEvent[] => [
      { kind: 'run-waiting', step, reason: 'no worker is left' },
      { kind: 'numerics-differ', classes },
    ]);

    assert.equal(admitted(events.flat()).length, 40);
  });

  test('does not keep one worker silent because another is noisy', () => {
    const { admitted } = createRate();

    admitted(Array.from({ length: 10_000 }, () => jump(0)));

    assert.equal(admitted([jump(1)])[0]?.kind, 'clock-jumped');
  });

  test('bounds a kind also when everyone who provokes it is new', () => {
    const { admitted } = createRate();
    const peers = Array.from({ length: 20_000 }, (_, i) => `10.0.${i >> 8}.${i & 255}:29`);

    assert.equal(admitted(peers.map(refusal)).length, 1_000);
    assert.equal(admitted(peers.map((_, i) => jump(i))).length, 1_000);
  });

  test('takes all ports of an address for one', () => {
    const { admitted } = createRate();
    const peers = Array.from({ length: 500 }, (_, i) => `10.0.0.9:${i}`);

    assert.equal(admitted(peers.map(refusal)).length, 20);
  });

  test('never leaves out what nobody can provoke: steps, evaluations, and what becomes void', () => {
    const { admitted } = createRate();
    const back: RunEvent = { kind: 'rolled-back', fromStep: 2, toStep: 0, reason: 'distrusted' };

    assert.equal(admitted(Array.from({ length: 5_000 }, () => back)).length, 5_000);
  });
});
