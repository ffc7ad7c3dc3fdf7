import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ALL, createWorld, startPair, sumOf } from '../../test/coordinator-world.ts';
import { ELEMENTS, ScriptedWorker } from '../../test/scripted-worker.ts';
import { NonFiniteError } from '../base/errors.ts';

describe('Coordinator and a worker that fails', () => {
  test(
    'fails the run at a loss that is not finite, naming step and micro-batch, and commits ' +
      'nothing',
    () => {
      const { clock, coordinator, host, a, b, errors, eventsOf } = startPair();

      a.contribute();
      b.contribute({ record: { lossSum: null } });
      clock.advance(5);
      assert.deepEqual(a.last('audit')?.microBatches, [4]);
      assert.equal(errors.length, 0);
      a.answerAudit({ lossSum: null });
      clock.advance(5);

      assert.equal(errors.length, 1);
      assert.ok(errors[0] instanceof NonFiniteError);
      assert.match(
        errors[0].message,
        /^step 0, micro-batch 4: the loss is not finite\. Nothing of this step was applied\./,
      );
      assert.equal(coordinator.committedSteps, 0);
      assert.equal(a.all('commit').length + b.all('commit').length, 0);
      assert.equal(eventsOf('step').length, 0);
      assert.equal(host.connectionCount(), 0);
      assert.match(a.last('goodbye')!.reason, /not finite/);
    },
  );

  test('fails the run at a gradient that is not finite, naming its tensor', () => {
    const { clock, a, b, errors } = startPair();

    a.contribute();
    b.contribute({ record: { maxima: [null] } });
    clock.advance(5);
    a.answerAudit({ maxima: [null] });
    clock.advance(5);

    assert.match(errors[0]!.message, /micro-batch 4: the gradient of tensor is not finite/);
    assert.deepEqual(errors[0]!.context, { step: 0, microBatch: 4, tensor: 'tensor' });
  });

  test('fails the run at an evaluation that is not finite, and reports no loss of zero', () => {
    const { clock, a, b, errors, eventsOf } = startPair({
      totalSteps: 2,
      evaluate: { sampleCount: 4, globalBatch: 4, microBatch: 2, split: 'test' },
      evaluateEvery: 1,
    });
    for (const worker of [a, b]) worker.contribute();
    clock.advance(5);
    assert.equal(a.last('plan')!.work, 'evaluate');

    a.contribute();
    b.contribute({ record: { lossSum: null } });
    clock.advance(5);
    a.answerAudit({ lossSum: null, maxima: [] });
    clock.advance(5);
    a.data!.send(
      { kind: 'state', step: a.last('sendState')!.step, offset: 0 },
      new Uint8Array(4 * ELEMENTS),
    );
    clock.advance(5);

    assert.match(
      errors[0]!.message,
      /^evaluation after step 1, micro-batch 1: the loss is not finite/,
    );
    assert.equal(eventsOf('evaluation').length, 0);
  });

  const offences: Record<string, Parameters<ScriptedWorker['contribute']>[0]> = {
    'is shorter than the sum': { payload: new Uint8Array(4 * ELEMENTS - 4) },
    'is longer than the sum': { payload: new Uint8Array(4 * ELEMENTS + 4) },
    'has no sum': { payload: new Uint8Array(0) },
    'lacks a tensor': { record: { maxima: [] } },
    'claims more samples than its micro-batch has': { record: { sampleCount: 3 } },
  };
  for (const [what, offence] of Object.entries(offences)) {
    test(`puts out a worker whose contribution ${what}, and gives its work to the others`, () => {
      const { clock, coordinator, a, b, eventsOf, errors } = startPair();
      const lost = b.leases();
      a.contribute();

      b.contribute(offence);
      clock.advance(5);

      assert.equal(eventsOf('worker-lost').length, 1);
      assert.deepEqual(
        eventsOf('micro-batches-reissued').map(({ fromRank, microBatches }) => [
          fromRank,
          microBatches,
        ]),
        [[1, lost]],
      );
      assert.deepEqual(a.last('lease')?.microBatches, lost);
      assert.equal(b.ended.length, 3);
      a.contribute({ microBatches: lost });
      clock.advance(5);
      assert.equal(coordinator.committedSteps, 1);
      assert.equal(coordinator.ledger.counted, 16);
      assert.deepEqual(errors, []);
    });
  }

  test(
    'gives the work of a dead worker to the others in the same step and keeps what they have ' +
      'done',
    () => {
      const { clock, coordinator, a, b } = startPair();
      const lost = b.leases();
      a.contribute();
      clock.advance(5);

      b.host.kill();
      clock.advance(5);

      assert.deepEqual(a.last('lease')?.microBatches, lost);
      a.contribute({ microBatches: lost });
      clock.advance(5);
      assert.equal(coordinator.committedSteps, 1);
    },
  );

  test('stalls a worker that is alive without progress, and takes it back once it has some', () => {
    const { clock, coordinator, a, b, eventsOf } = startPair({ totalSteps: 5 });
    const lost = b.leases();
    a.contribute();

    clock.advance(2_900);
    assert.equal(eventsOf('worker-stalled').length, 0);
    clock.advance(600);

    assert.match(eventsOf('worker-stalled')[0]!.reason, /^alive, but no progress for 3\.\d s$/);
    assert.deepEqual(a.last('lease')?.microBatches, lost);
    a.contribute({ microBatches: lost });
    clock.advance(5);
    assert.equal(coordinator.committedSteps, 1);
    b.progress++;
    clock.advance(300);
    a.contribute();
    clock.advance(5);
    a.data!.send(
      { kind: 'state', step: a.last('sendState')!.step, offset: 0 },
      new Uint8Array(4 * ELEMENTS),
    );
    clock.advance(5);
    assert.deepEqual(b.ended, []);
    assert.deepEqual(
      b.all('state').map(({ step }) => step),
      [0, 2],
    );
    assert.equal(b.last('plan')!.step, 2);
  });

  test('begins without the workers of which it is told that they will not come', () => {
    const { clock, join, coordinator } = createWorld({ minWorkers: 3 });
    const [a] = join('a', 'b') as [ScriptedWorker, ScriptedWorker];
    clock.advance(500);
    assert.equal(a.last('plan'), undefined);

    coordinator.expectAtMost(2);
    clock.advance(5);

    assert.equal(a.last('plan')?.step, 0);
  });

  test('waits no longer for a newcomer that computes nothing than four times the others', () => {
    const { clock, a, b, join, eventsOf, coordinator } = startPair({ totalSteps: 9 });
    const [c] = join('c') as [ScriptedWorker];
    for (const worker of [a, b]) worker.contribute();
    clock.advance(5);
    const lost = c.leases();
    assert.ok(lost.length > 0);
    for (const worker of [a, b]) worker.contribute();

    clock.advance(2_200);

    assert.deepEqual(
      [...a.leases(), ...b.leases()].filter((m) => lost.includes(m)),
      lost,
    );
    assert.equal(eventsOf('worker-stalled').length, 0);
    for (const worker of [a, b]) {
      const taken = worker.leases().filter((m) => lost.includes(m));
      if (taken.length > 0) worker.contribute({ microBatches: taken });
    }
    clock.advance(5);
    assert.equal(coordinator.committedSteps, 2);
    assert.deepEqual(c.ended, []);
  });

  test('waits for a worker that is alone as long as it computes', () => {
    const { clock, join, eventsOf, coordinator } = createWorld();
    const [a] = join('a') as [ScriptedWorker];
    for (let pass = 0; pass < 2; pass++) {
      a.contribute();
      clock.advance(300);
    }
    assert.equal(coordinator.committedSteps, 1);
    a.busyLanes = 1;
    clock.advance(300);

    clock.advance(900_000);

    assert.equal(eventsOf('worker-stalled').length, 0);
    a.contribute();
    clock.advance(5);
    assert.equal(coordinator.committedSteps, 2);
  });

  test('waits for an hour at most for a worker that computes and never finishes anything', () => {
    const { clock, a, b, eventsOf } = startPair();
    for (const worker of [a, b]) worker.busyLanes = 1;

    clock.advance(3_590_000);
    assert.equal(eventsOf('worker-stalled').length, 0);
    clock.advance(20_000);

    // The other one has its work now: that begins anew.
    assert.deepEqual(
      eventsOf('worker-stalled').map(({ rank }) => rank),
      [0],
    );
  });

  /** A pair that has done more steps than commits are kept, and a third worker without a state. */
  function startTrio() {
    const pair = startPair({ totalSteps: 50 });
    const step = (): void => {
      for (const worker of [pair.a, pair.b]) worker.contribute();
      pair.clock.advance(5);
    };
    for (let i = 0; i < 15; i++) step();
    const [c] = pair.join('c') as [ScriptedWorker];
    assert.equal(pair.a.last('sendState')?.step, 15);
    return { ...pair, c, step };
  }

  test('asks another worker for the state when the first is alive but does not answer', () => {
    const { clock, b, eventsOf, c } = startTrio();

    for (let i = 0; i < 21; i++) {
      b.contribute();
      clock.advance(500);
    }

    assert.equal(eventsOf('worker-stalled')[0]?.rank, 0);
    const { step } = b.last('sendState')!;
    b.data!.send({ kind: 'state', step, offset: 0 }, new Uint8Array(4 * ELEMENTS));
    clock.advance(5);
    assert.equal(c.last('state')?.step, step);
  });

  test('asks another worker for the state when the first goes on computing instead', () => {
    const { b, step, eventsOf, coordinator } = startTrio();
    step();
    assert.equal(coordinator.committedSteps, 16);
    assert.equal(b.last('sendState'), undefined);

    step();
    step();

    assert.ok((b.last('sendState')?.step ?? 0) > 15);
    assert.equal(eventsOf('worker-stalled').length, 0);
  });

  test('finishes without a worker that is alive but never tells its digest', () => {
    const { clock, a, b, results } = startPair({ totalSteps: 1 });
    b.stateDigest = undefined;
    for (const worker of [a, b]) worker.contribute();
    clock.advance(5);
    a.data!.send({ kind: 'state', step: 1, offset: 0 }, new Uint8Array(4 * ELEMENTS));

    clock.advance(9_900);
    assert.equal(results.length, 0);
    clock.advance(500);

    assert.deepEqual(
      results[0]?.replicaDigests.map(({ rank }) => rank),
      [0],
    );
  });

  test('counts the late result of a stalled worker if it comes before that of the others', () => {
    const { clock, coordinator, a, b, eventsOf } = startPair();
    const lost = b.leases();
    a.contribute();
    clock.advance(3_500);
    assert.equal(eventsOf('worker-stalled').length, 1);
    assert.deepEqual(a.last('lease')?.microBatches, lost);

    b.contribute({ microBatches: lost, payload: sumOf(1) });
    clock.advance(5);
    assert.equal(coordinator.committedSteps, 1);
    a.contribute({ microBatches: lost });
    clock.advance(5);

    assert.equal(coordinator.committedSteps, 1);
    assert.deepEqual(coordinator.ledger, { expected: 16, counted: 16, dropped: 0, duplicated: 0 });
  });

  test('has computed anew what came too late together with what was counted already', () => {
    const { clock, coordinator, a, b } = startPair();
    const lost = b.leases();
    a.contribute();
    clock.advance(3_500);
    a.contribute({ microBatches: lost.slice(0, 1) });
    clock.advance(5);

    b.contribute({ microBatches: lost });
    clock.advance(5);
    assert.equal(coordinator.committedSteps, 0);
    a.contribute({ microBatches: lost.slice(1) });
    clock.advance(5);

    assert.equal(coordinator.committedSteps, 1);
    assert.deepEqual(coordinator.ledger, { expected: 16, counted: 16, dropped: 0, duplicated: 0 });
  });

  test('waits when the last worker is gone, and goes on with the next', () => {
    const { clock, coordinator, a, b, join, eventsOf } = startPair();

    a.host.kill();
    b.host.kill();
    clock.advance(5);
    assert.equal(eventsOf('run-waiting').length, 1);
    const [c] = join('c') as [ScriptedWorker];
    assert.deepEqual(c.leases(), ALL);
    c.contribute();
    clock.advance(5);

    assert.equal(coordinator.committedSteps, 1);
  });

  test('begins the next pass once when a receiver of the totals has ended silently', () => {
    const { clock, coordinator, a, b, eventsOf } = startPair();
    a.contribute();
    clock.advance(5);

    // The connection breaks, the last contribution comes, and only then does the coordinator
    // hear of the end.
    clock.after(1, () => a.host.cutConnections());
    b.contribute();
    clock.advance(2);

    assert.equal(coordinator.committedSteps, 1);
    assert.deepEqual(
      b.all('plan').map(({ step }) => step),
      [0, 0, 1],
    );
    assert.equal(eventsOf('worker-lost').length, 1);
    b.contribute();
    clock.advance(5);
    assert.equal(coordinator.committedSteps, 2);
    assert.deepEqual(coordinator.ledger, { expected: 32, counted: 32, dropped: 0, duplicated: 0 });
  });
});
