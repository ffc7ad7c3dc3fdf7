import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as z from 'zod';
import { ManualClock } from '../base/clock.ts';
import { ProtocolError } from '../base/errors.ts';
import { connectInMemory, SimulatedHost } from '../transport/memory-network.ts';
import type { Connection } from '../transport/connection.ts';
import {
  awaitGreeting,
  HELLO_KEYS,
  parseMessage,
  type Protocol,
  refuseConnection,
  versionProblem,
} from './greeting.ts';

const PROTOCOL: Protocol<{ readonly protocol: number; readonly name: string }> = {
  version: 3,
  describeMismatch: ({ protocol, name }) => `expected 3, got ${protocol} from ${name}`,
};

function pair(): { clock: ManualClock; near: Connection; far: Connection; heard: unknown[] } {
  const clock = new ManualClock();
  const network = { delayMs: () => 1, heldUntilMs: 0 };
  const hosts = [new SimulatedHost('a'), new SimulatedHost('b')] as const;
  const [near, far] = connectInMemory(clock, network, ...hosts);
  const heard: unknown[] = [];
  near.handlers = { onFrame: () => {}, onClose: () => {} };
  far.handlers = {
    onFrame: (header) => void heard.push(header),
    onClose: () => void heard.push('closed'),
  };
  return { clock, near, far, heard };
}

describe('versionProblem', () => {
  test('is undefined for the same version, else in the words of the protocol', () => {
    assert.equal(versionProblem(PROTOCOL, { protocol: 3, name: 'x' }), undefined);
    for (const protocol of [2, 4, -1])
      assert.equal(
        versionProblem(PROTOCOL, { protocol, name: 'x' }),
        `expected 3, got ${protocol} from x`,
      );
  });
});

describe('refuseConnection', () => {
  test('tells the reason before the connection ends', () => {
    const { clock, near, heard } = pair();

    refuseConnection(near, 'no room');
    clock.advance(10);

    assert.deepEqual(heard, [{ kind: 'refused', reason: 'no room' }, 'closed']);
  });
});

describe('awaitGreeting', () => {
  test('ends a connection that says nothing, exactly at the deadline', () => {
    const { clock, near, heard } = pair();

    awaitGreeting(near, clock, 100);
    clock.advance(99);
    const before = [...heard];
    clock.advance(10);

    assert.deepEqual(before, []);
    assert.deepEqual(heard, ['closed']);
  });

  test('leaves a connection alone once it is cancelled', () => {
    const { clock, near, heard } = pair();

    awaitGreeting(near, clock, 100).cancel();
    clock.advance(1_000);

    assert.deepEqual(heard, []);
    assert.equal(clock.pendingCount(), 0);
  });
});

describe('parseMessage', () => {
  const schema = z.object({ ...HELLO_KEYS, name: z.string() });

  test('gives the message without the keys that its schema lacks', () => {
    const hello = { kind: 'hello', protocol: 3, name: 'x' };

    assert.deepEqual(parseMessage(schema, { ...hello, more: 1 }, 'peer'), hello);
  });

  test('names the peer and the first key that is wrong, also in words of the caller', () => {
    const wrong = { kind: 'hello', protocol: 'three', name: 'x' };

    assert.throws(
      () => parseMessage(schema, wrong, '10.0.0.1:7'),
      (error: unknown) =>
        error instanceof ProtocolError &&
        /^message from 10\.0\.0\.1:7: protocol .*number/.test(error.message) &&
        error.context['peer'] === '10.0.0.1:7',
    );
    assert.throws(
      () => parseMessage(schema, wrong, 'peer', ({ path }) => `reading a hello: ${path}: wrong`),
      { name: 'ProtocolError', message: 'reading a hello: protocol: wrong' },
    );
  });
});
