import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { ManualClock } from '../base/clock.ts';
import { type LockstepError, PeerLostError, ProtocolError } from '../base/errors.ts';
import type { Connection } from './connection.ts';
import { connectInMemory, SimulatedHost } from './memory-network.ts';

interface Arrival {
  readonly atMs: number;
  readonly header: unknown;
  readonly payload: readonly number[];
}

/** Two hosts, a link of 10 ms between them, and all that host `b` is told. */
function createWorld(delayMs: (byteLength: number) => number = () => 10) {
  const clock = new ManualClock();
  const link = { delayMs, heldUntilMs: 0 };
  const a = new SimulatedHost('a');
  const b = new SimulatedHost('b');
  const [near, far] = connectInMemory(clock, link, a, b);
  const arrivals: Arrival[] = [];
  const nearEnds: (LockstepError | undefined)[] = [];
  const farEnds: (LockstepError | undefined)[] = [];
  far.limits = near.limits = { maxHeaderBytes: 1000, maxPayloadBytes: 1000 };
  far.handlers = {
    onFrame: (header, payload) =>
      void arrivals.push({ atMs: clock.now(), header, payload: [...payload] }),
    onClose: (error) => void farEnds.push(error),
  };
  near.handlers = { onFrame: () => {}, onClose: (error) => void nearEnds.push(error) };
  return { clock, link, a, b, near, far, arrivals, nearEnds, farEnds };
}

function namesOf(arrivals: readonly Arrival[]): unknown[] {
  return arrivals.map(({ header }) => (header as { n: unknown }).n);
}

describe('connectInMemory', () => {
  test('delivers frames after the delay of the link, each with its payload', () => {
    const { clock, near, arrivals } = createWorld((byteLength) => byteLength);

    near.send({ n: 1 }, Uint8Array.of(1, 2, 3));
    clock.advance(1000);

    assert.deepEqual(arrivals, [
      { atMs: '{"n":1}'.length + 3, header: { n: 1 }, payload: [1, 2, 3] },
    ]);
  });

  test('does not let a small frame overtake a large one', () => {
    const { clock, near, arrivals } = createWorld((byteLength) => byteLength);

    near.send({ n: 1 }, new Uint8Array(500));
    near.send({ n: 2 });
    clock.advance(1000);

    assert.deepEqual(namesOf(arrivals), [1, 2]);
  });

  test('keeps the bytes as they were when they were sent', () => {
    const { clock, near, arrivals } = createWorld();
    const payload = Uint8Array.of(1);

    near.send({}, payload);
    payload[0] = 2;
    clock.advance(1000);

    assert.deepEqual(arrivals[0]?.payload, [1]);
  });

  test('gives each payload memory of its own, which the receiver may keep', () => {
    const { clock, near, far } = createWorld();
    const kept: Uint8Array[] = [];
    far.handlers = { onFrame: (_, payload) => void kept.push(payload), onClose: () => {} };
    const payload = Uint8Array.of(1, 2);

    near.send({}, payload);
    near.send({}, payload);
    clock.advance(1000);
    kept[0]!.fill(9);

    assert.deepEqual(
      kept.map((bytes) => [...bytes]),
      [
        [9, 9],
        [1, 2],
      ],
    );
    assert.deepEqual([...payload], [1, 2]);
  });

  test('holds what reaches a frozen host until it thaws, in order', () => {
    const { clock, b, near, arrivals } = createWorld();

    near.send({ n: 1 });
    b.frozenUntilMs = 500;
    clock.advance(100);
    near.send({ n: 2 });
    clock.advance(1000);

    assert.deepEqual(
      arrivals.map(({ atMs }) => atMs),
      [500, 500],
    );
    assert.deepEqual(namesOf(arrivals), [1, 2]);
  });

  test('holds everything while the link is held', () => {
    const { clock, link, near, arrivals } = createWorld();

    link.heldUntilMs = 300;
    near.send({ n: 1 });
    clock.advance(299);
    assert.equal(arrivals.length, 0);
    clock.advance(1);

    assert.equal(arrivals.length, 1);
  });

  test('keeps the order when a hold ends earlier than it was announced', () => {
    const { clock, link, near, arrivals } = createWorld();

    link.heldUntilMs = 300;
    near.send({ n: 1 });
    clock.advance(20);
    link.heldUntilMs = 30;
    near.send({ n: 2 });
    clock.advance(1000);

    assert.deepEqual(namesOf(arrivals), [1, 2]);
  });

  test('keeps the order of every direction under random delays, freezes and holds', () => {
    const action = fc.record({
      kind: fc.constantFrom('send', 'freeze', 'hold', 'wait'),
      ms: fc.nat(50),
    });
    fc.assert(
      fc.property(
        fc.array(action, { maxLength: 60 }),
        fc.array(fc.nat(40), { minLength: 1 }),
        (actions, delays) => {
          let drawn = 0;
          const { clock, link, b, near, arrivals } = createWorld(
            () => delays[drawn++ % delays.length]!,
          );
          let sent = 0;

          for (const { kind, ms } of actions) {
            if (kind === 'send') near.send({ n: sent++ });
            else if (kind === 'freeze') b.frozenUntilMs = clock.now() + ms;
            else if (kind === 'hold') link.heldUntilMs = clock.now() + ms;
            else clock.advance(ms);
          }
          clock.advance(10_000);

          assert.deepEqual(
            namesOf(arrivals),
            Array.from({ length: sent }, (_, i) => i),
          );
          assert.equal(clock.pendingCount(), 0);
        },
      ),
    );
  });

  test('delivers what was sent before the end, then tells the other end once', () => {
    const { clock, near, arrivals, nearEnds, farEnds } = createWorld();

    near.send({ n: 1 });
    near.close();
    near.close();
    near.send({ n: 2 });
    clock.advance(1000);

    assert.deepEqual(namesOf(arrivals), [1]);
    assert.deepEqual(nearEnds, [undefined]);
    assert.equal(farEnds.length, 1);
    assert.ok(farEnds[0] instanceof PeerLostError);
  });

  test('delivers no frame after its owner has closed it', () => {
    const { clock, near, far, arrivals } = createWorld();

    near.send({ n: 1 });
    far.close();
    clock.advance(1000);

    assert.equal(arrivals.length, 0);
  });

  test('refuses frames beyond the limits and ends both sides', () => {
    for (const [header, payload] of [
      [{ n: 'x'.repeat(1000) }, new Uint8Array(0)],
      [{ n: 1 }, new Uint8Array(1001)],
    ] as const) {
      const { clock, near, arrivals, nearEnds, farEnds } = createWorld();

      near.send(header, payload);
      clock.advance(1000);

      assert.equal(arrivals.length, 0);
      assert.ok(farEnds[0] instanceof ProtocolError);
      assert.deepEqual([nearEnds.length, farEnds.length], [1, 1]);
    }
  });

  test('ends both sides when a handler refuses a frame', () => {
    const { clock, near, far, nearEnds } = createWorld();
    const ends: unknown[] = [];
    far.handlers = {
      onFrame: () => {
        throw new ProtocolError('not wanted');
      },
      onClose: (error) => void ends.push(error?.message),
    };

    near.send({ n: 1 });
    near.send({ n: 2 });
    clock.advance(1000);

    assert.deepEqual(ends, ['not wanted']);
    assert.equal(nearEnds.length, 1);
  });

  test('does not hide a mistake of a handler', () => {
    const { clock, near, far } = createWorld();
    far.handlers = {
      onFrame: () => {
        throw new TypeError('a mistake');
      },
      onClose: () => {},
    };

    near.send({ n: 1 });

    assert.throws(() => clock.advance(1000), TypeError);
  });

  test('writes payloads where the receiver wants them, and refuses those that do not fit', () => {
    const { clock, near, far, farEnds } = createWorld();
    const target = new Uint8Array(4);
    far.handlers = { ...far.handlers, payloadTarget: () => target };

    near.send({}, Uint8Array.of(1, 2, 3));
    clock.advance(1000);
    assert.deepEqual([...target], [1, 2, 3, 0]);

    near.send({}, new Uint8Array(5));
    clock.advance(1000);
    assert.ok(farEnds[0] instanceof ProtocolError);
  });
});

describe('SimulatedHost', () => {
  test('ends its connections when it is killed, and is told nothing itself', () => {
    const { clock, a, near, arrivals, nearEnds, farEnds } = createWorld();

    near.send({ n: 1 });
    a.kill();
    clock.advance(1000);

    assert.deepEqual(namesOf(arrivals), [1]);
    assert.equal(farEnds.length, 1);
    assert.equal(nearEnds.length, 0);
    assert.equal(a.connectionCount(), 0);
  });

  test('receives nothing once it is dead', () => {
    const { clock, b, near, arrivals, nearEnds } = createWorld();

    near.send({ n: 1 });
    b.kill();
    clock.advance(1000);

    assert.equal(arrivals.length, 0);
    assert.equal(nearEnds.length, 1);
  });

  test('tells both ends when its connections are cut', () => {
    const { clock, a, b, nearEnds, farEnds } = createWorld();

    a.cutConnections();
    clock.advance(1000);

    assert.deepEqual([nearEnds.length, farEnds.length], [1, 1]);
    assert.deepEqual([a.connectionCount(), b.connectionCount()], [0, 0]);
  });
});

describe('onFlushed of a memory connection', () => {
  const endings: Record<string, (world: ReturnType<typeof createWorld>) => void> = {
    'when all goes well': () => {},
    'when the sender closes': ({ near }) => near.close(),
    'when the receiver closes': ({ far }) => far.close(),
    'when the receiver dies': ({ b }) => b.kill(),
    'when the connection is cut': ({ a }) => a.cutConnections(),
    'when the receiver thaws late': ({ b }) => void (b.frozenUntilMs = 900),
    'when the receiver refuses the frame': ({ far }) =>
      void (far.limits = { maxHeaderBytes: 0, maxPayloadBytes: 0 }),
  };

  for (const [when, end] of Object.entries(endings)) {
    test(`is called exactly once ${when}`, () => {
      const world = createWorld();
      const calls = [0, 0, 0];
      const send = (connection: Connection, n: number): void =>
        connection.send({ n }, Uint8Array.of(n), () => calls[n]!++);

      send(world.near, 0);
      send(world.near, 1);
      end(world);
      send(world.near, 2);
      world.clock.advance(5000);

      assert.deepEqual(calls, [1, 1, 1]);
      assert.equal(world.near.queuedBytes, 0);
    });
  }
});
