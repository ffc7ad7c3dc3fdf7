/** Steps that a group is granted, as the coordinator hears of them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createWorld } from '../../../test/coordinator-world.ts';
import { recordOf } from '../../../test/pass-facts.ts';
import { ScriptedWorker } from '../../../test/scripted-worker.ts';
import { noteBytesOf, writeNote } from '../../plan/attempt-note.ts';
import type { RunPlan } from '../../plan/run-plan.ts';
import { divideInOrder } from '../../plan/shares.ts';
import type { Grant, MicroBatchRecord } from '../../protocol/messages.ts';

const STEPS = 60;
const WHOLE = 8;
const GENERATION = 1;
/** The first pass of a group: the coordinator leads that which measures, and the first step. */
const FIRST = 3;

/** The second step of an epoch has two micro-batches. */
const SHORT_SECOND = { sampleCount: 20, globalBatch: 16, microBatch: 2 } as const;
/** Steps so short that as many as possible are granted. */
const SHORT = { totalSteps: 5_000 } as const;

/** A group of `count` workers that has been granted its second step and more. */
function startGroup(count = 2, changes: Partial<RunPlan> = {}) {
  const plan = { collective: 'ring', totalSteps: STEPS, minWorkers: count, ...changes } as const;
  const world = createWorld(plan);
  const { clock } = world;
  const workers = Array.from({ length: count }, (_, i) => {
    const worker = new ScriptedWorker(world.door, `w${i}`);
    worker.doors = [{ host: `w${i}`, port: 1 }];
    return worker.join();
  });
  for (let pass = 1; pass < FIRST; pass++) {
    clock.advance(5);
    for (const worker of workers) {
      if (pass === 2) worker.say({ kind: 'grouped', generation: GENERATION });
      const payload = new Uint8Array(4 * (changes.sumElements ?? 4));
      worker.contribute(pass === 2 ? { payload } : {});
    }
    clock.advance(5);
  }
  const { shares } = workers[0]!.last('grant')!.start!.group!;
  const size = changes.train?.globalBatch ?? 2 * WHOLE;
  /** Micro-batches of each worker in a step with so many. */
  const partsOf = (microBatches = size / 2): number[][] => divideInOrder(shares, microBatches);
  /** A worker tells of its part in a pass. */
  const contribute = (index: number, pass: number, record?: Partial<MicroBatchRecord>): void =>
    workers[index]!.contributeTo(pass, partsOf()[index], record);
  /** All do, pass after pass. */
  const go = (first: number, last: number): void => {
    for (let pass = first; pass <= last; pass++) {
      for (const index of workers.keys()) contribute(index, pass);
      clock.advance(5);
    }
  };
  const reduced = (index: number, pass: number): void => {
    workers[index]!.data!.send({ kind: 'reduced', pass });
    clock.advance(5);
  };
  /** What all told each other of a pass. */
  const notesOn = (record: Partial<MicroBatchRecord> = {}): Uint8Array => {
    const bytes = noteBytesOf(1, WHOLE);
    const notes = new Uint8Array(count * bytes);
    for (const [i, part] of partsOf().entries()) {
      const records = part.map((microBatch) => recordOf(microBatch, record));
      writeNote(records, 1, notes.subarray(i * bytes, (i + 1) * bytes));
    }
    return notes;
  };
  /** A worker answers a fence: it has come to `pass`. */
  const answer = (index: number, pass: number, ...notes: readonly Uint8Array[]): void => {
    const fenced = { kind: 'fenced', generation: GENERATION, pass } as const;
    workers[index]!.data!.send(fenced, Buffer.concat(notes));
    clock.advance(5);
  };
  const kill = (index: number): void => {
    workers[index]!.host.kill();
    clock.advance(5);
  };
  const tools = { partsOf, contribute, go, reduced, notesOn, answer, kill };
  return { ...world, workers, shares, ...tools };
}

function endOf({ step, updates }: Grant): number {
  return step + updates.length;
}

describe('Granting to a group', () => {
  test('has all commit by themselves, each its share, and grants more before that is done', () => {
    const { coordinator, workers, shares, go } = startGroup();
    const [grant] = workers[0]!.all('grant') as [Grant];
    assert.deepEqual(shares, [4, 4]);
    assert.equal(grant.step, 1);
    const group = { generation: GENERATION, shares: [4, 4] };
    assert.deepEqual(grant.start, { pass: FIRST, maxima: [1], stepsPerEpoch: 2, group });

    go(FIRST, FIRST + 40);

    // Of the last pass nobody has said that it has the total.
    assert.equal(coordinator.committedSteps, 41);
    const [a, b] = workers.map((worker) => worker.all('grant')) as [Grant[], Grant[]];
    assert.deepEqual(a, b);
    assert.ok(a.length > 2 && endOf(a.at(-1)!) > 41);
    for (const worker of workers) {
      assert.equal(worker.all('plan').length, 2);
      assert.equal(worker.all('commit').length, 1);
      assert.equal(worker.all('reduce').length, 0);
    }
  });

  test('shares out what it grants next by what speeds are then', () => {
    const { coordinator, workers, clock, partsOf } = startGroup();
    let pass = FIRST;
    for (; workers[0]!.last('grant')!.shares === undefined && pass < FIRST + 30; pass++) {
      for (const [index, part] of partsOf().entries())
        workers[index]!.contributeTo(pass, part, { computeMs: index === 0 ? 1 : 3 });
      clock.advance(5);
    }

    const { step, shares, start } = workers[1]!.last('grant')!;
    assert.deepEqual([shares, start], [[6, 2], undefined]);
    // Before that the first shares hold, then these.
    for (; pass - FIRST + 1 < step; pass++) {
      for (const [index, part] of partsOf().entries())
        workers[index]!.contributeTo(pass, part, { computeMs: index === 0 ? 1 : 3 });
      clock.advance(5);
    }
    const parts = divideInOrder(shares!, WHOLE);
    for (const end = pass + 2; pass < end; pass++) {
      for (const [index, part] of parts.entries()) workers[index]!.contributeTo(pass, part);
      clock.advance(5);
    }
    assert.ok(coordinator.committedSteps > step);
    const { counted, expected, duplicated } = coordinator.ledger;
    assert.deepEqual([counted, duplicated], [expected, 0]);
  });

  test('counts a pass once all members are known to have its total', () => {
    const { coordinator, contribute, reduced, clock } = startGroup();
    contribute(0, FIRST);
    contribute(1, FIRST);
    clock.advance(5);
    assert.equal(coordinator.committedSteps, 1);

    contribute(0, FIRST + 1);
    clock.advance(5);
    assert.equal(coordinator.committedSteps, 1);

    reduced(1, FIRST);
    assert.equal(coordinator.committedSteps, 2);
  });

  test('keeps what one member contributes before the others do', () => {
    const { coordinator, contribute, clock, go, eventsOf } = startGroup();
    for (let pass = FIRST; pass < FIRST + 20; pass++) contribute(0, pass);
    clock.advance(5);
    assert.equal(coordinator.committedSteps, 1);

    for (let pass = FIRST; pass < FIRST + 20; pass++) contribute(1, pass);
    clock.advance(5);

    assert.equal(coordinator.committedSteps, 20);
    go(FIRST + 20, FIRST + 21);
    assert.equal(coordinator.committedSteps, 22);
    assert.deepEqual(eventsOf('worker-lost'), []);
  });

  test('hears of all attempts at what it has granted at once, and puts out who tells of more', () => {
    const { contribute, clock, eventsOf, workers, coordinator } = startGroup(2, SHORT);
    let pass = FIRST;
    const aheadOf = (): number => endOf(workers[0]!.last('grant')!) - coordinator.committedSteps;
    for (; aheadOf() <= 300; pass++) {
      for (const index of [0, 1]) contribute(index, pass);
      clock.advance(0.5);
    }
    const ahead = aheadOf();

    // Each step twice, as if the first attempt had been too large for the grid.
    for (let i = 0; i < 2 * ahead; i++) contribute(0, pass++);
    clock.advance(5);
    assert.deepEqual(eventsOf('worker-lost'), []);
    for (let i = 0; i < 1_024; i++) contribute(0, pass++);
    clock.advance(5);

    const [{ rank, reason } = {}] = eventsOf('worker-lost');
    assert.deepEqual([rank, reason], [0, 'it is too far ahead of the others']);
  });

  test('goes on after a step in which a member has no part, whoever is heard first', () => {
    const evaluate = { sampleCount: 4, globalBatch: 4, microBatch: 2, split: 'test' } as const;
    const shape = { train: SHORT_SECOND, evaluate, evaluateEvery: 4 };
    const { workers, partsOf, clock, reduced, contribute, coordinator } = startGroup(3, shape);
    const short = partsOf(2);
    assert.deepEqual(short, [[], [0], [1]]);

    // Steps 1 and 3 are short: the first worker says of these only that it has the total.
    for (const pass of [FIRST, FIRST + 2]) {
      for (const index of [1, 2]) workers[index]!.contributeTo(pass, short[index]);
      if (pass === FIRST) {
        reduced(0, pass);
        for (const index of [0, 1, 2]) contribute(index, pass + 1);
      }
      clock.advance(5);
    }
    for (const index of [1, 2]) reduced(index, FIRST + 2);
    assert.equal(coordinator.committedSteps, 2);
    reduced(0, FIRST + 2);

    assert.equal(coordinator.committedSteps, 4);
    assert.equal(workers[0]!.last('plan')!.work, 'evaluate');
  });

  test('is not held up by what comes twice', () => {
    const { workers, partsOf, clock, reduced, contribute, coordinator } = startGroup(3, {
      train: SHORT_SECOND,
    });
    const short = partsOf(2);
    for (const index of [1, 2]) workers[index]!.contributeTo(FIRST, short[index]);
    reduced(0, FIRST);
    for (const index of [0, 1, 2]) contribute(index, FIRST + 1);

    // Of the first worker nothing comes meanwhile.
    for (const index of [1, 2])
      for (let i = 0; i < 2; i++) workers[index]!.contributeTo(FIRST + 2, short[index]);
    for (const index of [1, 2]) contribute(index, FIRST + 3);
    clock.advance(5);
    reduced(0, FIRST + 2);
    contribute(0, FIRST + 3);
    clock.advance(5);
    for (const index of [0, 1, 2]) reduced(index, FIRST + 3);

    assert.equal(coordinator.committedSteps, 5);
    const { expected, counted, duplicated } = coordinator.ledger;
    assert.deepEqual([counted, duplicated], [expected, 0]);
  });

  test('grants no more steps at once than notes can be handed over on', () => {
    // Notes of two workers on 1,024 micro-batches have 16 KiB: of 256 attempts, 4 MiB.
    const train = { sampleCount: 4_096, globalBatch: 2_048, microBatch: 2 } as const;
    const { workers, contribute, clock, coordinator } = startGroup(2, {
      train,
      sumElements: 1 << 17,
      ...SHORT,
    });
    for (let pass = FIRST; coordinator.committedSteps < 250; pass++) {
      for (const index of [0, 1]) contribute(index, pass);
      // They come half a millisecond after each other.
      clock.advance(0.5);
    }

    const counts = workers[0]!.all('grant').map(({ updates }) => updates.length);
    assert.equal(Math.max(...counts), 127);
  });

  test('ends a group that does not add up what is complete, after two seconds', () => {
    const { contribute, clock, eventsOf, workers } = startGroup();
    contribute(0, FIRST);
    contribute(1, FIRST);
    contribute(0, FIRST + 1);
    clock.advance(2_000);
    assert.equal(workers[0]!.all('fence').length, 0);
    clock.advance(500);

    const fence = { kind: 'fence', generation: GENERATION, heard: FIRST - 1 };
    assert.deepEqual(
      workers.map((worker) => worker.last('fence')),
      [fence, fence],
    );
    for (const worker of workers)
      worker.data!.send({ kind: 'fenced', generation: GENERATION, pass: null });
    clock.advance(5);
    const reason = 'rank 1: no progress with adding up for 2 s';
    assert.equal(eventsOf('collective-chosen').at(-1)?.reason, reason);
  });

  test('keeps the state at the end of what is granted when the run is to end', () => {
    const { coordinator, go, reduced, workers, clock } = startGroup();
    const until = endOf(workers[0]!.last('grant')!);
    let kept: number | undefined;
    coordinator.keepState(() => (kept = coordinator.snapshot.step));
    const last = FIRST + until - 2;

    go(FIRST, last);
    for (const index of [0, 1]) reduced(index, last);

    assert.equal(coordinator.committedSteps, until);
    const donors = workers.filter((worker) => worker.last('sendState')?.step === until);
    donors[0]!.data!.send({ kind: 'state', step: until, offset: 0 }, new Uint8Array(16));
    clock.advance(5);
    assert.equal(kept, until);
  });

  test('lets in who comes at the end of what is granted', () => {
    const { go, reduced, workers, clock, join } = startGroup();
    const until = endOf(workers[0]!.last('grant')!);
    const last = FIRST + until - 2;
    const [late] = join('late') as [ScriptedWorker];

    go(FIRST, last);
    for (const index of [0, 1]) reduced(index, last);

    const [donor] = workers.filter((worker) => worker.last('sendState')?.step === until);
    donor!.data!.send({ kind: 'state', step: until, offset: 0 }, new Uint8Array(16));
    clock.advance(5);
    assert.equal(late.last('state')!.step, until);
    // The members go on meanwhile; what the newcomer is to follow goes through the coordinator.
    assert.equal(workers[0]!.last('plan')!.reduction, 'star');
  });
});

describe('A fence in the middle of granted steps', () => {
  test('counts what members have committed, also where a dead one was not heard', () => {
    const { coordinator, contribute, go, kill, notesOn, answer, workers, eventsOf } = startGroup();
    go(FIRST, FIRST + 1);
    for (const pass of [FIRST + 2, FIRST + 3]) contribute(0, pass);
    kill(1);
    assert.deepEqual(workers[0]!.last('fence')?.heard, FIRST);
    assert.equal(coordinator.committedSteps, 2);

    const loss = { lossSum: 3 };
    answer(0, FIRST + 3, notesOn(), notesOn(loss), notesOn(loss));

    assert.equal(coordinator.committedSteps, 5);
    const { expected, counted, dropped, duplicated } = coordinator.ledger;
    assert.deepEqual([expected, counted, dropped, duplicated], [80, 80, 0, 0]);
    // What was heard is taken as it was said; of the other four micro-batches the notes tell.
    const losses = eventsOf('step').map(({ lossMean }) => lossMean);
    assert.deepEqual(losses, [0.5, 0.5, 0.5, 1, 1]);
    // The survivor has that state, and goes on with the next step, alone.
    assert.deepEqual([workers[0]!.last('grant')?.step, workers[0]!.all('state').length], [5, 1]);
  });

  test('gives the state to whoever came less far than others', () => {
    const { coordinator, contribute, go, notesOn, answer, workers, clock } = startGroup(3);
    go(FIRST, FIRST);
    for (const index of [0, 1, 2]) contribute(index, FIRST + 1);
    workers[2]!.say({
      kind: 'grouped',
      generation: GENERATION,
      problem: { place: 1, reason: 'nobody is there' },
    });
    clock.advance(5);
    assert.equal(workers[0]!.last('fence')?.heard, FIRST);

    answer(0, FIRST + 1, notesOn());
    answer(1, FIRST);
    assert.equal(coordinator.committedSteps, 2);
    answer(2, FIRST);

    assert.equal(coordinator.committedSteps, 3);
    // They may not reach each other any more: it goes through the coordinator.
    assert.equal(workers[0]!.last('sendState')?.step, 3);
    for (const index of [1, 2]) assert.equal(workers[index]!.last('sendState'), undefined);
    workers[0]!.data!.send({ kind: 'state', step: 3, offset: 0 }, new Uint8Array(16));
    clock.advance(5);
    assert.deepEqual(
      workers.map((worker) => worker.last('state')?.step),
      [0, 3, 3],
    );
    for (const worker of workers) assert.equal(worker.last('fetchState'), undefined);
  });

  test('computes again what nobody has the total of', () => {
    const { coordinator, contribute, go, kill, answer, workers, eventsOf } = startGroup();
    go(FIRST, FIRST + 1);
    contribute(0, FIRST + 2);
    kill(1);

    answer(0, FIRST);

    assert.equal(coordinator.committedSteps, 2);
    // The survivor is granted it, alone.
    const { step, start } = workers[0]!.last('grant')!;
    assert.deepEqual([step, start?.group], [2, undefined]);
    assert.ok(start!.pass > FIRST + 1_000);
    // What is still said of the passes of then is void.
    contribute(0, FIRST + 1);
    assert.deepEqual(
      eventsOf('worker-lost').map(({ rank }) => rank),
      [1],
    );
  });

  test('goes on with a step whose attempt does not count, on the wider grid', () => {
    const { coordinator, contribute, go, kill, notesOn, answer, workers, eventsOf } = startGroup();
    go(FIRST, FIRST);
    const large = { maxima: [1e6] };
    contribute(0, FIRST + 1, large);
    kill(1);

    answer(0, FIRST + 1, notesOn(), notesOn(large));

    assert.equal(coordinator.committedSteps, 2);
    assert.equal(eventsOf('step-redone').at(-1)?.reason, 'overflow');
    const [before, after] = [workers[0]!.all('plan')[1]!, workers[0]!.last('plan')!];
    assert.equal(after.step, 2);
    assert.ok(after.exponents[0]! < before.exponents[0]!);
  });

  test('applies nothing of a pass that has got what is not a number', () => {
    const { coordinator, contribute, go, notesOn, answer, workers, clock } = startGroup();
    go(FIRST, FIRST);
    const broken = { lossSum: null };
    contribute(0, FIRST + 1);
    contribute(1, FIRST + 1, broken);
    clock.advance(5);
    assert.equal(workers[0]!.last('fence')?.heard, FIRST);

    for (const index of [0, 1]) answer(index, FIRST + 1, notesOn(broken));

    assert.equal(coordinator.committedSteps, 2);
    assert.deepEqual(
      workers.map((worker) => worker.last('plan')?.step),
      [2, 2],
    );
  });

  test('puts out who hands over notes of another size than of all passes since then', () => {
    const { contribute, go, kill, notesOn, answer, eventsOf } = startGroup(3);
    go(FIRST, FIRST);
    contribute(0, FIRST + 1);
    kill(2);

    answer(0, FIRST + 1, notesOn().subarray(1));
    answer(1, FIRST + 1_500);

    assert.deepEqual(
      eventsOf('worker-lost')
        .map(({ rank, reason }) => [rank, reason])
        .slice(1),
      [0, 1].map((rank) => [rank, 'what it tells of granted steps has the wrong size']),
    );
  });

  test('keeps what is left when the run is to end meanwhile', () => {
    const { coordinator, contribute, go, kill, notesOn, answer, workers, clock } = startGroup();
    go(FIRST, FIRST);
    contribute(0, FIRST + 1);
    let kept: number | undefined;
    coordinator.keepState(() => (kept = coordinator.snapshot.step));
    kill(1);
    answer(0, FIRST + 1, notesOn(), notesOn());

    assert.equal(workers[0]!.last('sendState')?.step, 3);
    workers[0]!.data!.send({ kind: 'state', step: 3, offset: 0 }, new Uint8Array(16));
    clock.advance(5);
    assert.equal(kept, 3);
  });

  test('goes back to the snapshot if all members are gone before anybody has answered', () => {
    const { coordinator, go, kill, eventsOf, join, clock, workers } = startGroup();
    go(FIRST, FIRST + 3);
    assert.equal(coordinator.committedSteps, 4);
    for (const index of [0, 1]) kill(index);
    assert.ok(workers.every((worker) => worker.host.isDead));

    const [heir] = join('heir') as [ScriptedWorker];
    clock.advance(5);

    assert.deepEqual(
      eventsOf('rolled-back').map(({ fromStep, toStep }) => [fromStep, toStep]),
      [[4, 0]],
    );
    assert.equal(heir.last('state')?.step, 0);
  });

  test('goes back to the snapshot if notes are not of what their worker has computed', () => {
    const { coordinator, go, contribute, kill, notesOn, answer, workers, eventsOf } = startGroup();
    go(FIRST, FIRST);
    contribute(0, FIRST + 1);
    kill(1);

    const nothing = new Uint8Array(notesOn().length);
    answer(0, FIRST + 2, notesOn(), nothing, notesOn());

    assert.deepEqual(
      eventsOf('rolled-back').map(({ fromStep, toStep }) => [fromStep, toStep]),
      [[2, 0]],
    );
    assert.equal(coordinator.committedSteps, 0);
    assert.deepEqual(
      workers[0]!.all('state').map(({ step }) => step),
      [0, 0],
    );
  });
});
