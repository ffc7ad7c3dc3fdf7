import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { makeTestPlan } from '../../test/scripted-worker.ts';
import { createWorkerWorld, RECORD, STATE } from '../../test/worker-world.ts';
import { NonFiniteError, ShortageError } from '../base/errors.ts';
import type { ToWorker } from '../protocol/messages.ts';
import { mostStateBytes } from '../state/state-layout.ts';
import type { WorkerEnd } from './worker-options.ts';

describe('Worker', () => {
  test('says hello on each connection with the session that it was given, then ready', () => {
    const { received, kinds } = createWorkerWorld();

    assert.deepEqual(kinds(), ['hello', 'hello', 'ready']);
    const channels = received.flatMap(({ message }) =>
      message.kind === 'hello' ? [[message.channel, message.session]] : [],
    );
    assert.deepEqual(channels, [
      ['control', ''],
      ['data', 'session'],
    ]);
  });

  test('computes a plan only from the state that it is for, whichever comes first', () => {
    const { engine, plan, state, commit } = createWorkerWorld();

    plan(1, 3, [0, 1]);
    assert.deepEqual(engine.calls, []);
    state(2);
    assert.deepEqual(engine.calls, ['import 4 bytes']);
    commit(2);

    assert.deepEqual(engine.calls, ['import 4 bytes', 'apply 2', 'begin 1: 0 1']);
  });

  test('applies each commit once, to the state that it is for, and reports norms', () => {
    const { engine, state, commit, received, clock } = createWorkerWorld();
    state(5);

    for (const step of [4, 5, 5, 7, 6]) commit(step);
    clock.advance(100);

    assert.deepEqual(engine.calls, ['import 4 bytes', 'apply 5']);
    assert.deepEqual(received.at(-1)?.message, { kind: 'applied', step: 6, norms: [5] });
  });

  test('commits by itself what it was granted, and answers for each step', () => {
    const { engine, data, state, grant, attempt, send, received } = createWorkerWorld();
    state(3);
    for (let i = 0; i < 2; i++) grant(3, 2, 9);
    for (let i = 0; i < 2; i++) grant(5, 1);
    for (const pass of [9, 10, 11]) attempt(pass);
    send(data, { kind: 'sendState', step: 6 });

    const steps = ['follow 3: 2', 'follow 5: 1'];
    assert.deepEqual(engine.calls, ['import 4 bytes', ...steps, 'export']);
    const passes = received.flatMap(({ message }) =>
      message.kind === 'contribution' ? message.pass : [],
    );
    assert.deepEqual(passes, [9, 10, 11]);
  });

  test('begins no plan of before what it was granted, by a slower connection', () => {
    const { engine, state, grant, attempt, plan } = createWorkerWorld();
    state(3);
    grant(3, 1, 9);
    plan(8, 3, [0]);
    attempt(9);
    plan(10, 4, [1]);

    assert.deepEqual(engine.calls.slice(1), ['follow 3: 1', 'begin 10: 1']);
  });

  test('has nothing left of what it was granted once it gets another state', () => {
    const { engine, state, grant, attempt, kinds } = createWorkerWorld();
    state(3);
    grant(3, 2, 9);
    state(0);

    attempt(9);
    grant(5, 1);

    assert.deepEqual(engine.calls, ['import 4 bytes', 'follow 3: 2', 'import 4 bytes']);
    assert.ok(!kinds().includes('contribution'));
  });

  test('computes a pass again when it gets its plan again, since its old leases are void', () => {
    const { engine, plan, state } = createWorkerWorld();
    state(0);

    plan(1, 0, [0]);
    plan(1, 0, [7]);

    assert.deepEqual(engine.calls.slice(1), ['begin 1: 0', 'begin 1: 7']);
  });

  test('computes nothing twice when messages come twice', () => {
    const { engine, plan, state, send, data, control } = createWorkerWorld();
    state(0);
    for (let i = 0; i < 2; i++) plan(1, 0, [0]);
    for (let i = 0; i < 2; i++) send(control, { kind: 'lease', pass: 1, microBatches: [0, 3] });
    send(data, { kind: 'state', step: 0, serial: 1 }, STATE);

    assert.deepEqual(engine.calls, ['import 4 bytes', 'begin 1: 0', 'extend 3']);
  });

  test('computes again what it gets again once it has contributed that', () => {
    const { clock, engine, plan, state, send, control, handlers } = createWorkerWorld();
    state(0);
    plan(1, 0, [0, 3]);
    handlers!.onDone(1, [RECORD], STATE);
    clock.advance(5);

    // Others were faster with what else was in the sum.
    send(control, { kind: 'lease', pass: 1, microBatches: [0, 3] });

    // What of 3 its lanes may not have seen, and what it gets again.
    assert.deepEqual(engine.calls.slice(2), ['extend ', 'extend 0']);
  });

  test('has its engine look again for leases that came as its lanes ended', () => {
    const { clock, engine, control, plan, state, handlers, send } = createWorkerWorld();
    state(0);
    plan(1, 0, [0]);
    send(control, { kind: 'lease', pass: 1, microBatches: [3] });
    assert.deepEqual(engine.calls.slice(2), ['extend 3']);

    handlers!.onDone(1, [RECORD], STATE);
    clock.advance(5);

    assert.deepEqual(engine.calls.slice(2), ['extend 3', 'extend ']);
  });

  test('begins no pass while a sum that it would overwrite is on its way', () => {
    const { clock, engine, control, data, plan, state, handlers } = createWorkerWorld();
    state(0);
    plan(1, 0, [0]);
    const next = { pass: 2, work: 'train', step: 1, epoch: 0, stepInEpoch: 0 } as const;
    const size = { leases: [1], exponents: [0], reduction: 'star' } as const;
    const update = { sampleCount: 1, scalars: {} };

    // Others were faster: the commit comes while this worker's own sum is on its way.
    control.send({ kind: 'plan', ...next, ...size });
    data.send({ kind: 'commit', pass: 1, step: 0, exponents: [0], update });
    clock.after(0.9, () => handlers!.onDone(1, [], STATE));
    clock.advance(1.2);
    assert.deepEqual(engine.calls.slice(2), ['apply 0']);
    clock.advance(5);

    assert.deepEqual(engine.calls.slice(2), ['apply 0', 'begin 2: 1']);
  });

  test('gives the engine no leases while the sum that they would overwrite is on its way', () => {
    const { clock, engine, control, plan, state, handlers, last } = createWorkerWorld();
    state(0);
    plan(1, 0, [0]);
    const lease: ToWorker = { kind: 'lease', pass: 1, microBatches: [5] };

    control.send(lease);
    clock.advance(0.5);
    clock.after(0.4, () => handlers!.onDone(1, [], STATE));
    clock.advance(0.6);
    assert.deepEqual(engine.calls.slice(2), []);
    clock.advance(5);

    assert.deepEqual(engine.calls.slice(2), ['extend 5']);
    assert.equal(last()?.kind, 'contribution');
  });

  test('contributes nothing of a pass whose state was replaced', () => {
    const { clock, plan, state, handlers, kinds } = createWorkerWorld();
    state(0);
    plan(1, 0, [0]);
    state(1);

    handlers!.onDone(1, [], STATE);
    clock.advance(5);

    assert.equal(kinds().includes('contribution'), false);
  });

  test(
    'gives back leases of a plan that waits from its end, and of one under way those ' +
      'that the engine can spare',
    () => {
      const { engine, control, send, plan, state, last } = createWorkerWorld();
      plan(1, 0, [0, 1, 2, 3]);

      send(control, { kind: 'release', pass: 1, count: 2 });
      assert.deepEqual(last(), { kind: 'released', pass: 1, microBatches: [2, 3] });
      state(0);
      assert.equal(engine.calls.at(-1), 'begin 1: 0 1');
      send(control, { kind: 'release', pass: 1, count: 1 });
      assert.deepEqual(last(), { kind: 'released', pass: 1, microBatches: [3] });
      send(control, { kind: 'release', pass: 9, count: 1 });

      assert.deepEqual(last(), { kind: 'released', pass: 9, microBatches: [] });
    },
  );

  test('computes an audit of a plan that waits once the plan has begun', () => {
    const { engine, control, send, plan, state, last } = createWorkerWorld();
    plan(1, 0, [0]);

    send(control, { kind: 'audit', pass: 1, microBatches: [6] });
    assert.deepEqual(engine.calls, []);
    state(0);

    assert.deepEqual(engine.calls.slice(1), ['begin 1: 0', 'audit 6']);
    assert.deepEqual(last(), { kind: 'audited', pass: 1, records: [] });
  });

  test('sends its state and its digest once it has them, not after another state came', () => {
    const { data, send, state, commit, received, kinds } = createWorkerWorld();
    state(0);
    send(data, { kind: 'sendState', step: 1 });
    send(data, { kind: 'sendDigest', step: 1, ask: 4 });
    assert.equal(kinds().includes('state'), false);

    commit(0);
    assert.deepEqual(kinds().slice(-3), ['applied', 'state', 'digest']);
    assert.deepEqual(received.find(({ message }) => message.kind === 'state')?.payload, STATE);
    send(data, { kind: 'sendState', step: 2 });
    state(1);
    commit(1);

    assert.equal(kinds().filter((kind) => kind === 'state').length, 1);
  });

  test('says what else there is between the parts of its state, and the digest after them', () => {
    const { engine, data, send, state, commit, received, kinds } = createWorkerWorld();
    engine.state = Uint8Array.from({ length: 2.5 * 2 ** 20 }, (_, i) => i % 251);
    state(0);
    send(data, { kind: 'sendState', step: 1 });
    send(data, { kind: 'sendDigest', step: 1, ask: 4 });
    const before = received.length;

    commit(0);
    commit(1);

    const told = received.slice(before);
    const parts = told.filter(({ message }) => message.kind === 'state');
    assert.deepEqual(
      parts.map(({ message }) => 'offset' in message && message.offset),
      [0, 2 ** 20, 2 ** 21],
    );
    assert.deepEqual(Buffer.concat(parts.map(({ payload }) => payload)), Buffer.from(engine.state));
    const order = kinds().slice(before);
    assert.ok(order.lastIndexOf('applied') < order.lastIndexOf('state'), order.join());
    assert.equal(order.at(-1), 'digest');
  });

  test('sends no more of its state once another one has come', () => {
    const { clock, engine, state, send, data, kinds } = createWorkerWorld();
    const sent = (): number => kinds().filter((kind) => kind === 'state').length;
    engine.state = new Uint8Array(32 * 2 ** 20);
    state(0);
    send(data, { kind: 'sendState', step: 0 });

    state(0);
    const before = sent();
    clock.advance(1_000);

    assert.ok(before > 0 && before < 32, `${before} parts`);
    assert.equal(sent(), before);
  });

  test('puts no copy for another worker where a state is coming in', () => {
    const { clock, engine, data, plan, state, announceState } = createWorkerWorld();
    engine.stateMemory = new Uint8Array(STATE.length);
    state(0);
    data.send({ kind: 'sendState', step: 0 } satisfies ToWorker);
    data.send({ kind: 'serveState', step: 0, secret: 's' } satisfies ToWorker);
    // The first copy is on its way, then nothing has the worker make the second.
    clock.advance(6);
    assert.deepEqual(engine.calls, ['import 4 bytes', 'export']);

    assert.equal(announceState(), engine.stateMemory);
    plan(1, 1, [0]);

    assert.deepEqual(engine.calls, ['import 4 bytes', 'export']);
  });

  test('leaves the run when too many commits wait for a state', () => {
    const { commit, ends } = createWorkerWorld();

    for (let step = 0; step < 256; step++) commit(step);
    assert.deepEqual(ends, []);
    commit(256);

    assert.deepEqual(ends, [{ kind: 'disconnected', reason: 'too far behind the run' }]);
  });

  test('ends once, for good when it is turned away or dismissed, and closes its engine', () => {
    const goodbye: ToWorker = { kind: 'goodbye', reason: 'done' };
    const cases: readonly [ToWorker, WorkerEnd][] = [
      [goodbye, { kind: 'dismissed', reason: 'done' }],
      [
        { kind: 'refused', reason: 'other data' },
        { kind: 'refused', reason: 'other data' },
      ],
      [
        { kind: 'refused', reason: 'revoked', isDenied: true },
        { kind: 'refused', reason: 'revoked', isDenied: true },
      ],
      [
        { kind: 'refused', reason: 'double', isForNow: true },
        { kind: 'disconnected', reason: 'double', wasRefused: true },
      ],
    ];
    for (const [message, end] of cases) {
      const { engine, control, ends, send } = createWorkerWorld();

      send(control, message);
      send(control, goodbye);

      assert.deepEqual(ends, [end]);
      assert.equal(engine.isClosed, true);
    }
  });

  test('says why it cannot go on before it ends', () => {
    const { clock, handlers, ends, last } = createWorkerWorld();
    const error = new NonFiniteError('the weights are gone', { step: 1, microBatch: 0 });

    handlers!.onFailed(error);
    clock.advance(5);

    assert.deepEqual(last(), { kind: 'failed', reason: 'the weights are gone' });
    assert.deepEqual(ends, [{ kind: 'failed', error }]);
  });

  test('fails in its own words when memory is lacking while it does what it was told', () => {
    const lack = new ShortageError('no memory');
    const ofPlan = createWorkerWorld();
    const ofState = createWorkerWorld();
    ofPlan.engine.begin = () => {
      throw lack;
    };
    ofState.engine.importState = () => {
      throw lack;
    };
    ofPlan.state(0);

    ofPlan.plan(1, 0, [0]);
    ofState.state(0);

    assert.deepEqual(ofPlan.ends, [{ kind: 'failed', error: lack }]);
    assert.deepEqual(ofState.ends, [{ kind: 'failed', error: lack }]);
    assert.deepEqual(ofState.last(), { kind: 'failed', reason: 'no memory' });
  });

  test('hears a goodbye that comes after the end of the other connections', () => {
    const { clock, worker, control, data, ends, send } = createWorkerWorld();

    worker.lose('the heartbeat connection has ended');
    data.close();
    clock.advance(400);
    assert.deepEqual(ends, []);
    send(control, { kind: 'goodbye', reason: 'the run is finished' });
    clock.advance(1_000);

    assert.deepEqual(ends, [{ kind: 'dismissed', reason: 'the run is finished' }]);
  });

  test('is disconnected when nothing follows the end of its data connection', () => {
    const { clock, data, ends } = createWorkerWorld();

    data.close();
    clock.advance(600);

    assert.deepEqual(ends, [{ kind: 'disconnected', reason: 'connection to coordinator: ended' }]);
  });

  test('ends a connection on which a message does not belong', () => {
    const { clock, data, ends, send } = createWorkerWorld();

    send(data, { kind: 'lease', pass: 1, microBatches: [] });
    clock.advance(600);

    assert.match(
      ends[0]?.kind === 'disconnected' ? ends[0].reason : '',
      /lease does not belong on the data connection/,
    );
  });

  const UPDATE = { exponents: [0], update: { sampleCount: 1, scalars: {} } };
  const DOORS = [{ host: 'peer', port: 1 }];
  const MESSAGES: { readonly [K in ToWorker['kind']]: Extract<ToWorker, { kind: K }> } = {
    welcome: {
      kind: 'welcome',
      session: 'another',
      rank: 4,
      job: makeTestPlan().job,
      reach: { isOpen: false, key: null },
    },
    refused: { kind: 'refused', reason: 'no' },
    goodbye: { kind: 'goodbye', reason: 'done' },
    plan: {
      ...{ kind: 'plan', pass: 1, work: 'train', step: 0, epoch: 0, stepInEpoch: 0 },
      ...{ leases: [0], exponents: [0], reduction: 'star' },
    },
    group: {
      ...{ kind: 'group', generation: 1, collective: 'ring', secret: 's', index: 0, size: 2 },
      ...{ sumBytes: 16, noteBytes: 0, rings: [{ kind: 'all', members: [0, 1], doors: DOORS }] },
    },
    fence: { kind: 'fence', generation: 1 },
    lease: { kind: 'lease', pass: 1, microBatches: [0] },
    release: { kind: 'release', pass: 1, count: 1 },
    audit: { kind: 'audit', pass: 1, microBatches: [0] },
    commit: { kind: 'commit', pass: 1, step: 0, ...UPDATE },
    reduce: { kind: 'reduce', pass: 1, step: 0, ...UPDATE },
    grant: { kind: 'grant', step: 0, updates: [UPDATE.update] },
    state: { kind: 'state', step: 0, serial: 1 },
    sendState: { kind: 'sendState', step: 0 },
    serveState: { kind: 'serveState', step: 0, secret: 's' },
    fetchState: {
      ...{ kind: 'fetchState', step: 0, serial: 2, byteLength: 4, stateDigest: 's', secret: 's' },
      doors: DOORS,
    },
    sendDigest: { kind: 'sendDigest', step: 0, ask: 1 },
    samples: { kind: 'samples', split: 'd', part: 'x', offset: 0, byteLength: 0, isPacked: false },
    heartbeat: { kind: 'heartbeat', progress: 0 },
  };
  const ON_CONTROL = ['plan', 'group', 'fence', 'lease', 'release', 'audit'];
  const ON_DATA = 'commit reduce grant state sendState serveState fetchState sendDigest'.split(' ');
  /** How the worker ends that hears it; it has asked for no samples. */
  const endOf = (channel: 'control' | 'data', kind: ToWorker['kind']): string => {
    if (kind === 'refused') return channel === 'control' ? 'refused' : 'disconnected';
    if (kind === 'goodbye' && channel === 'control') return 'dismissed';
    return (channel === 'control' ? ON_CONTROL : ON_DATA).includes(kind) ? '' : 'disconnected';
  };
  for (const channel of ['control', 'data'] as const)
    for (const hasState of [false, true])
      for (const message of Object.values(MESSAGES)) {
        const end = endOf(channel, message.kind);
        const verb = end === '' ? 'goes on' : `is ${end}`;
        const when = hasState ? 'with a state' : 'without a state';
        test(`${verb} when it hears ${message.kind} twice on ${channel}, ${when}`, () => {
          const world = createWorkerWorld();
          if (hasState) world.state(0);

          for (let i = 0; i < 2; i++)
            world.send(world[channel], message, message.kind === 'state' ? STATE : undefined);
          world.clock.advance(600);

          assert.deepEqual(
            world.ends.map(({ kind }) => kind),
            end === '' ? [] : [end],
          );
        });
      }

  test('takes nothing that is larger than any state of its job', () => {
    const { clock, data, ends, send } = createWorkerWorld();
    const most = mostStateBytes(makeTestPlan().job.parameters);

    send(data, { kind: 'state', step: 0, serial: 1 }, new Uint8Array(most));
    clock.advance(600);
    assert.equal(ends.length, 0);

    send(data, { kind: 'state', step: 0, serial: 2 }, new Uint8Array(most + 1));
    clock.advance(600);
    assert.equal(ends[0]?.kind, 'disconnected');
  });
});
