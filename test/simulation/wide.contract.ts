/** Histories of all links and all speeds, among members that babble. */
import assert from 'node:assert/strict';
import type { ToWorker } from '../../src/protocol/messages.ts';
import { checkHistory, undisturbedDigest } from './check-history.ts';

const STEPS = 5;

/**
 * Throws unless the histories from seed `first` on all end with the same state. In every other one
 * nothing breaks: then nobody is put out who does not babble, however slow it and its link are. Those
 * who babble get into the run all the same, and are given work.
 */
export function checkWideHistories(first: number, count: number): void {
  const expected = undisturbedDigest(1, STEPS);
  let [joined, asked, grouped] = [0, 0, 0];
  for (let seed = first; seed < first + count; seed++) {
    const isDisturbed = seed % 2 === 0;
    const babblers = seed % 3;
    const { events } = checkHistory(seed, expected, {
      ...{ world: 'wide', steps: STEPS, babblers, isDisturbed },
      onSentToWorker: (worker, message) => {
        if (!worker.startsWith('babbler')) return;
        if (isWork(message)) asked++;
        if (message.kind === 'group') grouped++;
      },
    });
    joined += events.filter(
      (event) => event.kind === 'worker-joined' && event.workerId.startsWith('babbler'),
    ).length;
    const lost = events.filter(
      (event) => event.kind === 'worker-lost' && !event.workerId.startsWith('babbler'),
    );
    if (!isDisturbed) assert.deepEqual(lost, [], `seed ${seed}`);
  }
  if (count === 1) return;
  assert.ok(joined > count, `babblers were ready ${joined} times in ${count} histories`);
  assert.ok(grouped > count / 50, `babblers were put into ${grouped} groups`);
  assert.ok(asked > count / 4, `babblers were given work ${asked} times in ${count} histories`);
}

function isWork(message: ToWorker): boolean {
  if (message.kind === 'plan') return message.leases.length > 0;
  return message.kind === 'lease' || message.kind === 'grant';
}
