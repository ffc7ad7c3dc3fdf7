/** A run with a relay between one of its workers and the coordinator, and damage on that link. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { openRelay, type Relay } from '../../src/transport/relay.ts';
import { startLockstep } from './processes.ts';
import { assertSameModel, PROMISE, referenceOf, type Run, startRun, startWorker } from './runs.ts';

/** Small enough for gradient sums to travel on the sockets: 15,910 parameters. */
export const SMALL: readonly string[] = [...PROMISE, '--hidden', '20'];
export const RELAYED_RANK = 1;

/** A run on three workers, one of which joins by way of a relay; its sums go that way. */
export async function startRelayedRun(
  t: TestContext,
  args: readonly string[],
): Promise<{ run: Run; relay: Relay }> {
  const star = ['--collective', 'star'];
  const run = startRun(t, [...args, ...star, '--workers', '3'], 'coordinator');
  const [host, port] = (await run.address()).split(':') as [string, string];
  const relay = await openRelay({ host, port: Number(port) });
  t.after(async () => relay.close());
  await startWorker(t, run, '--rank', '0');
  const { address } = relay;
  startLockstep(t, [
    ...['worker', '--join', `${address.host}:${address.port}`],
    ...['--lanes', '1', '--rank', String(RELAYED_RANK)],
  ]);
  await startWorker(t, run, '--rank', '2');
  return { run, relay };
}

/**
 * Damages a frame on its way: the worker is named and taken back, and the model is the same.
 */
export async function assertDamageIsNoticed(
  t: TestContext,
  direction: 'up' | 'down',
): Promise<void> {
  const reference = await referenceOf(t, SMALL);
  const { run, relay } = await startRelayedRun(t, SMALL);

  await run.reachesStep(20);
  // Most bytes by far are of a gradient sum or of totals.
  relay.set({ [direction]: { kind: 'corrupt', afterBytes: 200_000, bit: 5 } });
  const outcome = await run.outcome();

  assertSameModel(outcome, reference);
  const lost = run.eventsOf('worker-lost');
  assert.deepEqual(
    lost.map(({ rank }) => rank),
    [RELAYED_RANK],
  );
  assert.match(
    lost[0]!.reason,
    /reading a frame: it was damaged on its way: expected a \w+ with CRC-32/,
  );
  const joined = run.eventsOf('worker-joined').filter(({ rank }) => rank === RELAYED_RANK);
  assert.equal(joined.length, 2, 'it joined again');
}
