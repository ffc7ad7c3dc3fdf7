/** What a run notices about its links, with real processes and nothing beside them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { waitFor } from '../cluster/processes.ts';
import {
  assertDamageIsNoticed,
  RELAYED_RANK,
  SMALL,
  startRelayedRun,
} from '../cluster/relayed-run.ts';
import { samplesAfter } from '../cluster/aim.ts';
import { assertSameModel, referenceOf } from '../cluster/runs.ts';

/** Long enough for a link to be cut and to heal. */
const LONG: readonly string[] = [...SMALL, '--epochs', '4'];
/** Less than a sum of this network. */
const PART_OF_SUM = 20_000;

describe('a run with a link that passes nothing in one direction', () => {
  for (const [direction, words, reason] of [
    ['up', 'a worker is not heard', /^no sign of life for [23]\.\d s$/],
    ['down', 'a worker hears nothing, though its heart beats', /^it hears nothing of the coord/],
  ] as const)
    test(`goes on without it while ${words}, and with it when the link is whole`, async (t) => {
      const reference = await referenceOf(t, LONG);
      const { run, relay } = await startRelayedRun(t, LONG);

      await run.reachesStep(20);
      relay.set({ [direction]: { kind: 'drop' } });
      const stalled = await run.event('worker-stalled');
      await run.reachesStep(stalled.step + 20);
      relay.set({ [direction]: { kind: 'pass' } });
      const outcome = await run.outcome();

      assertSameModel(outcome, reference);
      assert.equal(stalled.rank, RELAYED_RANK);
      assert.match(stalled.reason, reason);
      assert.ok(samplesAfter(run, RELAYED_RANK, stalled.step + 20) > 0, 'it contributed again');
      assert.equal(outcome.summary.events.workersLost, 0);
    });
});

describe('a run with a bad link', () => {
  test('takes a worker back whose connections are reset in the midst of a sum', async (t) => {
    const reference = await referenceOf(t, LONG);
    const { run, relay } = await startRelayedRun(t, LONG);

    await run.reachesStep(20);
    relay.set({ up: { kind: 'rate', bytesPerSecond: 4 * PART_OF_SUM } });
    const before = relay.forwarded.up;
    await waitFor('a part of a sum', () => relay.forwarded.up > before + PART_OF_SUM);
    relay.set({ up: { kind: 'pass' } });
    relay.resetAll();
    const lost = await run.event('worker-lost');
    const outcome = await run.outcome();

    assertSameModel(outcome, reference);
    assert.equal(lost.rank, RELAYED_RANK);
    assert.match(lost.reason, /ECONNRESET/);
    const joined = run.eventsOf('worker-joined').filter(({ rank }) => rank === RELAYED_RANK);
    assert.deepEqual(
      joined.map(({ workerId }) => workerId),
      [lost.workerId, lost.workerId],
      'as the same worker',
    );
    assert.equal(outcome.summary.events.workersLost, 1);
  });

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
