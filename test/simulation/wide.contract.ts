/** Histories of all links and all speeds, among members that babble. */
import assert from 'node:assert/strict';
import { checkHistory, undisturbedDigest } from './check-history.ts';

const STEPS = 5;

/**
 * Throws unless the histories from seed `first` on all end with the same state. In every other one
 * nothing breaks: then nobody is put out who does not babble, however slow it and its link are.
 */
export function checkWideHistories(first: number, count: number): void {
  const expected = undisturbedDigest(1, STEPS);
  for (let seed = first; seed < first + count; seed++) {
    const isDisturbed = seed % 2 === 0;
    const babblers = seed % 3;
    const changes = { world: 'wide', steps: STEPS, babblers, isDisturbed } as const;
    const { events } = checkHistory(seed, expected, changes);
    const lost = events.filter(
      (event) => event.kind === 'worker-lost' && !event.workerId.startsWith('babbler'),
    );
    if (!isDisturbed) assert.deepEqual(lost, [], `seed ${seed}`);
  }
}
