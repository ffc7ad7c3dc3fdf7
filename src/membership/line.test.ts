import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../base/clock.ts';
import { connectInMemory, SimulatedHost } from '../transport/memory-network.ts';
import { Line } from './line.ts';

function createLine() {
  const clock = new ManualClock();
  const heard: string[] = [];
  const line = new Line({ clock, onTurn: ({ peer }) => void heard.push(peer) });
  const link = { delayMs: () => 1, heldUntilMs: 0 };
  const join = (peer: string) => {
    const ends = connectInMemory(clock, link, new SimulatedHost(peer), new SimulatedHost('door'));
    line.join(ends[1]);
    return ends[1];
  };
  return { clock, heard, line, join };
}

describe('the line before the door', () => {
  test('hears all workers of a full run at once, and of a crowd fifty in a second', () => {
    const { clock, heard, join } = createLine();

    for (let i = 0; i < 2_000; i++) join(`10.0.0.1:${i}`);

    assert.equal(heard.length, 768);
    clock.advance(1_000);
    assert.ok(Math.abs(heard.length - 818) <= 1, `${heard.length} were heard`);
    clock.advance(30_000);
    assert.equal(heard.length, 2_000);
    assert.equal(clock.pendingCount(), 0);
  });

  test('hears every address in its turn, the newest first', () => {
    const { clock, heard, join } = createLine();
    for (let i = 0; i < 1_000; i++) join(`10.0.0.1:${i}`);
    heard.splice(0);

    for (const peer of ['10.0.0.2:1', '10.0.0.2:2', '10.0.0.3:1']) join(peer);
    clock.advance(110);

    assert.deepEqual(heard.slice(0, 5), [
      '10.0.0.1:999',
      '10.0.0.2:2',
      '10.0.0.3:1',
      '10.0.0.1:998',
      '10.0.0.2:1',
    ]);
  });

  test('does not hear who has left it', () => {
    const { clock, heard, line, join } = createLine();
    for (let i = 0; i < 768; i++) join(`10.0.0.1:${i}`);
    heard.splice(0);

    const waiting = ['10.0.0.2:1', '10.0.0.2:2'].map(join);
    line.leave(waiting[0]!);
    clock.advance(100);

    assert.deepEqual(heard, ['10.0.0.2:2']);
    assert.equal(clock.pendingCount(), 0);
  });
});
