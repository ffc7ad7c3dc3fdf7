import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createWorld, startPair } from '../../../test/coordinator-world.ts';
import { ELEMENTS, type ScriptedWorker } from '../../../test/scripted-worker.ts';
import type { RunPlan } from '../../plan/run-plan.ts';

const STEPS = 100;
const STEP_MS = 10;

/** A worker that is alone, and has been granted its second step and more. */
function startAlone(changes: Partial<RunPlan> = {}, stepMs = STEP_MS) {
  const world = createWorld({ totalSteps: STEPS, ...changes });
  const [worker] = world.join('alone') as [ScriptedWorker];
  for (let pass = 0; pass < 2; pass++) {
    world.clock.advance(stepMs);
    worker.contribute();
    world.clock.advance(5);
  }
  let nextPass = worker.last('plan')!.pass + 1;
  /** Does so many steps without being told. */
  const go = (steps: number): void => {
    for (let i = 0; i < steps; i++) {
      worker.contributeTo(nextPass++);
      world.clock.advance(STEP_MS);
    }
  };
  const grantedUntil = (): number => {
    const { step, updates } = worker.last('grant')!;
    return step + updates.length;
  };
  return { ...world, worker, go, grantedUntil };
}

describe('Granting', () => {
  test('has a worker that is alone commit by itself, and more granted before that is done', () => {
    const { coordinator, worker, go, grantedUntil, eventsOf } = startAlone();
    const first = worker.all('grant').length;
    assert.deepEqual([first, worker.all('plan').length, worker.all('commit').length], [1, 2, 1]);
    const [{ start, step }] = worker.all('grant') as [
      NonNullable<ReturnType<typeof worker.last<'grant'>>>,
    ];
    assert.deepEqual([step, start?.maxima, start?.stepsPerEpoch], [1, [1], 2]);

    go(50);

    assert.equal(coordinator.committedSteps, 51);
    assert.deepEqual([worker.all('plan').length, worker.all('commit').length], [2, 1]);
    assert.ok(grantedUntil() > 51 && worker.all('grant').length > 2);
    assert.deepEqual(
      eventsOf('step').map((event) => event.step),
      Array.from({ length: 51 }, (_, i) => i + 1),
    );
  });

  test('grants nothing beyond an evaluation or the end of the run', () => {
    const evaluate = { sampleCount: 4, globalBatch: 4, microBatch: 2, split: 'test' } as const;
    const { worker, go, grantedUntil } = startAlone({ evaluate, evaluateEvery: 4, totalSteps: 20 });
    assert.equal(grantedUntil(), 4);

    go(3);

    assert.equal(worker.last('plan')!.work, 'evaluate');
  });

  test('grants nothing of steps that were granted and done, and are lost with the worker', () => {
    const { coordinator, clock, worker, go, join, kinds } = startAlone({ totalSteps: 20 });
    go(19);
    assert.equal(coordinator.committedSteps, 20);

    // Its last state is asked for.
    worker.host.kill();
    clock.advance(5);
    const [heir] = join('heir') as [ScriptedWorker];

    assert.ok(kinds().includes('rolled-back'));
    assert.equal(heir.last('plan')?.leases.length, 1);
  });

  test('does not grant a step that is computed again on a wider grid', () => {
    const { clock, a, b, eventsOf } = startPair({ totalSteps: STEPS });
    for (const worker of [a, b]) worker.contribute();
    clock.advance(5);
    b.host.kill();
    clock.advance(5);

    const leases = Array.from({ length: 8 }, (_, microBatch) => microBatch);
    a.contribute({ microBatches: leases, record: { maxima: [1e6] } });
    clock.advance(5);

    assert.equal(eventsOf('step-redone').at(-1)?.reason, 'overflow');
    assert.deepEqual([a.last('plan')?.reduction, a.all('grant').length], ['alone', 0]);

    a.contribute({ record: { maxima: [1e6] } });
    clock.advance(5);
    assert.equal(a.last('grant')?.step, 2);
  });

  test('does not grant what is audited, is to end when it diverges, or takes long', () => {
    const slow = startAlone({}, 150);
    const audited = startAlone({ auditRate: 0.1 });
    for (const { worker } of [slow, audited, startAlone({ stopOnDivergence: true })]) {
      assert.deepEqual([worker.all('grant').length, worker.all('plan').length], [0, 3]);
    }
  });

  test('lets in who comes at the end of what is granted', () => {
    const { clock, worker, go, grantedUntil, join, coordinator } = startAlone();
    go(1);
    const until = grantedUntil();
    const [late] = join('late') as [ScriptedWorker];

    go(until - coordinator.committedSteps);

    assert.equal(worker.last('sendState')!.step, until);
    worker.data!.send({ kind: 'state', step: until, offset: 0 }, new Uint8Array(4 * ELEMENTS));
    clock.advance(5);
    assert.equal(late.last('state')!.step, until);
    assert.equal(grantedUntil(), until);
  });

  test('waits for a worker that freezes as long as nobody else is there', () => {
    const { clock, coordinator, worker, go, eventsOf } = startAlone();
    go(3);
    worker.stopBeating();
    clock.advance(4_000);
    assert.equal(eventsOf('worker-stalled').length, 1);

    worker.startBeating();
    go(5);

    assert.equal(coordinator.committedSteps, 9);
    assert.equal(eventsOf('rolled-back').length, 0);
  });

  test('grants again to a worker that was away in the last step that it was granted', () => {
    const evaluate = { sampleCount: 4, globalBatch: 4, microBatch: 2, split: 'test' } as const;
    const { clock, worker, go } = startAlone({ evaluate, evaluateEvery: 4 });
    go(2);
    worker.stopBeating();
    clock.advance(4_000);
    worker.startBeating();
    go(1);
    assert.equal(worker.last('plan')!.work, 'evaluate');

    // Its time away is that of its steps, until one is timed again.
    for (let pass = 0; pass < 2; pass++) {
      clock.advance(STEP_MS);
      worker.contribute();
      clock.advance(5);
    }

    assert.equal(worker.last('grant')!.step, 5);
  });

  test('goes back to the snapshot with another when it freezes, and takes nothing of it then', () => {
    const { clock, coordinator, worker, go, join, eventsOf, errors } = startAlone();
    go(3);
    worker.stopBeating();
    clock.advance(4_000);
    const [other] = join('other') as [ScriptedWorker];
    clock.advance(1_000);
    assert.deepEqual(
      eventsOf('rolled-back').map(({ fromStep, toStep }) => [fromStep, toStep]),
      [[4, 0]],
    );
    assert.equal(other.last('state')!.step, 0);

    worker.startBeating();
    go(4);

    assert.equal(coordinator.committedSteps, 0);
    assert.equal(eventsOf('worker-lost').length, 0);
    assert.equal(worker.last('state')!.step, 0);
    assert.deepEqual(errors, []);
  });

  test('keeps the state at the end of what is granted when the run is to end', () => {
    const { clock, coordinator, worker, go, grantedUntil } = startAlone();
    go(3);
    const until = grantedUntil();
    let kept: number | undefined;
    coordinator.keepState(() => (kept = coordinator.snapshot.step));

    go(until - coordinator.committedSteps);
    assert.deepEqual([worker.last('sendState')!.step, grantedUntil()], [until, until]);
    worker.data!.send({ kind: 'state', step: until, offset: 0 }, new Uint8Array(4 * ELEMENTS));
    clock.advance(5);

    assert.equal(kept, until);
  });
});
