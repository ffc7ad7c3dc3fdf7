import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { randomBytes } from 'node:crypto';
import { temporaryFolder } from '../../test/cluster/processes.ts';
import { systemClock } from '../base/clock.ts';
import { AccessError } from '../base/errors.ts';
import type { RunEvent } from '../metrics/events.ts';
import type { Connection, ConnectionHandlers } from '../transport/connection.ts';
import { connectInMemory, SimulatedHost } from '../transport/memory-network.ts';
import { AccessStore } from './access-store.ts';
import { Approvals, type Newcomer } from './approvals.ts';
import { joinKeyOf } from './token.ts';
import { askForTrade, serveTrade, trade, type TradeWishes } from './trade.ts';

const WISHES: TradeWishes = {
  holder: 'mini',
  onCode: () => assert.fail('nobody is asked'),
  signal: new AbortController().signal,
};

/** A coordinator with a token of two uses, and connections that came about by it. */
function world(t: TestContext, approvals?: Approvals) {
  const time = { ms: 1e12 };
  const store = new AccessStore(temporaryFolder(t), () => time.ms);
  const token = store.create({ role: 'worker', lifetimeMs: 1_000, maxUses: 2, note: '' });
  const { identity } = joinKeyOf(token);
  const outcomes: unknown[] = [];
  const onEnd = (outcome: unknown): void => void outcomes.push(outcome);
  const connect = (): Connection => {
    const [near, far] = encryptedLink();
    serveTrade(far, { store, joinIdentity: identity, approvals, onEnd });
    return near;
  };
  const uses = (): number | undefined => store.list()[0]?.credentials.length;
  return { time, store, token, connect, outcomes, uses };
}

/** The two ends of a connection, with what only they have in common. */
function encryptedLink(): readonly [Connection, Connection] {
  const hosts = [new SimulatedHost('mini'), new SimulatedHost('desk')] as const;
  const network = { delayMs: () => 0, heldUntilMs: 0 };
  const binding = randomBytes(32);
  const [near, far] = connectInMemory(systemClock, network, ...hosts);
  return [Object.assign(near, { binding }), Object.assign(far, { binding })];
}

/** Hands on what either of two connections says, as somebody in between does. */
function relay(one: Connection, other: Connection): void {
  const handTo = (to: Connection): ConnectionHandlers => ({
    onFrame: (header) => to.send(header as object),
    onClose: () => to.close(),
  });
  [one.handlers, other.handlers] = [handTo(other), handTo(one)];
}

/** A person who lets in whose code is that of the last screen, and who has asked. */
function attentivePerson() {
  const screen = { code: '' };
  const seen: Newcomer[] = [];
  const events: RunEvent[] = [];
  const approvals = new Approvals(systemClock, {
    ask: (newcomer, answer) => {
      seen.push(newcomer);
      const look = setTimeout(() => answer(newcomer.code === screen.code), 20);
      return () => clearTimeout(look);
    },
  });
  approvals.begin((event) => events.push(event));
  const wishes = { ...WISHES, onCode: (code: string): void => void (screen.code = code) };
  const became = (): unknown[] =>
    events.map((event) => ('became' in event ? event.became : event.kind));
  return { approvals, wishes, seen, screen, became };
}

describe('a token that is shown', () => {
  test('is traded for a credential that the door knows', async (t) => {
    const { store, connect, outcomes, uses } = world(t);

    const { identity, key } = await trade(connect(), WISHES);

    assert.equal(Buffer.from(store.keyOf(identity) ?? '').toString('hex'), key);
    assert.deepEqual([outcomes.length, uses()], [1, 1]);
  });

  test('can be asked about, and is not used up by that', async (t) => {
    const { connect, outcomes, uses } = world(t);

    for (let times = 0; times < 3; times++) await askForTrade(connect());

    assert.deepEqual([outcomes, uses()], [[], 0]);
  });

  test('that would not be traded says why when it is asked', async (t) => {
    const { time, store, token, connect } = world(t);
    const isRefusedFor = async (reason: RegExp): Promise<void> =>
      assert.rejects(
        askForTrade(connect()),
        (error) => error instanceof AccessError && reason.test(error.message),
      );

    for (let times = 0; times < 2; times++) await trade(connect(), WISHES);
    await isRefusedFor(/^the token was used 2 times, as often as it may be/);
    time.ms += 5_000;
    await isRefusedFor(/^the token expired 4 s ago/);
    store.revoke(token.id);
    await isRefusedFor(/^the token was revoked 1 s ago/);
  });
});

describe('a newcomer that a person must let in', () => {
  test('gets its credential once the digits of its screen are confirmed', async (t) => {
    const { approvals, wishes, seen, screen, became } = attentivePerson();
    const { store, connect, outcomes } = world(t, approvals);

    const { identity } = await trade(connect(), wishes);

    assert.match(screen.code, /^\d{6}$/);
    assert.deepEqual(
      seen.map(({ code, holder }) => [code, holder]),
      [[screen.code, 'mini']],
    );
    assert.ok(store.isApproved(identity));
    assert.deepEqual([outcomes.length, became()], [1, ['approval-asked', 'approved']]);
  });

  test('shows other digits if somebody with the token is in between', async (t) => {
    const { approvals, wishes, seen, screen, became } = attentivePerson();
    const { connect, outcomes, uses } = world(t, approvals);
    const [near, far] = encryptedLink();
    relay(far, connect());

    await assert.rejects(trade(near, wishes), /the person at the coordinator has turned it away/);

    assert.notEqual(seen[0]?.code, screen.code);
    assert.deepEqual(outcomes, ['the person at the coordinator has turned it away']);
    assert.deepEqual([uses(), became()], [0, ['approval-asked', 'denied']]);
  });

  test('is not believed a coordinator that tells another number than it was bound to', async () => {
    const [near, far] = encryptedLink();
    const number = '0'.repeat(64);
    far.handlers = {
      onFrame: ({ kind }: { kind?: string }) =>
        far.send(
          kind === 'trade'
            ? { kind: 'compare', commitment: number }
            : { kind: 'wait', number, forMs: 1 },
        ),
      onClose: () => {},
    };

    await assert.rejects(trade(near, WISHES), /it said wait/);
  });

  test('may go again, and is not asked about any more', async (t) => {
    const { approvals, wishes, became } = attentivePerson();
    const { connect, uses } = world(t, approvals);
    const leaving = new AbortController();
    const onCode = (): void => leaving.abort();

    await assert.rejects(trade(connect(), { ...wishes, onCode, signal: leaving.signal }));

    await new Promise((later) => setTimeout(later, 5));
    assert.deepEqual([uses(), became()], [0, ['approval-asked', 'left']]);
  });
});
