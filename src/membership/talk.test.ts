import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Talk } from './talk.ts';

/** How many things are heard at one moment after so many messages. */
function heardOf(talk: Talk, messagesSent: number, nowMs: number): number {
  let heard = 0;
  while (heard < 20_000 && talk.mayGoOn(messagesSent, nowMs)) heard++;
  return heard;
}

describe('Talk', () => {
  test('hears forty things of a newcomer, ten a second then, and eight for each it was sent', () => {
    const talk = new Talk(0);

    assert.equal(heardOf(talk, 0, 0), 40);
    assert.equal(heardOf(talk, 0, 1_000), 10);
    assert.equal(heardOf(talk, 5, 1_000), 40);
    assert.equal(heardOf(talk, 5, 1_000), 0);
  });

  test('hears every heartbeat that waited through an hour of sleep, and no endless number', () => {
    const talk = new Talk(0);
    heardOf(talk, 0, 0);

    assert.equal(heardOf(talk, 100_000, 3_600_000), 10_000);
  });
});
