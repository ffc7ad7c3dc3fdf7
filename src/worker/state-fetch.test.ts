import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../base/clock.ts';
import { ProtocolError } from '../base/errors.ts';
import type { FetchState, ToCoordinator } from '../protocol/messages.ts';
import { PEER_PROTOCOL } from '../protocol/peer-messages.ts';
import type { Engine } from '../runtime/engine.ts';
import type { Connection } from '../transport/connection.ts';
import { connectInMemory, SimulatedHost } from '../transport/memory-network.ts';
import { PeerDoor } from './peer-door.ts';
import { StateDonor } from './state-donor.ts';
import { StateFetch } from './state-fetch.ts';

const STATE = Uint8Array.from({ length: 20 }, (_, i) => i);
const PIECE_BYTES = 8;
const REQUEST: FetchState = {
  kind: 'fetchState',
  step: 7,
  serial: 1,
  byteLength: STATE.length,
  stateDigest: 'd',
  secret: 'secret',
  doors: [{ host: 'donor', port: 1 }],
};
const HELLO = {
  ...{ kind: 'hello', protocol: PEER_PROTOCOL.version, channel: 'state' },
  ...{ secret: 'secret', step: 7 },
} as const;

/** One memory for all copies of its state, as the lanes have it. */
class CopyingEngine implements Pick<Engine, 'digest' | 'exportState'> {
  readonly bytes = STATE.slice();
  digest(done: (weightsDigest: string, stateDigest: string) => void): void {
    done('w', 'd');
  }
  exportState(done: (bytes: Uint8Array) => void): void {
    done(this.bytes);
  }
}

/** A donor with a door, and a worker that reaches it. */
function createWorld() {
  const clock = new ManualClock();
  const link = { delayMs: () => 1, heldUntilMs: 0 };
  const [near, far] = [new SimulatedHost('late'), new SimulatedHost('donor')];
  const said: ToCoordinator[] = [];
  const say = (message: ToCoordinator): void => void said.push(message);
  let copies = 0;
  const donor = new StateDonor({
    clock,
    link: { send: say, sendData: say, sendSoon: say },
    pieceBytes: PIECE_BYTES,
    onCopied: () => void copies++,
  });
  const door = new PeerDoor(clock, { admit: () => 'waiting', give: (c, h) => donor.admit(c, h) });
  const dial = (take = (connection: Connection) => door.receive(connection)): Connection => {
    const [left, right] = connectInMemory(clock, link, near, far);
    take(right);
    return left;
  };
  const engine = new CopyingEngine();
  const keep = (step = 7, secret = 'secret'): boolean => {
    donor.ask({ kind: 'serveState', step, secret });
    return donor.advance(engine as unknown as Engine, 7);
  };
  const got: (readonly number[])[] = [];
  const problems: string[] = [];
  /** Dials the donor's door, unless somebody else takes the connection. */
  const fetchFrom = (take?: (connection: Connection) => void): StateFetch =>
    new StateFetch({
      clock,
      network: {
        doors: () => [],
        connect: (_, opened) => opened(dial(take)),
        onVisitor: () => {},
        makeCollective: () => assert.fail('no sums here'),
      },
      onFetched: (_, bytes) => void got.push([...bytes]),
      onFailed: (_, problem) => void problems.push(problem),
    });
  /** A visitor at the door that says `hello`, and what it hears. */
  const visit = (hello: object): { heard: object[]; isOver: boolean; connection: Connection } => {
    const connection = dial();
    const visitor = { heard: [] as object[], isOver: false, connection };
    connection.limits = { maxHeaderBytes: 1 << 10, maxPayloadBytes: 1 << 10 };
    connection.handlers = {
      onFrame: (header) => void visitor.heard.push(header as object),
      onClose: () => void (visitor.isOver = true),
    };
    connection.send(hello);
    clock.advance(10);
    return visitor;
  };
  const hosts = { near, far };
  const facts = { said, got, problems, copies: () => copies };
  return { clock, link, donor, engine, keep, fetchFrom, visit, ...hosts, ...facts };
}

/** Another worker's end, which says what the test wants as soon as it is greeted. */
function saying(...pieces: readonly { offset: number; bytes: number }[]) {
  return (connection: Connection): void => {
    connection.handlers = {
      onFrame: () => {
        for (const { offset, bytes } of pieces)
          connection.send({ kind: 'piece', offset }, new Uint8Array(bytes));
        connection.close();
      },
      onClose: () => {},
    };
  };
}

describe('StateFetch', () => {
  test('gets the state as it was when it was copied, piece by piece', () => {
    const { clock, engine, keep, fetchFrom, said, got, problems, near, far } = createWorld();
    assert.ok(keep());
    assert.deepEqual(said, [{ kind: 'serving', secret: 'secret', stateDigest: 'd' }]);
    engine.bytes.fill(0);

    const fetch = fetchFrom();
    for (let i = 0; i < 2; i++) fetch.begin(REQUEST, STATE.length);
    clock.advance(20);

    assert.deepEqual([got, problems], [[[...STATE]], []]);
    assert.equal(near.connectionCount() + far.connectionCount(), 0);
    assert.equal(clock.pendingCount(), 0);
  });

  test('says what was wrong with a state of another length, or in another order', () => {
    const { clock, fetchFrom, got, problems } = createWorld();
    const cases = [
      saying({ offset: 0, bytes: 16 }),
      saying({ offset: 0, bytes: 16 }, { offset: 16, bytes: 5 }),
      saying({ offset: 8, bytes: 8 }),
      saying({ offset: 0, bytes: 0 }),
    ];
    for (const take of cases) {
      fetchFrom(take).begin(REQUEST, STATE.length);
      clock.advance(20);
    }

    assert.deepEqual(got, []);
    assert.deepEqual(problems, [
      'after 16 of 20 bytes of a state: connection to donor: ended',
      'after 16 of 20 bytes of a state: expected the bytes of the state from 16 to 20, got some ' +
        'from 16 to 21',
      'after 0 of 20 bytes of a state: expected the bytes of the state from 0 to 20, got some ' +
        'from 8 to 16',
      'after 0 of 20 bytes of a state: expected the bytes of the state from 0 to 20, got some ' +
        'from 0 to 0',
    ]);
    assert.equal(clock.pendingCount(), 0);
  });

  test('gives up after ten seconds without a byte', () => {
    const { clock, link, keep, fetchFrom, got, problems } = createWorld();
    keep();
    fetchFrom().begin(REQUEST, STATE.length);
    clock.advance(3);
    link.heldUntilMs = 1e9;
    clock.advance(20_100);

    assert.deepEqual(got, []);
    assert.match(problems.join(), /^after \d+ of 20 bytes of a state: no data for 10 s$/);
  });

  test('tells nothing of a state once a newer one comes from the coordinator', () => {
    const { clock, keep, fetchFrom, got, problems } = createWorld();
    keep();
    const fetch = fetchFrom();
    fetch.begin(REQUEST, STATE.length);
    fetch.overtake(1);
    clock.advance(2);
    fetch.overtake(2);
    clock.advance(20_000);

    assert.deepEqual([got, problems], [[], []]);
    assert.equal(clock.pendingCount(), 0);
  });

  test('takes no state that is larger than that of the job', () => {
    const { fetchFrom } = createWorld();

    assert.throws(() => fetchFrom().begin(REQUEST, STATE.length - 1), ProtocolError);
  });
});

describe('StateDonor', () => {
  test('copies the state of the step that it is asked for, and none for a later request of it', () => {
    const { donor, engine, keep, said, copies } = createWorld();
    assert.equal(keep(8), false);
    assert.equal(keep(7, 'other'), true);
    assert.equal(keep(7, 'other'), false);

    donor.ask({ kind: 'serveState', step: 7, secret: 'third' });
    donor.void();
    assert.equal(donor.advance(engine as unknown as Engine, 7), false);
    assert.deepEqual([said.length, copies()], [1, 1]);
  });

  test('refuses whoever says another secret or step, or comes second', () => {
    const { keep, visit } = createWorld();
    keep();
    const wrong = [{ secret: 'guessed' }, { step: 6 }].map((change) =>
      visit({ ...HELLO, ...change }),
    );
    const right = visit(HELLO);
    wrong.push(visit(HELLO));

    for (const { heard, isOver } of wrong) {
      const reason = 'no state is kept here for whoever says that secret and step';
      assert.deepEqual([heard, isOver], [[{ kind: 'refused', reason }], true]);
    }
    assert.deepEqual(
      right.heard,
      [0, 8, 16].map((offset) => ({ kind: 'piece', offset })),
    );
    assert.ok(right.isOver);
  });

  test('keeps a copy for a minute, and for ten seconds if nothing of it is taken', () => {
    const { clock, keep, visit, near, far } = createWorld();
    keep();
    clock.advance(60_001);
    assert.equal(visit(HELLO).heard.length, 1);

    keep(7, 'second');
    near.frozenUntilMs = clock.now() + 30_000;
    const slow = visit({ ...HELLO, secret: 'second' });
    clock.advance(20_100);
    assert.equal(far.connectionCount(), 0);
    clock.advance(10_000);

    assert.ok(slow.isOver && slow.heard.length < 3);
    assert.equal(clock.pendingCount(), 0);
  });

  test('ends what it gives when it is asked for another state', () => {
    const { clock, keep, visit, far } = createWorld();
    keep();
    const first = visit({ ...HELLO, step: 5 });
    keep(7, 'second');
    assert.equal(visit(HELLO).heard.length, 1);

    assert.equal(visit({ ...HELLO, secret: 'second' }).heard.length, 3);
    clock.advance(100);
    assert.ok(first.isOver);
    assert.equal(far.connectionCount(), 0);
  });
});
