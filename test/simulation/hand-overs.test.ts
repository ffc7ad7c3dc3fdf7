/** States that go from one worker to another, and faults that are aimed at that. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ToWorker } from '../../src/protocol/messages.ts';
import { checkGroups } from './groups.contract.ts';
import type { FaultyCluster } from './peer-faults.ts';

const SEEDS = [1, 2, 3];
const JOIN_MS = 900;
const LATE = 'late';
/** Longer than any history. */
const FOREVER_MS = 1e8;

/** Who is to get a state, and who gives it. */
interface Pair {
  readonly late: string;
  readonly donor: string;
}

/** What happens to a cluster as soon as `late` is told where its state is. */
type Fault = (cluster: FaultyCluster, pair: Pair) => void;

/** A history in which one worker comes later than the others, and at most one fault happens. */
function joinLate(seed: number, fault: Fault = () => {}) {
  let cluster: FaultyCluster | undefined;
  let isDone = false;
  /** States of later steps that the coordinator has sent, and states that workers gave. */
  const counts = { sent: 0, given: 0, failed: 0 };
  const hear = (worker: string, message: ToWorker): void => {
    if (message.kind === 'state' && message.step > 0) counts.sent++;
    if (message.kind !== 'fetchState' || isDone || cluster === undefined) return;
    isDone = true;
    fault(cluster, { late: worker, donor: message.doors[0]?.host ?? '' });
  };
  const { rules, lost } = checkGroups(seed, {
    ...{ isDisturbed: false, peerFaults: 0, isLed: seed % 2 === 0, world: 'lan' },
    ...{ workers: 3, steps: 600, snapshotMs: 1e9, onSentToWorker: hear },
    onStart: (started) => {
      cluster = started;
      started.at(JOIN_MS, 'a worker joins', () => started.join(LATE));
    },
  });
  counts.given = rules.counts.handOvers;
  counts.failed = rules.counts.failedHandOvers;
  return { ...counts, lost };
}

function sumOver(fault: Fault): { readonly sent: number; readonly failed: number } {
  const histories = SEEDS.map((seed) => joinLate(seed, fault));
  return {
    sent: histories.reduce((sum, { sent }) => sum + sent, 0),
    failed: histories.reduce((sum, { failed }) => sum + failed, 0),
  };
}

describe('a worker that comes later', () => {
  test('gets its state from another one, and none from the coordinator', () => {
    for (const seed of SEEDS)
      assert.deepEqual(joinLate(seed), { sent: 0, given: 1, failed: 0, lost: [] }, `seed ${seed}`);
  });

  const FAULTS: { readonly [what: string]: Fault } = {
    'the other one dies': (cluster, { donor }) => cluster.kill(donor, 'heir'),
    'the other one freezes': (cluster, { donor }) => cluster.freeze(donor, 14_000),
    'it does not reach the other one': (cluster, { late, donor }) => cluster.severPair(late, donor),
    'nothing passes between the two': (cluster, { late, donor }) =>
      cluster.holdPair(late, donor, FOREVER_MS),
  };
  for (const [what, fault] of Object.entries(FAULTS))
    test(`gets it from the coordinator when ${what}`, () => {
      const { sent, failed } = sumOver(fault);

      assert.deepEqual([sent >= SEEDS.length, failed], [true, SEEDS.length], `${sent} ${failed}`);
    });

  test('gets it from the coordinator when the connection breaks in the middle', () => {
    const { sent, failed } = sumOver((cluster, { late, donor }) => {
      for (const ms of [2, 3, 5, 7])
        cluster.at(ms, `cut ${late} and ${donor}`, () => cluster.cutPair(late, donor));
    });

    assert.ok(failed > SEEDS.length / 2 && sent >= failed, `${sent} ${failed}`);
  });

  test('is not waited for when it dies or freezes meanwhile', () => {
    sumOver((cluster, { late }) => cluster.kill(late, 'heir'));
    sumOver((cluster, { late }) => cluster.freeze(late, 9_000));
  });
});
