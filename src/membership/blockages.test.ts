import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Blockages, type FrameCounts } from './blockages.ts';

const BEAT_MS = 250;
const NONE: FrameCounts = { control: { sent: 0, received: 0 }, data: { sent: 0, received: 0 } };

/** What both ends count, as a test changes it, and what follows after so many heartbeats. */
function createWorld() {
  const ours = structuredClone({ ...NONE, dataBytes: 0 });
  const theirs = structuredClone(NONE);
  const facts = { receivedBytes: 0, isAtWork: false };
  const blockages = new Blockages();
  const beat = (beats = 1, change: () => void = () => {}): number => {
    for (let i = 0; i < beats; i++) {
      change();
      blockages.note(structuredClone({ ours, theirs, ...facts, beatMs: BEAT_MS }));
    }
    return blockages.longestMs;
  };
  beat();
  return { ours, theirs, facts, beat };
}

type Counts = { control: { sent: number; received: number }; data: typeof NONE.data };

describe('Blockages', () => {
  for (const channel of ['control', 'data'] as const)
    for (const way of ['down', 'up'] as const)
      test(`notices ${channel} that passes nothing ${way}, whatever the others pass`, () => {
        const { ours, theirs, beat } = createWorld();
        const sender: Counts = way === 'down' ? ours : theirs;
        const receiver: Counts = way === 'down' ? theirs : ours;
        const other = channel === 'data' ? 'control' : 'data';
        sender[channel] = { ...sender[channel], sent: 3 };
        const passOther = (): void => {
          for (const end of [ours, theirs] as Counts[])
            end[other] = { sent: end[other].sent + 1, received: end[other].received + 1 };
        };

        assert.equal(beat(8, passOther), 8 * BEAT_MS);
        receiver[channel] = { ...receiver[channel], received: 1 };
        assert.equal(beat(), 0, 'something has come');
        assert.equal(beat(2), 2 * BEAT_MS);
        receiver[channel] = { ...receiver[channel], received: 3 };
        assert.equal(beat(), 0, 'all has');
        assert.equal(beat(9), 0, 'nothing was sent');
      });

  test('holds nothing against a worker that computes, or a link that is full of data', () => {
    const { ours, theirs, facts, beat } = createWorld();
    Object.assign(ours, { control: { sent: 1, received: 0 }, data: { sent: 1, received: 0 } });
    facts.isAtWork = true;
    assert.equal(beat(20), 0);

    facts.isAtWork = false;
    assert.equal(
      beat(20, () => (facts.receivedBytes += 1_000)),
      0,
    );

    // The data have come: then there is nothing that the word could wait behind.
    Object.assign(theirs, { data: { sent: 0, received: 1 } });
    assert.equal(
      beat(3, () => (facts.receivedBytes += 1_000)),
      3 * BEAT_MS,
    );
  });
});
