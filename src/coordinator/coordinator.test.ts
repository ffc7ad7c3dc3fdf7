import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ELEMENTS, makeTestPlan, NO_BYTES, ScriptedWorker } from '../../test/scripted-worker.ts';
import { ManualClock } from '../base/clock.ts';
import { type LockstepError, NonFiniteError } from '../base/errors.ts';
import { DEFAULT_TIMING } from '../membership/timing.ts';
import type { RunEvent } from '../metrics/events.ts';
import type { Connection } from '../transport/connection.ts';
import { SimulatedHost } from '../transport/memory-network.ts';
import { Coordinator } from './coordinator.ts';
import type { RunResult } from './run-result.ts';
import type { RunPlan } from '../plan/run-plan.ts';

/** A manual clock on which other time than that of its timers passes, too. */
class BusyClock extends ManualClock {
  busyMs = 0;

  override now(): number {
    return super.now() + this.busyMs;
  }
}

/** A coordinator on a manual clock, with all that it tells its owner. */
function createWorld(changes: Partial<RunPlan> = {}, clock: ManualClock = new ManualClock()) {
  const host = new SimulatedHost('coordinator');
  const events: RunEvent[] = [];
  const results: RunResult[] = [];
  const errors: LockstepError[] = [];
  let sessions = 0;
  const coordinator = new Coordinator({
    plan: makeTestPlan(changes),
    bytes: NO_BYTES,
    clock,
    timing: DEFAULT_TIMING,
    newSession: () => `session-${sessions++}`,
    onEvent: (event) => void events.push(event),
    onFinished: (result) => void results.push(result),
    onFailed: (error) => void errors.push(error),
  });
  const door = {
    clock,
    host,
    accept: (connection: Connection): void => coordinator.accept(connection),
  };
  const join = (...names: string[]): ScriptedWorker[] =>
    names.map((name) => new ScriptedWorker(door, name).join());
  const kinds = (): string[] => events.map(({ kind }) => kind);
  const eventsOf = <K extends RunEvent['kind']>(kind: K): Extract<RunEvent, { kind: K }>[] =>
    events.filter((event): event is Extract<RunEvent, { kind: K }> => event.kind === kind);
  return { clock, host, coordinator, events, results, errors, door, join, kinds, eventsOf };
}

/**
 * Two workers in their first pass of real training: the pass that measures the grid is behind them.
 */
function startPair(changes: Partial<RunPlan> = {}) {
  const world = createWorld({ minWorkers: 2, ...changes });
  const [a, b] = world.join('a', 'b') as [ScriptedWorker, ScriptedWorker];
  a.contribute();
  b.contribute();
  world.clock.advance(5);
  assert.deepEqual(
    world.eventsOf('step-redone').map(({ reason }) => reason),
    ['calibration'],
  );
  assert.equal(world.coordinator.committedSteps, 0);
  return { ...world, a, b };
}

function sumOf(value: number): Uint8Array {
  return new Uint8Array(new Int32Array(ELEMENTS).fill(value).buffer);
}

const ALL = [0, 1, 2, 3, 4, 5, 6, 7];

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

  test('ends the run with everybody dismissed and one result when all steps are done', () => {
    const { clock, host, a, b, results, errors } = startPair();

    for (let step = 0; step < 2; step++) {
      for (const worker of [a, b]) worker.contribute();
      clock.advance(5);
    }
    a.data!.send({ kind: 'state', step: 2 }, new Uint8Array(4 * ELEMENTS).fill(1));
    for (const worker of [a, b])
      worker.data!.send({ kind: 'digest', step: 2, weightsDigest: 'w', stateDigest: 's' });
    clock.advance(5);

    assert.equal(errors.length, 0);
    assert.equal(results.length, 1);
    assert.deepEqual(results[0]!.ledger, { expected: 32, counted: 32, dropped: 0, duplicated: 0 });
    assert.deepEqual(
      results[0]!.workers.map(({ rank, samples }) => [rank, samples]),
      [
        [0, 24],
        [1, 24],
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
});

describe('Coordinator and a worker that fails', () => {
  test(
    'fails the run at a loss that is not finite, naming step and micro-batch, and commits ' +
      'nothing',
    () => {
      const { clock, coordinator, host, a, b, errors, eventsOf } = startPair();

      a.contribute();
      b.contribute({ record: { lossSum: null } });
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

    assert.match(errors[0]!.message, /micro-batch 4: the gradient of tensor is not finite/);
    assert.deepEqual(errors[0]!.context, { step: 0, microBatch: 4, tensor: 'tensor' });
  });

  test('fails the run at an evaluation that is not finite, and reports no loss of zero', () => {
    const { clock, a, b, errors, eventsOf } = startPair({
      totalSteps: 1,
      evaluate: { sampleCount: 4, globalBatch: 4, microBatch: 2, split: 'test' },
      evaluateEvery: 1,
    });
    for (const worker of [a, b]) worker.contribute();
    clock.advance(5);
    assert.equal(a.last('plan')!.work, 'evaluate');

    a.contribute();
    b.contribute({ record: { lossSum: null } });
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
    a.data!.send({ kind: 'state', step: a.last('sendState')!.step }, new Uint8Array(4 * ELEMENTS));
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

  test('gives a worker a minute for its first micro-batch', () => {
    const { clock, join, eventsOf } = createWorld({ minWorkers: 2 });
    const [a, b] = join('a', 'b') as [ScriptedWorker, ScriptedWorker];
    a.contribute();
    const lost = b.leases();

    clock.advance(59_000);
    assert.equal(eventsOf('worker-stalled').length, 0);
    clock.advance(1_500);

    assert.equal(eventsOf('worker-stalled').length, 1);
    assert.deepEqual(a.last('lease')?.microBatches, lost);
  });

  test('asks another worker for the state when the first is alive but does not answer', () => {
    const { clock, a, b, join, eventsOf, coordinator } = startPair({ totalSteps: 5 });
    const [c] = join('c') as [ScriptedWorker];
    for (const worker of [a, b]) worker.contribute();
    clock.advance(5);
    assert.equal(a.last('sendState')?.step, 1);
    for (const worker of [a, b]) worker.contribute();

    clock.advance(9_900);
    assert.equal(eventsOf('worker-stalled').length, 0);
    clock.advance(500);

    assert.match(
      eventsOf('worker-stalled')[0]!.reason,
      /^alive, but no answer about its state for 10\.\d s$/,
    );
    assert.equal(b.last('sendState')?.step, 1);
    b.data!.send({ kind: 'state', step: 1 }, new Uint8Array(4 * ELEMENTS));
    clock.advance(5);
    assert.equal(c.last('state')?.step, 1);
    assert.equal(coordinator.committedSteps, 2);
  });

  test('finishes without a worker that is alive but never tells its digest', () => {
    const { clock, a, b, results } = startPair({ totalSteps: 1 });
    for (const worker of [a, b]) worker.contribute();
    clock.advance(5);
    a.data!.send({ kind: 'state', step: 1 }, new Uint8Array(4 * ELEMENTS));
    a.data!.send({ kind: 'digest', step: 1, weightsDigest: 'w', stateDigest: 's' });

    clock.advance(9_900);
    assert.equal(results.length, 0);
    clock.advance(500);

    assert.deepEqual(
      results[0]?.replicaDigests.map(({ rank }) => rank),
      [0],
    );
  });

  test('does not count what a stalled worker sends after its work went to others', () => {
    const { clock, coordinator, a, b } = startPair();
    const lost = b.leases();
    a.contribute();
    clock.advance(3_500);

    b.contribute({ microBatches: lost, payload: sumOf(1) });
    clock.advance(5);
    assert.equal(coordinator.committedSteps, 0);
    a.contribute({ microBatches: lost });
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
    for (let pass = 0; pass < 2; pass++) {
      c.contribute();
      clock.advance(5);
    }

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
});
