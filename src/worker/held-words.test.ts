import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../base/clock.ts';
import type { ToCoordinator } from '../protocol/messages.ts';
import { HeldWords } from './held-words.ts';

function wordOf(pass: number): ToCoordinator {
  return { kind: 'reduced', pass };
}

function createWords() {
  const clock = new ManualClock();
  const said: (readonly ToCoordinator[])[] = [];
  return { clock, said, words: new HeldWords(clock, (some) => void said.push(some)) };
}

describe('HeldWords', () => {
  test('are said together, in their order, once the first has waited long enough', () => {
    const { clock, said, words } = createWords();
    words.hold(wordOf(1));
    clock.advance(99);
    words.hold(wordOf(2));
    assert.deepEqual(said, []);

    clock.advance(1);
    assert.deepEqual(said, [[wordOf(1), wordOf(2)]]);

    words.hold(wordOf(3));
    clock.advance(99);
    assert.equal(said.length, 1);
    clock.advance(1);
    assert.deepEqual(said[1], [wordOf(3)]);
  });

  test('are said before something else, once', () => {
    const { clock, said, words } = createWords();
    words.release();
    words.hold(wordOf(1));
    words.release();
    clock.advance(1_000);

    assert.deepEqual(said, [[wordOf(1)]]);
  });

  test('are forgotten by a worker that is over, and wake nobody', () => {
    const { clock, said, words } = createWords();
    words.hold(wordOf(1));

    words.close();

    assert.equal(clock.pendingCount(), 0);
    assert.deepEqual(said, []);
  });
});
