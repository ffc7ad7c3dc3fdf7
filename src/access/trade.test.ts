import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { temporaryFolder } from '../../test/cluster/processes.ts';
import { systemClock } from '../base/clock.ts';
import { AccessError } from '../base/errors.ts';
import type { Connection } from '../transport/connection.ts';
import { connectInMemory, SimulatedHost } from '../transport/memory-network.ts';
import { AccessStore } from './access-store.ts';
import { joinKeyOf } from './token.ts';
import { askForTrade, serveTrade, trade } from './trade.ts';

/** A coordinator with a token of two uses, and connections that came about by it. */
function world(t: TestContext) {
  const time = { ms: 1e12 };
  const store = new AccessStore(temporaryFolder(t), () => time.ms);
  const token = store.create({ role: 'worker', lifetimeMs: 1_000, maxUses: 2, note: '' });
  const { identity } = joinKeyOf(token);
  const outcomes: unknown[] = [];
  const connect = (): Connection => {
    const hosts = [new SimulatedHost('mini'), new SimulatedHost('desk')] as const;
    const network = { delayMs: () => 0, heldUntilMs: 0 };
    const [near, far] = connectInMemory(systemClock, network, ...hosts);
    serveTrade(far, store, identity, (outcome) => outcomes.push(outcome));
    return near;
  };
  const uses = (): number | undefined => store.list()[0]?.credentials.length;
  return { time, store, token, connect, outcomes, uses };
}

describe('a token that is shown', () => {
  test('is traded for a credential that the door knows', async (t) => {
    const { store, connect, outcomes, uses } = world(t);

    const { identity, key } = await trade(connect(), 'mini');

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

    for (const holder of ['a', 'b']) await trade(connect(), holder);
    await isRefusedFor(/^the token was used 2 times, as often as it may be/);
    time.ms += 5_000;
    await isRefusedFor(/^the token expired 4 s ago/);
    store.revoke(token.id);
    await isRefusedFor(/^the token was revoked 1 s ago/);
  });
});
