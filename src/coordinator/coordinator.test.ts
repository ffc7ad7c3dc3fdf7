import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ALL, createWorld, startPair, sumOf } from '../../test/coordinator-world.ts';
import { DATA_DIGEST, ELEMENTS, makeTestPlan, ScriptedWorker } from '../../test/scripted-worker.ts';
import { ManualClock } from '../base/clock.ts';
import type { Connection } from '../transport/connection.ts';

/** A manual clock on which other time than that of its timers passes, too. */
class BusyClock extends ManualClock {
  busyMs = 0;

  override now(): number {
    return super.now() + this.busyMs;
  }
}

describe('Coordinator in a step', () => {
  test(
    'leases every micro-batch once and commits when all are in, with the sum of the ' +
      'contributions',
    () => {
      const { clock, coordinator, a, b, eventsOf } = startPair();
      assert.deepEqual([...a.leases(), ...b.leases()], ALL);
      let totals: number[] = [];
      a.data!.handlers = {
        ...a.data!.handlers,
        onFrame: (_, payload) => void (totals = [...new Int32Array(payload.slice().buffer)]),
      };

      a.contribute({ payload: sumOf(1000) });
      clock.advance(5);
      assert.equal(coordinator.committedSteps, 0);
      b.contribute({ payload: sumOf(-1) });
      clock.advance(5);

      assert.equal(coordinator.committedSteps, 1);
      assert.deepEqual(totals, Array(ELEMENTS).fill(999));
      assert.deepEqual(coordinator.ledger, {
        expected: 16,
        counted: 16,
        dropped: 0,
        duplicated: 0,
      });
      assert.deepEqual(
        eventsOf('step').map(({ step, sampleCount, lossMean }) => [step, sampleCount, lossMean]),
        [[1, 16, 0.5]],
      );
    },
  );

  test('measures an evaluation from its beginning, also when it takes long to send the plans', () => {
    const clock = new BusyClock();
    const evaluate = { sampleCount: 4, globalBatch: 4, microBatch: 2, split: 'test' } as const;
    const { coordinator, door, eventsOf } = createWorld({ minWorkers: 2, evaluate }, clock);
    const slowDoor = {
      ...door,
      accept(connection: Connection): void {
        const send = connection.send.bind(connection);
        connection.send = (header, ...rest) => {
          if ('kind' in header && header.kind === 'plan') clock.busyMs += 100;
          send(header, ...rest);
        };
        coordinator.accept(connection);
      },
    };
    const workers = ['a', 'b'].map((name) => new ScriptedWorker(slowDoor, name).join());
    for (const pass of ['calibration', 'training', 'evaluation']) {
      assert.equal(workers[0]!.last('plan')!.work === 'evaluate', pass === 'evaluation');
      for (const worker of workers) worker.contribute();
      clock.advance(5);
    }

    const [evaluation] = eventsOf('evaluation');
    assert.ok(evaluation !== undefined && evaluation.evaluateMs >= 200);
  });

  test('counts neither a repeated contribution nor one for leases of another worker', () => {
    const { clock, coordinator, a, b } = startPair();

    a.contribute({ payload: sumOf(1) });
    a.contribute({ payload: sumOf(1) });
    a.contribute({ microBatches: b.leases(), payload: sumOf(1) });
    clock.advance(5);
    assert.equal(coordinator.committedSteps, 0);
    b.contribute({ payload: sumOf(1) });
    clock.advance(5);

    assert.equal(coordinator.committedSteps, 1);
    assert.deepEqual(coordinator.ledger, { expected: 16, counted: 16, dropped: 0, duplicated: 0 });
  });

  test('gives what a worker held to others when it is ready a second time', () => {
    const { clock, coordinator, a, b, eventsOf } = startPair();
    const held = b.leases();
    assert.ok(held.length > 0);

    b.say({ kind: 'ready', dataDigest: DATA_DIGEST, numericsClass: 'two', loadMs: 1 });
    clock.advance(5);
    assert.match(eventsOf('worker-lost')[0]?.reason ?? '', /said ready twice/);
    assert.deepEqual(eventsOf('micro-batches-reissued')[0]?.microBatches, held);
    a.contribute({ payload: sumOf(1) });
    clock.advance(5);

    assert.equal(coordinator.committedSteps, 1);
    assert.deepEqual(coordinator.ledger, { expected: 16, counted: 16, dropped: 0, duplicated: 0 });
  });

  test('computes a step again on a wider grid when a gradient leaves it, commits it once', () => {
    const { clock, coordinator, a, b, eventsOf } = startPair();
    const [before] = a.last('plan')!.exponents;

    for (const worker of [a, b]) worker.contribute({ record: { maxima: [1000] } });
    clock.advance(5);
    assert.deepEqual(
      eventsOf('step-redone').map(({ reason }) => reason),
      ['calibration', 'overflow'],
    );
    assert.ok(a.last('plan')!.exponents[0]! < before!);
    for (const worker of [a, b]) worker.contribute({ record: { maxima: [1000] } });
    clock.advance(5);

    assert.equal(coordinator.committedSteps, 1);
  });

  test('keeps the state after the last update before it is evaluated', () => {
    const { clock, coordinator, a, b, results, trained } = startPair({
      totalSteps: 1,
      evaluate: { sampleCount: 4, globalBatch: 4, microBatch: 2, split: 'test' },
    });
    for (const worker of [a, b]) worker.contribute();
    clock.advance(5);
    assert.equal(a.last('plan')!.work, 'train');
    assert.deepEqual([coordinator.committedSteps, coordinator.snapshot.step, trained], [1, 0, []]);

    a.data!.send({ kind: 'state', step: 1, offset: 0 }, new Uint8Array(4 * ELEMENTS).fill(1));
    clock.advance(5);
    assert.equal(a.last('plan')!.work, 'evaluate');
    assert.deepEqual([coordinator.snapshot.step, trained], [1, [1]]);
    for (const worker of [a, b]) worker.contribute();
    clock.advance(5);
    assert.equal(results.length, 1);
  });

  test('ends the run with everybody dismissed and one result when all steps are done', () => {
    const { clock, host, a, b, results, errors } = startPair();

    for (let step = 0; step < 2; step++) {
      for (const worker of [a, b]) worker.contribute();
      clock.advance(5);
    }
    a.data!.send({ kind: 'state', step: 2, offset: 0 }, new Uint8Array(4 * ELEMENTS).fill(1));
    clock.advance(5);

    assert.equal(errors.length, 0);
    assert.equal(results.length, 1);
    assert.deepEqual(results[0]!.ledger, { expected: 32, counted: 32, dropped: 0, duplicated: 0 });
    assert.deepEqual(
      results[0]!.workers.map(({ rank, samples }) => [rank, samples]),
      [
        [0, 16],
        // The first micro-batch was computed before, to measure gradients.
        [1, 18],
      ],
    );
    assert.deepEqual(
      results[0]!.replicaDigests.map(({ stateDigest }) => stateDigest),
      ['s', 's'],
    );
    assert.ok(a.last('goodbye') !== undefined && b.last('goodbye') !== undefined);
    assert.equal(host.connectionCount(), 0);
    assert.equal(clock.pendingCount(), 0);
  });

  test('tells a worker that comes after the end that the run is over', () => {
    const { clock, host, coordinator, door } = startPair();
    coordinator.stop('done');
    clock.advance(10);

    const late = new ScriptedWorker(door, 'late');
    late.dial('control', late.hello('control', ''));
    clock.advance(10);

    assert.deepEqual(late.received, [{ kind: 'goodbye', reason: 'the run is over' }]);
    assert.deepEqual(late.ended, ['control']);
    assert.equal(host.connectionCount(), 0);
  });
});

describe('Coordinator and a loss that explodes', () => {
  /** Two steps, of which the second has this loss; the sum of a micro-batch of the first is 1. */
  const lossesOf = (stopOnDivergence: boolean, lossSum: number) => {
    const world = startPair({ stopOnDivergence });
    for (const sum of [1, lossSum]) {
      for (const worker of [world.a, world.b]) worker.contribute({ record: { lossSum: sum } });
      world.clock.advance(5);
    }
    const told = world
      .eventsOf('diverged')
      .map(({ step, lossMean, firstLoss }) => [step, lossMean, firstLoss]);
    return { ...world, told };
  };

  test('tells that the training has diverged, and goes on', () => {
    const { told, errors, coordinator } = lossesOf(false, 8.6e14);

    assert.deepEqual(told, [[2, 4.3e14, 0.5]]);
    assert.deepEqual(errors, []);
    assert.equal(coordinator.committedSteps, 2);
  });

  test('ends the run that is to stop then, once the step is reported and its state kept', () => {
    const { clock, coordinator, told, errors, eventsOf, a } = lossesOf(true, 8.6e14);

    assert.deepEqual([told, errors], [[[2, 4.3e14, 0.5]], []]);
    a.data!.send({ kind: 'state', step: 2, offset: 0 }, new Uint8Array(4 * ELEMENTS).fill(1));
    clock.advance(5);
    assert.deepEqual([coordinator.snapshot.step, coordinator.snapshot.bytes[0]], [2, 1]);
    assert.deepEqual(
      errors.map(({ code }) => code),
      ['DIVERGED'],
    );
    assert.equal(eventsOf('step').length, 2);
    assert.ok(a.last('goodbye') !== undefined);
    assert.equal(clock.pendingCount(), 0);
  });

  test('ends that run, too, when nobody gives the state', () => {
    const { clock, coordinator, errors } = lossesOf(true, 8.6e14);
    clock.advance(9_900);
    assert.deepEqual(errors, []);
    clock.advance(200);

    assert.deepEqual([errors.length, coordinator.snapshot.step], [1, 0]);
  });

  test('ends no run of which the loss only rises', () => {
    const { told, errors } = lossesOf(true, 100);

    assert.deepEqual([told, errors], [[], []]);
  });
});

describe('Coordinator and work that moves', () => {
  test(
    'takes micro-batches that are not started from a slow worker and gives them to an ' +
      'idle one',
    () => {
      const { clock, coordinator, a, b } = startPair();
      // The last step taught it that both need 10 ms for a micro-batch; then `a` hangs back.
      const slow = a.leases();

      b.contribute();
      clock.advance(5);

      const release = a.last('release')!;
      assert.ok(release.count >= 1 && release.count < slow.length);
      const given = slow.slice(-release.count);
      a.say({ kind: 'released', pass: release.pass, microBatches: given });
      clock.advance(5);
      assert.deepEqual(b.last('lease')?.microBatches, given);

      b.contribute({ microBatches: given });
      a.contribute({ microBatches: slow.slice(0, -release.count) });
      clock.advance(5);
      assert.equal(coordinator.committedSteps, 1);
      assert.equal(coordinator.ledger.counted, 16);
      const samples = coordinator.tallies().map((tally) => tally.samples);
      assert.ok(samples[1]! > samples[0]!, String(samples));
    },
  );

  test('does not ask again in a pass in which the slow worker had nothing to give', () => {
    const { clock, coordinator, a, b } = startPair();
    b.contribute();
    clock.advance(5);

    a.say({ kind: 'released', pass: a.last('release')!.pass, microBatches: [] });
    clock.advance(1000);

    assert.equal(a.all('release').length, 1);
    a.contribute();
    clock.advance(5);
    assert.equal(coordinator.committedSteps, 1);
  });

  test('gives a worker that turned out slower less of the next step', () => {
    const { clock, a, b } = startPair();

    a.contribute({ record: { computeMs: 100 } });
    b.contribute({ record: { computeMs: 10 } });
    clock.advance(5);

    assert.ok(
      a.leases().length < b.leases().length,
      `${a.leases().length} and ${b.leases().length}`,
    );
    assert.equal(a.leases().length + b.leases().length, 8);
  });

  test('ignores the release of micro-batches that the worker does not hold', () => {
    const { clock, coordinator, a, b } = startPair();

    a.say({ kind: 'released', pass: a.last('plan')!.pass, microBatches: [...b.leases(), 99] });
    clock.advance(5);
    a.contribute();
    b.contribute();
    clock.advance(5);

    assert.equal(coordinator.committedSteps, 1);
  });

  test('reports the norms of steps that there were, whatever a worker says of later ones', () => {
    const { job } = makeTestPlan();
    const { clock, a, b, eventsOf } = startPair({ job: { ...job, tracksNorms: true } });
    a.data!.send({ kind: 'applied', step: 99, norms: [7] });
    for (const worker of [a, b]) worker.contribute();
    clock.advance(5);

    b.data!.send({ kind: 'applied', step: 1, norms: [2] });
    clock.advance(5);

    assert.deepEqual(eventsOf('gradient-norms'), [
      { kind: 'gradient-norms', step: 1, norms: { tensor: 2 } },
    ]);
  });
});
