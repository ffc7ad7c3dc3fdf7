import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createRosterWorld } from '../../test/roster-world.ts';
import { DATA_DIGEST, ScriptedWorker } from '../../test/scripted-worker.ts';
import { PROTOCOL_VERSION, type ToCoordinator } from '../protocol/messages.ts';
import type { Connection } from '../transport/connection.ts';

describe('Roster and its members', () => {
  test('puts out who came by a key that is not good any more, tells it, and nobody else', () => {
    const { clock, host, roster, told } = createRosterWorld();
    const comeBy = (name: string, identity: string | undefined): ScriptedWorker => {
      const accept = (connection: Connection): void =>
        roster.accept(Object.assign(connection, { identity }));
      return new ScriptedWorker({ clock, host, accept }, name, 1).join();
    };
    const [revoked, other, local] = [
      comeBy('a', 'key 1'),
      comeBy('b', 'key 2'),
      comeBy('c', undefined),
    ];

    roster.expel('key 1', 'the credential was revoked');
    clock.advance(100);

    assert.deepEqual(told.slice(3), ['a lost: the credential was revoked']);
    assert.deepEqual(revoked.received.at(-1), {
      ...{ kind: 'refused', reason: 'the credential was revoked', isDenied: true },
    });
    assert.deepEqual(revoked.ended.toSorted(), ['control', 'data', 'heartbeat']);
    assert.deepEqual([other.ended, local.ended], [[], []]);
  });

  test('puts out who says far more than it was asked for, and hears what was asked', () => {
    const { clock, told, messages, worker } = createRosterWorld();
    const flood = worker('flood').join();
    const honest = worker('honest').join();

    for (let i = 0; i < 5_000; i++) flood.say({ kind: 'released', pass: 1, microBatches: [] });
    clock.advance(10);
    for (let i = 0; i < 20; i++) {
      honest.say({ kind: 'released', pass: 1, microBatches: [] });
      clock.advance(1_000);
    }

    assert.match(told[2]!, /^flood lost: worker 0 .*says far more than it was asked for$/);
    assert.equal(told.length, 3);
    assert.ok(messages.length <= 80, `${messages.length} messages were heard`);
  });

  test('stalls a silent member after two seconds and loses it after thirty', () => {
    const { clock, told, worker } = createRosterWorld();
    const silent = worker().join();
    clock.advance(1_000);
    silent.stopBeating();

    clock.advance(1_700);
    assert.deepEqual(told, ['w ready']);
    clock.advance(600);
    assert.match(told[1]!, /^w stalled: no sign of life for 2\.\d s$/);
    clock.advance(27_500);
    assert.equal(told.length, 2);
    clock.advance(600);

    assert.match(told[2]!, /^w lost: no sign of life for 30\.\d s$/);
    assert.equal(told.length, 3);
    assert.deepEqual(silent.ended.toSorted(), ['control', 'data', 'heartbeat']);
  });

  test('takes any message for a sign of life', () => {
    const { clock, told, messages, worker } = createRosterWorld();
    const busy = worker().join();
    busy.stopBeating();

    for (let i = 0; i < 10; i++) {
      busy.say({ kind: 'released', pass: 1, microBatches: [] });
      clock.advance(1_500);
    }

    assert.deepEqual(told, ['w ready']);
    assert.equal(messages.length, 10);
  });

  test('takes back a member that was silent for long, as on a link that is jammed', () => {
    const { clock, told, worker } = createRosterWorld();
    const absent = worker().join();

    absent.stopBeating();
    clock.advance(28_000);
    absent.startBeating();
    clock.advance(100);

    assert.equal(told.at(-1), 'w revived, ready');
  });

  test('takes a stuck member back with progress only, and loses it when there is none', () => {
    const { clock, roster, told, worker } = createRosterWorld();
    const stuck = worker().join();
    const [member] = roster.members();
    clock.advance(1_000);

    roster.stall(member!, 'stuck', 0, 'stuck');
    clock.advance(15_000);
    assert.deepEqual(told, ['w ready', 'w stalled: stuck']);
    stuck.progress++;
    clock.advance(300);
    assert.equal(told.at(-1), 'w revived, ready');
    roster.stall(member!, 'stuck', 0, 'stuck again');
    clock.advance(31_000);

    assert.match(told.at(-1)!, /^w lost: no progress for/);
  });

  test('takes a stuck member back with bytes that it says have reached it', () => {
    const { clock, roster, told, worker } = createRosterWorld();
    const stuck = worker().join();
    const [member] = roster.members();
    roster.stall(member!, 'stuck', 0, 'stuck');

    stuck.receivedBytes += 1_000;
    clock.advance(300);
    assert.equal(told.at(-1), 'w revived, ready');
    const { progressMs } = member!.liveness;
    clock.advance(1_000);
    assert.equal(member!.liveness.progressMs, progressMs);
  });

  test('stalls a member that hears nothing after two seconds, loses it after thirty', () => {
    const { clock, told, worker } = createRosterWorld();
    const deaf = worker();
    deaf.echoes = 0;
    deaf.join();

    for (let i = 0; i < 10; i++) {
      deaf.echoes++;
      clock.advance(1_000);
    }
    clock.advance(1_200);
    assert.deepEqual(told, ['w ready']);
    clock.advance(1_000);
    assert.match(told[1]!, /^w stalled: it hears nothing of the coordinator, for 2\.\d s$/);
    clock.advance(27_000);
    assert.equal(told.length, 2);
    clock.advance(2_500);

    assert.match(told[2]!, /^w lost: it hears nothing of the coordinator, for 30\.\d s$/);
  });

  test('takes a deaf member back when anything has reached it', () => {
    for (const sign of ['echoes', 'receivedBytes'] as const) {
      const { clock, told, worker } = createRosterWorld();
      const deaf = worker();
      deaf.echoes = 0;
      deaf.join();
      clock.advance(10_000);
      assert.equal(told.length, 2);

      deaf[sign]++;
      clock.advance(300);

      assert.equal(told.at(-1), 'w revived, ready', sign);
    }
  });

  test('calls nobody deaf for a silence of its own, or of the member', () => {
    for (const who of ['coordinator', 'member']) {
      const { clock, sleepy, host, told, worker } = createRosterWorld();
      const asleep = worker();
      asleep.echoes = 1;
      asleep.join();
      if (who === 'coordinator') {
        host.frozenUntilMs = clock.now() + 12_000;
        sleepy.sleep(12_000);
      } else asleep.stopBeating();
      clock.advance(12_000);
      if (who === 'member') asleep.startBeating();

      clock.advance(1_000);

      assert.deepEqual(
        told.filter((line) => line.includes('hears nothing')),
        [],
        who,
      );
    }
  });

  test('forgives silence while it was itself asleep', () => {
    const { clock, sleepy, host, told, worker } = createRosterWorld();
    worker().join();
    clock.advance(1_000);

    host.frozenUntilMs = clock.now() + 60_000;
    sleepy.sleep(60_000);
    clock.advance(120_000);

    assert.deepEqual(told, ['w ready']);
  });

  test(
    'notices a death after its own sleep as fast as ever, though it heard of the worker before ' +
      'it judged',
    () => {
      const { clock, sleepy, host, told, worker } = createRosterWorld();
      const dying = worker().join();
      clock.advance(1_000);

      // The network wakes up a little before the timers: what waited there is heard first.
      host.frozenUntilMs = clock.now() + 59_990;
      sleepy.sleep(60_000);
      clock.advance(60_000);
      dying.stopBeating();
      clock.advance(30_500);

      assert.match(told.at(-1)!, /^w lost: no sign of life for 30\.\d s$/);
    },
  );

  test('loses a member when any of its connections ends, and then closes the others', () => {
    for (const channel of ['control', 'data', 'heartbeat'] as const) {
      const { clock, host, told, worker } = createRosterWorld();
      const leaving = worker().join();

      leaving[channel]?.close();
      clock.advance(10);

      assert.match(told[1]!, /^w lost: /, channel);
      assert.equal(told.length, 2);
      assert.equal(host.connectionCount(), 0);
    }
  });

  test('loses a member that sends what is no message, or too much of it', () => {
    const offences: ((worker: ScriptedWorker) => void)[] = [
      (w) => w.control?.send({ kind: 'attack' }),
      (w) => w.control?.send(w.hello('control', '', { host: 'another' })),
      (w) => w.say({ kind: 'ready', dataDigest: DATA_DIGEST, numericsClass: 'two', loadMs: 1 }),
      (w) => w.say({ kind: 'ready', dataDigest: 'other', numericsClass: 'one', loadMs: 1 }),
      (w) => w.control?.send({ kind: 'heartbeat', progress: 1 }, new Uint8Array(1)),
      (w) => w.data?.send({ kind: 'state', step: 0, offset: 0 }, new Uint8Array(1001)),
      (w) => w.heartbeat?.send({ kind: 'failed', reason: 'x'.repeat(2000) }),
    ];
    for (const [i, offend] of offences.entries()) {
      const { clock, host, told, worker } = createRosterWorld();
      const rude = worker().join();

      offend(rude);
      clock.advance(10);

      assert.match(told[1] ?? '', /^w lost: /, `offence ${i}`);
      assert.equal(host.connectionCount(), 0);
    }
  });

  const MESSAGES: { readonly [K in ToCoordinator['kind']]: Extract<ToCoordinator, { kind: K }> } = {
    hello: {
      kind: 'hello',
      protocol: PROTOCOL_VERSION,
      channel: 'control',
      session: '',
      workerId: 'other',
      host: 'other',
      processId: 1,
      lanes: 1,
      software: 'other',
      rank: null,
    },
    sendSamples: { kind: 'sendSamples', split: 'd', part: 'x', offset: 0, byteLength: 1 },
    ready: { kind: 'ready', dataDigest: DATA_DIGEST, numericsClass: 'two', loadMs: 2 },
    grouped: { kind: 'grouped', generation: 1 },
    fenced: { kind: 'fenced', generation: 1, pass: null },
    reduced: { kind: 'reduced', pass: 1 },
    released: { kind: 'released', pass: 1, microBatches: [] },
    contribution: { kind: 'contribution', pass: 1, records: [], busyMs: 1 },
    audited: { kind: 'audited', pass: 1, records: [] },
    applied: { kind: 'applied', step: 1, norms: [] },
    state: { kind: 'state', step: 1, offset: 0 },
    serving: { kind: 'serving', secret: 's', stateDigest: 'd' },
    fetched: { kind: 'fetched', serial: 1 },
    digest: { kind: 'digest', step: 1, ask: 1, weightsDigest: 'w', stateDigest: 's' },
    heartbeat: { kind: 'heartbeat', progress: 3 },
    failed: { kind: 'failed', reason: 'broken' },
  };
  const PLACES: { readonly [K in ToCoordinator['kind']]: readonly string[] } = {
    hello: [],
    sendSamples: ['loading data', 'ready data'],
    ready: ['loading control'],
    grouped: ['ready control'],
    fenced: ['ready data'],
    reduced: ['ready data'],
    released: ['ready control'],
    contribution: ['ready data'],
    audited: ['ready control'],
    applied: ['ready data'],
    state: ['ready data'],
    serving: ['ready data'],
    fetched: ['ready data'],
    digest: ['ready data'],
    heartbeat: ['loading heartbeat', 'ready heartbeat'],
    failed: [],
  };
  for (const state of ['loading', 'ready'] as const)
    for (const channel of ['control', 'data', 'heartbeat'] as const)
      for (const message of Object.values(MESSAGES)) {
        const isRight = PLACES[message.kind].includes(`${state} ${channel}`);
        const verb = isRight ? 'keeps' : 'loses';
        test(`${verb} a member that says ${message.kind} twice on ${channel} when ${state}`, () => {
          const { clock, host, told, roster, worker } = createRosterWorld();
          const speaker = worker();
          if (state === 'ready') speaker.join();
          else speaker.connect();
          clock.advance(10);

          speaker[channel]?.send(message);
          speaker[channel]?.send(message);
          clock.advance(10);

          assert.equal(told.filter((line) => line.includes(' lost: ')).length, isRight ? 0 : 1);
          assert.equal(roster.members().length, isRight ? 1 : 0);
          assert.equal(host.connectionCount() > 0, isRight);
        });
      }

  for (const message of Object.values(MESSAGES))
    test(`takes nothing but a hello for a greeting, and no ${message.kind} twice`, () => {
      const { clock, host, told, roster, worker } = createRosterWorld();
      const stranger = worker();

      const connection = stranger.dial('control', message);
      connection.send(message);
      clock.advance(10);

      // What it says of itself twice in the same words counts once.
      const isHello = message.kind === 'hello';
      assert.deepEqual(told, []);
      assert.equal(roster.members().length, isHello ? 1 : 0);
      assert.equal(host.connectionCount(), isHello ? 1 : 0);
    });

  test('passes on the reason of a worker that cannot go on', () => {
    const { clock, told, worker } = createRosterWorld();
    const failing = worker().join();

    failing.say({ kind: 'failed', reason: 'out of memory' });
    clock.advance(10);

    assert.deepEqual(told, ['w ready', 'w lost: out of memory']);
  });

  test('says goodbye to everybody at the end and leaves no timer and no connection', () => {
    const { clock, host, roster, told, worker } = createRosterWorld();
    const workers = [worker('a').join(), worker('b').join()];
    const late = worker('c');
    late.dial('silent');
    clock.advance(10);

    roster.dismissAll('done');
    clock.advance(10);

    for (const dismissed of workers) assert.equal(dismissed.last('goodbye')?.reason, 'done');
    assert.deepEqual(told, ['a ready', 'b ready']);
    assert.equal(host.connectionCount(), 0);
    assert.equal(clock.pendingCount(), 0);
  });
});
