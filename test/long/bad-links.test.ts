/** What a run notices about its links, with real processes and nothing beside them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  assertDamageIsNoticed,
  RELAYED_RANK,
  SMALL,
  startRelayedRun,
} from '../cluster/relayed-run.ts';
import { assertSameModel, referenceOf } from '../cluster/runs.ts';

describe('a run with a bad link', () => {
  test(
    'names the worker of which a frame was damaged on its way from the coordinator, takes it ' +
      'back, and ends with the same model',
    (t) => assertDamageIsNoticed(t, 'down'),
  );

  test('reports the worker whose frames are late, and no other', async (t) => {
    const reference = await referenceOf(t, SMALL);
    const { run, relay } = await startRelayedRun(t, SMALL);

    await run.reachesStep(20);
    relay.set({ up: { kind: 'delay', ms: 80 } });
    const slow = await run.event('worker-slow');
    relay.set({ up: { kind: 'pass' } });
    const outcome = await run.outcome();

    assertSameModel(outcome, reference);
    assert.deepEqual([slow.rank, slow.where], [RELAYED_RANK, 'link']);
    assert.ok(slow.ms > 79, `${slow.ms} ms`);
    assert.deepEqual(run.eventsOf('worker-slow').length, 1);
    assert.equal(outcome.summary.events.workersLost, 0);
  });
});
