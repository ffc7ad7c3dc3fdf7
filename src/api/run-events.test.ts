import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { RunEvent } from '../metrics/events.ts';
import { EVENT_CAPACITY, EventStream } from './run-events.ts';

function normsEvent(step: number): RunEvent {
  return { kind: 'gradient-norms', step, norms: {} };
}

function lostEvent(rank: number): RunEvent {
  return { kind: 'worker-lost', rank, workerId: 'w', step: 1, reason: 'gone' };
}

async function rest(stream: EventStream): Promise<RunEvent[]> {
  const events: RunEvent[] = [];
  for await (const event of stream) events.push(event);
  return events;
}

describe('EventStream', () => {
  test('gives a loop what happens from its beginning to the end of the run', async () => {
    const stream = new EventStream();
    stream.onEvent(normsEvent(1));

    const loop = rest(stream);
    stream.onEvent(normsEvent(2));
    stream.onEvent(normsEvent(3));
    stream.end();

    assert.deepEqual(await loop, [normsEvent(2), normsEvent(3)]);
    assert.deepEqual(await rest(stream), []);
  });

  test('gives every loop all events, and wakes those that wait', async () => {
    const stream = new EventStream();
    const [first, second] = [rest(stream), rest(stream)];

    await new Promise(setImmediate);
    stream.onEvent(normsEvent(1));
    await new Promise(setImmediate);
    stream.onEvent(normsEvent(2));
    stream.end();

    assert.deepEqual(await first, [normsEvent(1), normsEvent(2)]);
    assert.deepEqual(await second, await first);
  });

  test('keeps nothing for a loop that was left', async () => {
    const stream = new EventStream();
    const other = rest(stream);
    const left = stream[Symbol.asyncIterator]();
    stream.onEvent(normsEvent(1));

    await left.return?.();
    for (let step = 2; step <= 2 * EVENT_CAPACITY; step++) stream.onEvent(normsEvent(step));

    assert.equal((await left.next()).done, true);
    assert.equal(stream.dropped, EVENT_CAPACITY - 1, 'only the other loop has lost any');
    stream.end();
    assert.equal((await other).length, EVENT_CAPACITY + 1, 'one it waited for, the rest in store');
  });

  test('drops the oldest steps when a loop is too slow, and counts them', async () => {
    const stream = new EventStream();
    const slow = stream[Symbol.asyncIterator]();
    stream.onEvent(lostEvent(7));
    for (let step = 1; step <= EVENT_CAPACITY + 9; step++) stream.onEvent(normsEvent(step));
    stream.end();

    assert.equal(stream.dropped, 10);
    assert.deepEqual((await slow.next()).value, lostEvent(7));
    assert.deepEqual((await slow.next()).value, normsEvent(11));
  });

  test('drops the oldest of all when no step waits', async () => {
    const stream = new EventStream();
    const slow = stream[Symbol.asyncIterator]();
    for (let rank = 0; rank <= EVENT_CAPACITY; rank++) stream.onEvent(lostEvent(rank));

    assert.equal(stream.dropped, 1);
    assert.deepEqual((await slow.next()).value, lostEvent(1));
  });
});
