/** Workers that lack the data, in histories of faults. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkHistory, undisturbedDigest } from './check-history.ts';

const SEEDS = 15;
const DATA_PIECES = 30;
const ONLY_SEED = process.env['LOCKSTEP_HISTORY'];

describe('a simulated cluster whose workers get the data from the coordinator', () => {
  const seeds =
    ONLY_SEED === undefined
      ? Array.from({ length: SEEDS }, (_, i) => 5_000 + i)
      : [Number(ONLY_SEED)];

  test('ends with the undisturbed state, and no piece comes twice to a worker', () => {
    const expected = undisturbedDigest(1);
    let resumed = 0;
    for (const seed of seeds) {
      /** Offsets that each worker was sent, and in which membership. */
      const sent = new Map<string, { readonly offset: number; readonly membership: number }[]>();
      checkHistory(
        seed,
        expected,
        {
          dataPieces: DATA_PIECES,
          onSentToWorker: (worker, message, membership) => {
            if (message.kind !== 'samples') return;
            const { offset } = message;
            sent.set(worker, [...(sent.get(worker) ?? []), { offset, membership }]);
          },
        },
        'given-data',
      );
      for (const [worker, pieces] of sent) {
        const memberships = new Set(pieces.map(({ membership }) => membership)).size;
        if (memberships > 1) resumed++;
        // What was under way when a connection broke is sent again.
        const most = DATA_PIECES + memberships - 1;
        assert.ok(pieces.length <= most, `${worker}: ${pieces.length} pieces, history ${seed}`);
      }
    }
    if (ONLY_SEED === undefined) assert.ok(resumed > 1, `${resumed} workers went on with pieces`);
  });

  test('takes no harm from messages that come twice', () => {
    const expected = undisturbedDigest(1);
    for (const seed of seeds)
      checkHistory(seed, expected, { dataPieces: DATA_PIECES, world: 'even' }, 'given-data');
  });
});
