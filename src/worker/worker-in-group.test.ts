/** A worker that is granted steps together with others. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type BegunSum, createWorkerWorld, RECORD } from '../../test/worker-world.ts';
import { type AttemptNote, noteBytesOf, readNote, writeNote } from '../plan/attempt-note.ts';
import type { Group, MicroBatchRecord, ToCoordinator } from '../protocol/messages.ts';
import type { EngineAttempt } from '../runtime/engine.ts';

const SUM_BYTES = 16;
const NOTE_BYTES = noteBytesOf(1, 2);
const GROUP: Group = {
  kind: 'group',
  generation: 1,
  collective: 'ring',
  secret: 'secret',
  index: 0,
  size: 2,
  sumBytes: SUM_BYTES,
  noteBytes: NOTE_BYTES,
  rings: [{ kind: 'all', members: [0, 1], doors: [{ host: 'other', port: 1 }] }],
};
/** What is granted to both, who compute a micro-batch each. */
const OF_BOTH = { generation: 1, shares: [1, 1] };

function sumOf(value: number): Uint8Array {
  return new Uint8Array(new Int32Array(SUM_BYTES / 4).fill(value).buffer);
}

/** What a vector that is added up says of both workers. */
function notesIn(vector: Uint8Array): AttemptNote[] {
  return [0, 1].map((index) => {
    const offset = SUM_BYTES + index * NOTE_BYTES;
    return readNote(vector.subarray(offset, offset + NOTE_BYTES), 1);
  });
}

/** The first of two workers, in a group that stands, with the state of step 3. */
function createInGroup(group = GROUP) {
  const world = createWorkerWorld();
  const { clock, form, state, peers, engine, received } = world;
  peers.hasMemory = group.collective === 'shm';
  form(group);
  assert.equal(world.last()?.kind, 'grouped');
  state(3);
  engine.calls.length = 0;
  received.length = 0;
  /** The other has done its part of the sum under way, and has `record`. */
  const addUp = (record: Partial<MicroBatchRecord> = {}): Uint8Array => {
    const sum = peers.sums.shift() as BegunSum;
    const total = sum.own.slice();
    const records = [{ ...RECORD, microBatch: 1, ...record }];
    writeNote(records, 1, total.subarray(SUM_BYTES + NOTE_BYTES));
    sum.done(total);
    clock.advance(5);
    return total;
  };
  /** Finishes the own micro-batch of a pass, and adds up. */
  const go = (pass: number): Uint8Array => {
    world.finish(pass, [0], sumOf(pass));
    return addUp();
  };
  /** What was said to the coordinator, but for norms. */
  const said = (): ToCoordinator[] =>
    received.flatMap(({ message }) => (message.kind === 'applied' ? [] : [message]));
  return { ...world, addUp, go, said };
}

describe('Worker in a group that is granted steps', () => {
  test('adds up its sum and a note on its part, and contributes without the sum', () => {
    const { engine, grant, finish, peers, received, clock } = createInGroup();
    grant(3, 2, 9, OF_BOTH);
    assert.deepEqual(engine.calls, ['begin 9: 0']);

    finish(9, [0], sumOf(7));
    assert.equal(received.length, 0);
    clock.advance(100);

    const [{ pass, own }] = peers.sums as [BegunSum];
    assert.equal(pass, 9);
    assert.deepEqual(own.subarray(0, SUM_BYTES), sumOf(7));
    const [ours, theirs] = notesIn(own);
    assert.deepEqual(ours, {
      isFinite: true,
      maxima: [1],
      losses: [{ lossSum: 1, correctSum: 0 }],
    });
    // Zeros, to which the other adds.
    assert.deepEqual(theirs, { isFinite: false, maxima: [0], losses: [] });
    const [{ message, payload }] = received as [(typeof received)[0]];
    assert.ok(message.kind === 'contribution');
    assert.deepEqual([message.pass, message.records.length, payload.length], [9, 1, 0]);
  });

  test('commits and goes on by itself, and says `reduced` at the end of what is granted', () => {
    const { engine, grant, go, said } = createInGroup();
    grant(3, 2, 9, OF_BOTH);
    grant(5, 1);

    for (const pass of [9, 10, 11]) go(pass);

    const steps = ['begin 9: 0', 'apply 3', 'begin 10: 0', 'apply 4', 'begin 11: 0', 'apply 5'];
    assert.deepEqual(engine.calls, steps);
    assert.deepEqual(
      said().map((message) => ('pass' in message ? [message.kind, message.pass] : message.kind)),
      [
        ['contribution', 9],
        ['contribution', 10],
        ['contribution', 11],
        ['reduced', 11],
      ],
    );
  });

  test('tells of its steps together, when half of what is granted is done, and all of it', () => {
    const { grant, go, said } = createInGroup();
    grant(3, 6, 9, OF_BOTH);
    const heard = [9, 10, 11, 12, 13, 14].map((pass) => {
      go(pass);
      return said().length;
    });

    // Of the third and the last total nothing else tells in time.
    assert.deepEqual(heard, [0, 0, 4, 4, 4, 8]);
    const [third, last] = [said()[3]!, said()[7]!];
    assert.deepEqual([third.kind, last.kind], ['reduced', 'reduced']);
  });

  test('computes an attempt again that was too large for the grid of any of them', () => {
    const { engine, grant, finish, addUp, go } = createInGroup();
    grant(3, 2, 9, OF_BOTH);

    finish(9, [0], sumOf(1));
    addUp({ maxima: [1e6] });
    assert.deepEqual(engine.calls, ['begin 9: 0', 'begin 10: 0']);
    finish(10, [0], sumOf(1));
    addUp({ maxima: [1e6] });
    go(11);

    assert.deepEqual(engine.calls.slice(2), ['apply 3', 'begin 11: 0', 'apply 4']);
  });

  test('takes part in the sum of a step in which it has no micro-batch, and says so', () => {
    const { engine, grant, peers, said, clock } = createInGroup();
    grant(3, 2, 9, { generation: 1, shares: [1, 2] });
    assert.deepEqual(engine.calls, ['begin 9: ']);

    const [{ own, done }] = peers.sums.splice(0) as [BegunSum];
    assert.deepEqual(own.subarray(0, SUM_BYTES), sumOf(0));
    const total = own.slice();
    const records = [0, 1].map((microBatch) => ({ ...RECORD, microBatch }));
    writeNote(records, 1, total.subarray(SUM_BYTES + NOTE_BYTES));
    done(total);
    clock.advance(5);

    assert.deepEqual(engine.calls, ['begin 9: ', 'apply 3', 'begin 10: ']);
    assert.deepEqual(said(), [{ kind: 'reduced', pass: 9, addingMs: 4, waitPeersMs: 0 }]);
  });

  test('applies nothing of an attempt in which anybody has got what is not a number', () => {
    const { engine, grant, finish, addUp, said } = createInGroup();
    grant(3, 2, 9, OF_BOTH);

    finish(9, [0], sumOf(1));
    addUp({ lossSum: null });

    assert.deepEqual(engine.calls, ['begin 9: 0']);
    assert.deepEqual(said().at(-1), { kind: 'reduced', pass: 9, addingMs: 5, waitPeersMs: 0 });
  });

  test('hands over all notes that were not heard of when it is fenced, and drops the rest', () => {
    const { engine, grant, go, finish, control, send, received, said, peers } = createInGroup();
    grant(3, 4, 9, OF_BOTH);
    const totals = [9, 10, 11].map((pass) => go(pass));
    received.length = 0;

    send(control, { kind: 'fence', generation: 1, heard: 9 });
    finish(12, [0], sumOf(1));
    grant(7, 1);

    const { message, payload } = received.at(-1)!;
    assert.deepEqual(message, { kind: 'fenced', generation: 1, pass: 11 });
    const notes = totals.slice(1).map((total) => Buffer.from(total.subarray(SUM_BYTES)));
    assert.deepEqual(Buffer.from(payload), Buffer.concat(notes));
    assert.deepEqual(
      said().map(({ kind }) => kind),
      ['contribution', 'fenced'],
    );
    assert.deepEqual([engine.calls.at(-1), peers.sums.length], ['begin 12: 0', 0]);
  });

  test('leaves the sum that is being added up when it is fenced', () => {
    const { engine, grant, finish, peers, control, send, last } = createInGroup();
    grant(3, 2, 9, OF_BOTH);
    finish(9, [0], sumOf(1));
    assert.equal(peers.sums.length, 1);

    send(control, { kind: 'fence', generation: 1, heard: 8 });

    assert.deepEqual([engine.calls, peers.sums], [['begin 9: 0'], []]);
    assert.deepEqual(last(), { kind: 'fenced', generation: 1, pass: null });
  });

  test('begins nothing that is granted to a group that is over, or that it is not in', () => {
    const { engine, grant, control, send } = createInGroup();
    grant(3, 2, 9, { ...OF_BOTH, generation: 2 });
    send(control, { kind: 'fence', generation: 1 });

    grant(3, 2, 9, OF_BOTH);

    assert.deepEqual(engine.calls, []);
  });
});

/** What the engine tells of an attempt in which both have a micro-batch. */
function attemptOf(pass: number, other: Partial<MicroBatchRecord> = {}): EngineAttempt {
  const records = [RECORD];
  const notes = new Uint8Array(2 * NOTE_BYTES);
  writeNote(records, 1, notes.subarray(0, NOTE_BYTES));
  writeNote([{ ...RECORD, microBatch: 1, ...other }], 1, notes.subarray(NOTE_BYTES));
  const ofGroup = { notes, addingMs: pass / 10, waitPeersMs: pass / 20 };
  return { pass, records, busyMs: 1, elapsedMs: 2, updateMs: 0.5, norms: [], ofGroup };
}

/** The first of two workers whose engines add up in memory. */
function createInMemory() {
  const world = createInGroup({ ...GROUP, collective: 'shm' });
  /** The engine has done these passes, and tells of them at once. */
  const go = (...passes: readonly number[]): void =>
    world.attempted(passes.map((pass) => attemptOf(pass)));
  return { ...world, go };
}

describe('Worker in a group that has memory in common', () => {
  test('has its engine go through what is granted, and contributes behind it', () => {
    const { engine, grant, go, said } = createInMemory();
    grant(3, 3, 9, OF_BOTH);
    grant(6, 1);

    go(9, 10);
    go(11, 12);

    assert.deepEqual(engine.calls, ['follow 3: 3, in place 0 of 2', 'follow 6: 1']);
    assert.deepEqual(
      said().map((message) => {
        assert.ok(message.kind === 'contribution' || message.kind === 'reduced');
        return [message.kind, message.pass, message.addingMs];
      }),
      [
        ['contribution', 9, undefined],
        ['contribution', 10, 0.9],
        ['reduced', 10, 1],
        ['contribution', 11, undefined],
        ['contribution', 12, 1.1],
        ['reduced', 12, 1.2],
      ],
    );
  });

  test('answers a fence once the engine has ended, with all that it did until then', () => {
    const { engine, grant, go, control, send, received, said, peers } = createInMemory();
    grant(3, 9, 9, OF_BOTH);
    go(9, 10);
    received.length = 0;

    send(control, { kind: 'fence', generation: 1, heard: 9 });
    grant(12, 1);
    assert.deepEqual([engine.calls.at(-1), said(), peers.isLent], ['halt 1', [], true]);
    go(11);
    engine.halted();
    go(12);

    const { message, payload } = received.at(-1)!;
    assert.deepEqual(message, { kind: 'fenced', generation: 1, pass: 11 });
    const notes = [10, 11].map((pass) => attemptOf(pass).ofGroup!.notes);
    assert.deepEqual(Buffer.from(payload), Buffer.concat(notes));
    assert.deepEqual(
      said().map(({ kind }) => kind),
      ['contribution', 'reduced', 'fenced'],
    );
    assert.deepEqual([peers.isLent, peers.isClosed], [false, true]);
  });

  test('goes on from the state that the engine has come to when the group is over', () => {
    const { engine, grant, go, control, send, plan } = createInMemory();
    grant(3, 9, 9, OF_BOTH);
    go(9, 10);
    send(control, { kind: 'fence', generation: 1, heard: 9 });
    plan(20, 5, [0]);
    assert.deepEqual(engine.calls.slice(1), ['halt 1']);

    engine.halted();
    plan(21, 5, [0, 1]);

    assert.deepEqual(engine.calls.slice(1), ['halt 1', 'begin 21: 0 1']);
  });

  test('adds up a step that is led in its own thread', () => {
    const { engine, plan, grant, go, control, send, finish, data, addUp, said } = createInMemory();
    grant(3, 2, 9, OF_BOTH);
    go(9, 10);
    const exponents = [0];
    const led = { pass: 11, step: 5, exponents } as const;
    const rest = { work: 'train', epoch: 0, stepInEpoch: 0, reduction: 'group' } as const;
    send(control, { kind: 'plan', ...led, ...rest, leases: [0] });
    finish(11, [0], sumOf(1));
    send(data, { kind: 'reduce', ...led, update: { sampleCount: 4, scalars: {} } });
    addUp();
    plan(12, 6, [0]);

    assert.deepEqual(engine.calls.slice(1), ['begin 11: 0', 'apply 5', 'begin 12: 0']);
    assert.deepEqual(said().at(-1), {
      kind: 'reduced',
      pass: 11,
      addingMs: 4,
      waitPeersMs: 0,
      waitCoordinatorMs: 6,
    });
  });

  test('computes a micro-batch of a step that is led once, however often its lease comes', () => {
    const { engine, send, finish, control, said } = createInGroup();
    const led = { pass: 9, step: 3, epoch: 0, stepInEpoch: 0, reduction: 'group' } as const;
    send(control, { kind: 'plan', ...led, work: 'train', leases: [0], exponents: [0] });
    finish(9, [0], sumOf(1));

    for (let i = 0; i < 2; i++) {
      send(control, { kind: 'lease', pass: 9, microBatches: [0, 1] });
      if (i === 0) finish(9, [1], sumOf(2));
    }

    assert.deepEqual(engine.calls, ['begin 9: 0', 'extend 1']);
    assert.equal(said().length, 2);
  });

  test('applies nothing of an attempt that failed, and waits for the fence', () => {
    const { engine, grant, attempted, said, plan } = createInMemory();
    grant(3, 9, 9, OF_BOTH);

    attempted([attemptOf(9, { lossSum: null })]);
    plan(10, 4, [0]);

    assert.deepEqual(engine.calls, ['follow 3: 9, in place 0 of 2']);
    assert.deepEqual(said().at(-1), { kind: 'reduced', pass: 9, addingMs: 0.9, waitPeersMs: 0.45 });
  });
});
