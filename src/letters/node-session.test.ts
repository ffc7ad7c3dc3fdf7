import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../base/clock.ts';
import type { Connection } from '../transport/connection.ts';
import { connectInMemory, SimulatedHost } from '../transport/memory-network.ts';
import { ComputeNode } from './compute-node.ts';
import { FileCache } from './file-cache.ts';
import { GREETING_MS, LETTERS_PROTOCOL } from './messages.ts';
import { NodeSession } from './node-session.ts';

/** A connection to a node that trains nothing, and what was heard on it. */
function dial(): { clock: ManualClock; coordinator: Connection; heard: unknown[] } {
  const clock = new ManualClock();
  const network = { delayMs: () => 1, heldUntilMs: 0 };
  const hosts = [new SimulatedHost('coordinator'), new SimulatedHost('node')] as const;
  const [coordinator, far] = connectInMemory(clock, network, ...hosts);
  const heard: unknown[] = [];
  coordinator.handlers = {
    onFrame: (header) => void heard.push(header),
    onClose: () => void heard.push('closed'),
  };
  const node = new ComputeNode({
    clock,
    random: () => 0.5,
    trainer: { train: () => Promise.resolve(undefined), cancel: () => {}, progress: 0 },
    loadProbability: 0,
    delayMs: 0,
    drawOrder: 'rejection-first',
  });
  void new NodeSession(far, node, new FileCache(), clock);
  return { clock, coordinator, heard };
}

describe('NodeSession', () => {
  test('welcomes a coordinator of its version, for longer than a greeting may take', () => {
    const { clock, coordinator, heard } = dial();

    coordinator.send({
      kind: 'hello',
      protocol: LETTERS_PROTOCOL.version,
      role: 'coordinator',
      port: 0,
    });
    clock.advance(2 * GREETING_MS);

    assert.deepEqual(heard, [{ kind: 'welcome' }]);
  });

  test('refuses another version, with both versions and the remedy', () => {
    const { clock, coordinator, heard } = dial();

    coordinator.send({ kind: 'hello', protocol: 999, role: 'coordinator', port: 0 });
    clock.advance(10);

    const reason =
      `expected version ${LETTERS_PROTOCOL.version} of the letters protocol, got 999. ` +
      'Update the older end.';
    assert.deepEqual(heard, [{ kind: 'refused', reason }, 'closed']);
  });

  test('closes a connection that says nothing', () => {
    const { clock, heard } = dial();

    clock.advance(GREETING_MS + 10);

    assert.deepEqual(heard, ['closed']);
  });
});
