import assert from 'node:assert/strict';
import { connect as connectSocket } from 'node:net';
import { describe, test } from 'node:test';
import {
  DATA_DIGEST,
  makeTestPlan,
  NO_BYTES,
  ScriptedWorker,
  SleepyClock,
} from '../../test/scripted-worker.ts';
import { ManualClock } from '../base/clock.ts';
import type { Hello, ToCoordinator } from '../protocol/messages.ts';
import { SimulatedHost } from '../transport/memory-network.ts';
import { listen } from '../transport/tcp.ts';
import { Roster } from './roster.ts';
import { DEFAULT_TIMING } from './timing.ts';

/** A roster whose owner writes down all that it is told. */
function createWorld() {
  const clock = new ManualClock();
  const sleepy = new SleepyClock(clock);
  const host = new SimulatedHost('coordinator');
  const told: string[] = [];
  const refusals: string[] = [];
  const refusedRanks: (number | undefined)[] = [];
  const messages: ToCoordinator['kind'][] = [];
  let sessions = 0;
  const { job } = makeTestPlan();
  const { jobFiles } = NO_BYTES;
  const roster = new Roster(
    {
      clock: sleepy,
      timing: DEFAULT_TIMING,
      job,
      jobFiles,
      dataLimits: { maxHeaderBytes: 1 << 20, maxPayloadBytes: 1000 },
      newSession: () => `session-${sessions++}`,
    },
    {
      onReady: (member) => void told.push(`${member.workerId} ready`),
      onMessage: (_, message) => void messages.push(message.kind),
      payloadTarget: () => undefined,
      onStalled: (member, { reason }) => void told.push(`${member.workerId} stalled: ${reason}`),
      onRevived: (member) => void told.push(`${member.workerId} revived, ${member.phase}`),
      onLost: (member, reason) => void told.push(`${member.workerId} lost: ${reason}`),
      onRejected: ({ reason, rank }) => {
        refusals.push(reason);
        refusedRanks.push(rank);
      },
      onClockJumped: (member, jumpMs) =>
        void told.push(`${member.workerId} jumped by ${jumpMs} ms`),
      onTick: () => {},
    },
  );
  const door = { clock, host, accept: roster.accept.bind(roster) };
  const worker = (name = 'w', lanes = 1): ScriptedWorker => new ScriptedWorker(door, name, lanes);
  return { clock, sleepy, host, roster, told, refusals, refusedRanks, messages, worker };
}

describe('Roster at its door', () => {
  test('makes a worker a member once it has three connections and is ready', () => {
    const { roster, told, worker } = createWorld();

    worker().join();

    assert.deepEqual(told, ['w ready']);
    assert.deepEqual(
      roster.members().map(({ phase }) => phase),
      ['ready'],
    );
  });

  test('refuses another protocol and names both versions and the remedy', () => {
    const { clock, roster, refusals, worker } = createWorld();
    const old = worker();

    old.dial('control', old.hello('control', '', { protocol: 999 }));
    clock.advance(10);

    const expected =
      /^protocol versions differ: the coordinator speaks \d+, the worker 999 \(scripted 1\.2\.3\)\. Install the same version/;
    assert.match(old.last('refused')!.reason, expected);
    assert.match(refusals[0]!, expected);
    assert.deepEqual(old.ended, ['control']);
    assert.equal(roster.members().length, 0);
  });

  test('rejects a worker with other data, names both digests, closes all its connections', () => {
    const { clock, host, roster, told, refusals, worker } = createWorld();
    const other = worker();
    other.control = other.dial('control', other.hello('control', ''));
    clock.advance(10);
    const { session } = other.last('welcome')!;
    other.dial('data', other.hello('data', session));
    other.dial('heartbeat', other.hello('heartbeat', session));

    other.say({ kind: 'ready', dataDigest: 'other data', numericsClass: 'one', loadMs: 1 });
    clock.advance(10);

    assert.match(
      other.last('refused')!.reason,
      new RegExp(`expected SHA-256 ${DATA_DIGEST}, got other data`),
    );
    assert.equal(refusals.length, 1);
    assert.deepEqual(told, []);
    assert.equal(roster.members().length, 0);
    assert.deepEqual(other.ended.toSorted(), ['control', 'data', 'heartbeat']);
    assert.ok(roster.totalBytes() > 0);
    assert.equal(host.connectionCount(), 0);
  });

  test('refuses a connection with a session that it has not given', () => {
    const { clock, roster, worker } = createWorld();
    const member = worker().join();
    const stranger = worker();

    for (const session of ['', 'session-1', 'guess'])
      stranger.dial('data', stranger.hello('data', session));
    clock.advance(10);

    assert.deepEqual(
      stranger.all('refused').map(({ reason }) => reason),
      Array(3).fill('this connection belongs to no member of the run'),
    );
    assert.equal(roster.members().length, 1);
    assert.deepEqual(member.ended, []);
  });

  test('refuses a second connection for a channel that stands', () => {
    const { clock, worker } = createWorld();
    const member = worker().join();
    const { session } = member.last('welcome')!;
    const again = worker();

    again.dial('data', again.hello('data', session));
    clock.advance(10);

    assert.match(again.last('refused')!.reason, /has a data connection already/);
    assert.deepEqual(member.ended, []);
  });

  test(
    'turns away a second worker of the same identity while the first is alive, and tells ' +
      'it once',
    () => {
      const { clock, roster, told, refusals, refusedRanks, worker } = createWorld();
      const other = worker('other').join();
      const member = worker().join();

      for (let i = 0; i < 20; i++) {
        const double = worker();
        double.dial('control', double.hello('control', '', { rank: 7 }));
        clock.advance(200);
        assert.equal(double.last('refused')?.isForNow, true);
        assert.match(double.last('refused')!.reason, /in the run already, as rank 1, and alive/);
        assert.deepEqual(double.ended, ['control']);
      }

      assert.deepEqual(told, ['other ready', 'w ready']);
      assert.equal(refusals.length, 1);
      assert.deepEqual(refusedRanks, [1]);
      assert.deepEqual([...member.ended, ...other.ended], []);
      assert.equal(roster.members().length, 2);
    },
  );

  test('takes back at once a worker whose connections have ended', () => {
    const { clock, told, refusals, worker } = createWorld();
    const before = worker().join();

    before.data?.destroy();
    clock.advance(10);
    worker().join();

    assert.equal(told.length, 3);
    assert.match(told[1]!, /^w lost: /);
    assert.equal(told[2], 'w ready');
    assert.deepEqual(refusals, []);
  });

  test('takes back a silent worker that connects again, and its old connections end', () => {
    const { clock, roster, told, worker } = createWorld();
    const before = worker().join();
    before.stopBeating();
    clock.advance(DEFAULT_TIMING.stallMs);
    told.splice(0);

    const after = worker().join();
    clock.advance(10);

    assert.deepEqual(told, ['w lost: the same worker connected again', 'w ready']);
    assert.deepEqual(before.ended.toSorted(), ['control', 'data', 'heartbeat']);
    assert.deepEqual(after.ended, []);
    assert.equal(roster.members().length, 1);
  });

  test('gives a worker the rank that was meant for it, unless somebody has it', () => {
    const { clock, worker } = createWorld();
    const rankOf = (name: string, rank: Hello['rank']): number => {
      const joining = worker(name);
      joining.dial('control', joining.hello('control', '', { rank }));
      clock.advance(10);
      return joining.last('welcome')!.rank;
    };

    assert.deepEqual(
      [rankOf('a', 3), rankOf('b', 3), rankOf('c', 1), rankOf('d', null)],
      [3, 4, 1, 5],
    );
  });

  test('ends a connection whose first frame is larger than a greeting', () => {
    const { clock, host, worker } = createWorld();
    const rude = worker();

    rude.dial('large header', rude.hello('control', '', { software: 'x'.repeat(17_000) }));
    rude.dial('payload', rude.hello('control', ''), new Uint8Array(1));
    clock.advance(10);

    assert.deepEqual(rude.ended, ['large header', 'payload']);
    assert.equal(rude.received.length, 0);
    assert.equal(host.connectionCount(), 0);
  });

  test('ends a connection whose first frame is not a hello', () => {
    const { clock, host, worker } = createWorld();
    const rude = worker();

    rude.dial('other message', { kind: 'heartbeat', progress: 1 });
    rude.dial('no message', { a: 1 });
    rude.dial('incomplete', { kind: 'hello' });
    clock.advance(10);

    assert.deepEqual(rude.ended, ['other message', 'no message', 'incomplete']);
    assert.equal(host.connectionCount(), 0);
  });

  test('listens no more to a connection that it has refused', () => {
    const { clock, roster, refusals, worker } = createWorld();
    const stubborn = worker();

    const connection = stubborn.dial('control', stubborn.hello('control', '', { protocol: 999 }));
    connection.send(stubborn.hello('control', '', { protocol: 999 }));
    connection.send(stubborn.hello('control', ''));
    clock.advance(10);

    assert.equal(refusals.length, 1);
    assert.equal(roster.members().length, 0);
  });

  test('ends a connection that says nothing for five seconds', () => {
    const { clock, host, worker } = createWorld();
    const silent = worker();

    silent.dial('silent');
    clock.advance(DEFAULT_TIMING.greetingMs - 1);
    assert.equal(host.connectionCount(), 1);
    clock.advance(10);

    assert.deepEqual(silent.ended, ['silent']);
    assert.equal(host.connectionCount(), 0);
  });

  test('ends a socket that dribbles its greeting byte by byte', async () => {
    const { clock, roster } = createWorld();
    let accepted: () => void = () => {};
    const isAccepted = new Promise<void>((resolve) => (accepted = resolve));
    const listener = await listen({ host: '127.0.0.1', port: 0 }, (connection) => {
      roster.accept(connection);
      accepted();
    });
    const socket = connectSocket(listener.address.port, '127.0.0.1');
    socket.on('error', () => {});
    const hungUp = new Promise<void>((resolve) => socket.resume().once('close', () => resolve()));
    try {
      await isAccepted;
      for (const byte of Buffer.from('LKST')) {
        socket.write(Uint8Array.of(byte));
        await new Promise(setImmediate);
        clock.advance(1000);
      }
      assert.equal(socket.closed, false);

      clock.advance(1001);

      await hungUp;
    } finally {
      socket.destroy();
      await listener.close();
    }
  });

  test('puts out a worker that is not ready in two minutes, however alive it is', () => {
    const { clock, told, worker } = createWorld();
    const slow = worker();
    slow.control = slow.dial('control', slow.hello('control', ''));
    clock.advance(10);
    slow.heartbeat = slow.dial('heartbeat', slow.hello('heartbeat', slow.last('welcome')!.session));
    slow.startBeating();

    clock.advance(DEFAULT_TIMING.loadingMs - 200);
    assert.deepEqual(told, []);
    clock.advance(500);

    assert.deepEqual(told, ['w lost: not ready after 120.0 s']);
  });

  test(
    'does not take a worker for ready whose data connection never came, and puts it out in the ' +
      'end',
    () => {
      const { clock, roster, told, worker } = createWorld();
      const half = worker();
      half.control = half.dial('control', half.hello('control', ''));
      clock.advance(10);
      half.say({ kind: 'ready', dataDigest: DATA_DIGEST, numericsClass: 'one', loadMs: 1 });
      clock.advance(3_000);
      half.heartbeat = half.dial(
        'heartbeat',
        half.hello('heartbeat', half.last('welcome')!.session),
      );
      half.startBeating();
      clock.advance(1_000);

      assert.deepEqual(
        roster.members().map(({ phase }) => phase),
        ['loading'],
      );
      clock.advance(DEFAULT_TIMING.loadingMs);

      assert.equal(roster.members().length, 0);
      assert.equal(told.at(-1), 'w lost: not ready after 120.0 s');
      assert.ok(!told.includes('w ready'));
    },
  );
});

describe("Roster and the clocks of workers' machines", () => {
  /** Sends heartbeats with these times, a quarter of a second apart. */
  function tellTimes(times: readonly { readonly wallMs: number; readonly upMs: number }[]) {
    const world = createWorld();
    const member = world.worker().join();
    member.stopBeating();
    world.told.splice(0);
    for (const time of times) {
      member.heartbeat?.send({ kind: 'heartbeat', progress: 0, ...time });
      world.clock.advance(250);
    }
    return world.told;
  }

  test('tells of a jump once, with its size and direction', () => {
    const told = tellTimes([
      { wallMs: 1_000_000, upMs: 500 },
      { wallMs: 1_000_250, upMs: 750 },
      { wallMs: 4_600_500, upMs: 1_000 },
      { wallMs: 4_600_750, upMs: 1_250 },
      { wallMs: 4_591_000, upMs: 1_500 },
      { wallMs: 4_591_250, upMs: 1_750 },
    ]);

    assert.deepEqual(told, ['w jumped by 3600000 ms', 'w jumped by -10000 ms']);
  });

  test('says nothing of a clock that is corrected little by little, however far', () => {
    const times = Array.from({ length: 100 }, (_, i) => ({
      wallMs: 1e6 + i * 1_250,
      upMs: i * 250,
    }));

    assert.deepEqual(tellTimes(times), []);
  });

  test('says nothing of heartbeats that are long on their way', () => {
    const { clock, told, worker } = createWorld();
    const member = worker().join();
    member.stopBeating();
    told.splice(0);
    const beat = (ms: number): void =>
      member.heartbeat?.send({ kind: 'heartbeat', progress: 0, wallMs: 1e6 + ms, upMs: ms });

    beat(0);
    clock.advance(4_500);
    for (let ms = 250; ms <= 4_500; ms += 250) beat(ms);
    clock.advance(10);

    assert.deepEqual(
      told.filter((line) => line.includes('jumped')),
      [],
    );
  });

  test('takes heartbeats that tell no time', () => {
    const { clock, told, worker } = createWorld();

    worker().join();
    clock.advance(1_000);

    assert.deepEqual(told, ['w ready']);
  });
});

describe('Roster and its members', () => {
  test('stalls a silent member after two seconds and loses it after five', () => {
    const { clock, told, worker } = createWorld();
    const silent = worker().join();
    clock.advance(1_000);
    silent.stopBeating();

    clock.advance(1_700);
    assert.deepEqual(told, ['w ready']);
    clock.advance(600);
    assert.match(told[1]!, /^w stalled: no sign of life for 2\.\d s$/);
    clock.advance(2_500);
    assert.equal(told.length, 2);
    clock.advance(600);

    assert.match(told[2]!, /^w lost: no sign of life for 5\.\d s$/);
    assert.equal(told.length, 3);
    assert.deepEqual(silent.ended.toSorted(), ['control', 'data', 'heartbeat']);
  });

  test('takes any message for a sign of life', () => {
    const { clock, told, messages, worker } = createWorld();
    const busy = worker().join();
    busy.stopBeating();

    for (let i = 0; i < 10; i++) {
      busy.say({ kind: 'released', pass: 1, microBatches: [] });
      clock.advance(1_500);
    }

    assert.deepEqual(told, ['w ready']);
    assert.equal(messages.length, 10);
  });

  test('takes back a member that was silent for three seconds', () => {
    const { clock, told, worker } = createWorld();
    const absent = worker().join();

    absent.stopBeating();
    clock.advance(3_000);
    absent.startBeating();
    clock.advance(100);

    assert.equal(told.at(-1), 'w revived, ready');
  });

  test('takes a stuck member back with progress only, and loses it when there is none', () => {
    const { clock, roster, told, worker } = createWorld();
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
    clock.advance(21_000);

    assert.match(told.at(-1)!, /^w lost: no progress for/);
  });

  test('forgives silence while it was itself asleep', () => {
    const { clock, sleepy, host, told, worker } = createWorld();
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
      const { clock, sleepy, host, told, worker } = createWorld();
      const dying = worker().join();
      clock.advance(1_000);

      // The network wakes up a little before the timers: what waited there is heard first.
      host.frozenUntilMs = clock.now() + 59_990;
      sleepy.sleep(60_000);
      clock.advance(60_000);
      dying.stopBeating();
      clock.advance(5_500);

      assert.match(told.at(-1)!, /^w lost: no sign of life for 5\.\d s$/);
    },
  );

  test('loses a member when any of its connections ends, and then closes the others', () => {
    for (const channel of ['control', 'data', 'heartbeat'] as const) {
      const { clock, host, told, worker } = createWorld();
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
      (w) => w.control?.send(w.hello('control', '')),
      (w) => w.say({ kind: 'ready', dataDigest: 'other', numericsClass: 'one', loadMs: 1 }),
      (w) => w.control?.send({ kind: 'heartbeat', progress: 1 }, new Uint8Array(1)),
      (w) => w.data?.send({ kind: 'state', step: 0 }, new Uint8Array(1001)),
      (w) => w.heartbeat?.send({ kind: 'failed', reason: 'x'.repeat(2000) }),
    ];
    for (const [i, offend] of offences.entries()) {
      const { clock, host, told, worker } = createWorld();
      const rude = worker().join();

      offend(rude);
      clock.advance(10);

      assert.match(told[1] ?? '', /^w lost: /, `offence ${i}`);
      assert.equal(host.connectionCount(), 0);
    }
  });

  test('passes on the reason of a worker that cannot go on', () => {
    const { clock, told, worker } = createWorld();
    const failing = worker().join();

    failing.say({ kind: 'failed', reason: 'out of memory' });
    clock.advance(10);

    assert.deepEqual(told, ['w ready', 'w lost: out of memory']);
  });

  test('says goodbye to everybody at the end and leaves no timer and no connection', () => {
    const { clock, host, roster, told, worker } = createWorld();
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
