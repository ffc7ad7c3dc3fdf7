import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../base/clock.ts';
import { connectInMemory, SimulatedHost } from '../transport/memory-network.ts';
import { CoordinatorNode } from './coordinator-node.ts';
import { CoordinatorSession } from './coordinator-session.ts';
import { type JobSpec, SEED_DEFAULTS } from './job-spec.ts';
import {
  type FromCoordinatorNode,
  GREETING_MS,
  LETTERS_LIMITS,
  LETTERS_PROTOCOL,
  SILENCE_MS,
  type ToCoordinatorNode,
} from './messages.ts';

const SPEC: JobSpec = {
  ...SEED_DEFAULTS,
  directory: 'letters',
  epochs: 1,
  hidden: 2,
  classes: 26,
  eta: 0.1,
};

/** A connection to a coordinator whose data cannot be read, or are never read; what was heard. */
function dial(loadDirectory: () => Promise<never> = () => new Promise(() => {})) {
  const clock = new ManualClock();
  const network = { delayMs: () => 1, heldUntilMs: 0 };
  const hosts = [new SimulatedHost('other'), new SimulatedHost('coordinator')] as const;
  const coordinator = new CoordinatorNode({
    clock,
    policy: 'random',
    random: () => 0,
    openLink: () => ({ can: () => false, run: () => {}, cancel: () => {}, close: () => {} }),
    readNodeList: () => [],
    loadDirectory,
  });
  const heard: string[] = [];
  const log: string[] = [];
  const [near, far] = connectInMemory(clock, network, ...hosts);
  near.limits = LETTERS_LIMITS;
  near.handlers = {
    onFrame: (header) => {
      const message = header as FromCoordinatorNode;
      heard.push('reason' in message ? `${message.kind}: ${message.reason}` : message.kind);
    },
    onClose: () => void heard.push('closed'),
  };
  void new CoordinatorSession(far, coordinator, clock, (line) => log.push(line));
  const say = (message: ToCoordinatorNode): void => {
    near.send(message);
    clock.advance(10);
  };
  const greet = (role: 'client' | 'node', port = 0): void =>
    say({ kind: 'hello', protocol: LETTERS_PROTOCOL.version, role, port });
  return { clock, heard, log, say, greet };
}

describe('CoordinatorSession', () => {
  test('keeps a client with a job, and a node, as long as they send pings', () => {
    for (const role of ['client', 'node'] as const) {
      const { clock, heard, say, greet } = dial();
      greet(role, 9091);
      if (role === 'client') say({ kind: 'train', spec: SPEC });

      for (let i = 0; i < 10; i++) {
        clock.advance(SILENCE_MS - 1_000);
        say({ kind: 'ping' });
      }
      assert.deepEqual(heard, ['welcome', ...Array.from({ length: 10 }, () => 'pong')]);
      clock.advance(1.3 * SILENCE_MS);

      assert.equal(heard.at(-1), 'closed');
      assert.equal(clock.pendingCount(), 0);
    }
  });

  test('lets go of a client that gives no job in time, whatever else it says', () => {
    const { clock, heard, say, greet } = dial();
    greet('client');

    for (let ms = 0; ms <= GREETING_MS; ms += 1_000) {
      clock.advance(990);
      say({ kind: 'ping' });
    }

    assert.equal(heard.at(-1), 'closed');
  });

  const hello: ToCoordinatorNode = { kind: 'hello', protocol: 1, role: 'client', port: 0 };
  const node: ToCoordinatorNode = { ...hello, role: 'node', port: 9091 };
  const job: ToCoordinatorNode = { kind: 'train', spec: SPEC };
  const rude: readonly (readonly [string, readonly ToCoordinatorNode[]])[] = [
    ['a ping before the greeting', [{ kind: 'ping' }]],
    ['a job before the greeting', [job]],
    ['a second greeting', [hello, hello]],
    ['a greeting in place of a second job', [hello, job, hello]],
    ['a second job', [hello, job, job]],
    ['a job of a node', [node, job]],
    ['a second greeting of a node', [node, node]],
  ];
  for (const [what, messages] of rude) {
    test(`refuses ${what}`, () => {
      const { heard, say, log } = dial();

      for (const message of messages) say(message);

      assert.equal(heard.at(-1), 'closed');
      if (messages.includes(node)) assert.match(log.at(-1)!, /withdrew/);
    });
  }

  test('refuses a node that says no port', () => {
    const { heard, greet } = dial();

    greet('node', 0);

    assert.match(heard[0]!, /^refused: expected the port that the compute node listens on/);
  });

  test('shortens reasons to what a message may have', async () => {
    const long = `${'x'.repeat(10_000)}: it is not there`;
    const { heard, say, greet, clock } = dial(() => Promise.reject(new Error(long)));
    greet('client');

    say({ kind: 'train', spec: SPEC });
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(10);

    assert.equal(heard[1], `failed: ${'x'.repeat(4_096)}`);
  });
});
