import assert from 'node:assert/strict';
import { connect as connectSocket } from 'node:net';
import { describe, test } from 'node:test';
import { createRosterWorld } from '../../test/roster-world.ts';
import { DATA_DIGEST, type ScriptedWorker } from '../../test/scripted-worker.ts';
import type { Hello } from '../protocol/messages.ts';
import { listen } from '../transport/tcp.ts';
import { DEFAULT_TIMING } from './timing.ts';

describe('Roster at its door', () => {
  test('makes a worker a member once it has three connections and is ready', () => {
    const { roster, told, worker } = createRosterWorld();

    worker().join();

    assert.deepEqual(told, ['w ready']);
    assert.deepEqual(
      roster.members().map(({ phase }) => phase),
      ['ready'],
    );
  });

  test('refuses another protocol and names both versions and the remedy', () => {
    const { clock, roster, refusals, worker } = createRosterWorld();
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

  test('tells of who speaks otherwise than a worker, and not of who says nothing', () => {
    const { clock, refusals, worker, roster } = createRosterWorld();

    worker().dial('control', { kind: 'released', pass: 1, microBatches: [] });
    worker().dial('control', { kind: 'GET /' });
    clock.advance(DEFAULT_TIMING.greetingMs + 10);

    assert.equal(refusals.length, 2);
    assert.match(refusals[0]!, /expected hello first, got released/);
    assert.equal(roster.members().length, 0);
  });

  test('rejects a worker with other data, names both digests, closes all its connections', () => {
    const { clock, host, roster, told, refusals, worker } = createRosterWorld();
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
    const { clock, roster, worker } = createRosterWorld();
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
    const { clock, worker } = createRosterWorld();
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
      const { clock, roster, told, refusals, refusedRanks, worker } = createRosterWorld();
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
    const { clock, told, refusals, worker } = createRosterWorld();
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
    const { clock, roster, told, worker } = createRosterWorld();
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
    const { clock, worker } = createRosterWorld();
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

  test('gives a worker that joins again the rank that it had, unless somebody has it', () => {
    const { clock, worker } = createRosterWorld();
    const join = (name: string, rank: number | null = null): ScriptedWorker => {
      const joining = worker(name);
      joining.control = joining.dial('control', joining.hello('control', '', { rank }));
      clock.advance(10);
      return joining;
    };
    const first = join('a');
    join('b').control?.close();
    first.control?.close();
    clock.advance(10);
    const thief = join('c', 0);

    assert.equal(join('b').last('welcome')!.rank, 1);
    assert.equal(join('a').last('welcome')!.rank, 2);
    assert.equal(thief.last('welcome')!.rank, 0);
  });

  test('tells those who come when the run ends that it is over', () => {
    const { clock, host, roster, worker } = createRosterWorld();
    const early = worker('early');
    early.dial('control');
    clock.advance(10);

    roster.dismissAll('done');
    clock.advance(10);

    assert.deepEqual(early.received, [{ kind: 'goodbye', reason: 'done' }]);
    assert.deepEqual(early.ended, ['control']);
    assert.equal(host.connectionCount(), 0);
    assert.equal(clock.pendingCount(), 0);
  });

  test('ends a connection whose first frame is larger than a greeting', () => {
    const { clock, host, worker } = createRosterWorld();
    const rude = worker();

    rude.dial('large header', rude.hello('control', '', { software: 'x'.repeat(17_000) }));
    rude.dial('payload', rude.hello('control', ''), new Uint8Array(1));
    clock.advance(10);

    assert.deepEqual(rude.ended, ['large header', 'payload']);
    assert.equal(rude.received.length, 0);
    assert.equal(host.connectionCount(), 0);
  });

  test('ends a connection whose first frame is not a hello', () => {
    const { clock, host, worker } = createRosterWorld();
    const rude = worker();

    rude.dial('other message', { kind: 'heartbeat', progress: 1 });
    rude.dial('no message', { a: 1 });
    rude.dial('incomplete', { kind: 'hello' });
    clock.advance(10);

    assert.deepEqual(rude.ended, ['other message', 'no message', 'incomplete']);
    assert.equal(host.connectionCount(), 0);
  });

  test('listens no more to a connection that it has refused', () => {
    const { clock, roster, refusals, worker } = createRosterWorld();
    const stubborn = worker();

    const connection = stubborn.dial('control', stubborn.hello('control', '', { protocol: 999 }));
    connection.send(stubborn.hello('control', '', { protocol: 999 }));
    connection.send(stubborn.hello('control', ''));
    clock.advance(10);

    assert.equal(refusals.length, 1);
    assert.equal(roster.members().length, 0);
  });

  test('ends a connection that says nothing for five seconds', () => {
    const { clock, host, worker } = createRosterWorld();
    const silent = worker();

    silent.dial('silent');
    clock.advance(DEFAULT_TIMING.greetingMs - 1);
    assert.equal(host.connectionCount(), 1);
    clock.advance(10);

    assert.deepEqual(silent.ended, ['silent']);
    assert.equal(host.connectionCount(), 0);
  });

  test('ends a socket that dribbles its greeting byte by byte', async () => {
    const { clock, roster } = createRosterWorld();
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

  test('puts out a worker that is not ready in two minutes and computes nothing, however alive it is', () => {
    const { clock, told, worker } = createRosterWorld();
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

  test('gives a worker an hour whose lanes compute before it is ready, as long as it says so', () => {
    const { clock, told, worker } = createRosterWorld();
    const [slow, frozen] = [worker('slow'), worker('frozen')];
    for (const one of [slow, frozen]) {
      one.control = one.dial('control', one.hello('control', ''));
      clock.advance(10);
      one.heartbeat = one.dial('heartbeat', one.hello('heartbeat', one.last('welcome')!.session));
      one.busyLanes = 1;
      one.startBeating();
    }
    clock.advance(1_000);
    frozen.stopBeating();

    clock.advance(2 * DEFAULT_TIMING.loadingMs);
    assert.deepEqual(told, ['frozen lost: not ready after 120.0 s']);
    clock.advance(3_600_000);

    assert.deepEqual(told.slice(1), ['slow lost: not ready after 3600.0 s']);
  });

  test(
    'does not take a worker for ready whose data connection never came, and puts it out in the ' +
      'end',
    () => {
      const { clock, roster, told, worker } = createRosterWorld();
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
