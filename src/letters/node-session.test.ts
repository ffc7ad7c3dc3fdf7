import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../base/clock.ts';
import { MemoryBudget } from '../transport/memory-budget.ts';
import { connectInMemory, SimulatedHost } from '../transport/memory-network.ts';
import { sha256Of } from './numeric/letters-directory.ts';
import { parameterCount } from './numeric/parameters.ts';
import { seedRecipe } from './numeric/recipe.ts';
import { ComputeNode } from './compute-node.ts';
import { FileCache } from './file-cache.ts';
import {
  GREETING_MS,
  LETTERS_PROTOCOL,
  payloadOf,
  SILENCE_MS,
  type TaskMessage,
  type ToNode,
} from './messages.ts';
import { NodeSession } from './node-session.ts';

const SHAPE = { features: 2, hidden: 1, classes: 2 };
const FILE = new TextEncoder().encode('1,2,1\n3,4,0\n');
const TASK: TaskMessage = {
  kind: 'task',
  id: 1,
  round: 0,
  file: 0,
  name: 'train_letters1.txt',
  digest: sha256Of(FILE),
  shape: SHAPE,
  recipe: seedRecipe(1, 0.1),
  scaling: null,
  seed: 0,
  mayReject: false,
};
const START = payloadOf(new Float64Array(parameterCount(SHAPE)));

/** A connection to a node that trains nothing, and what was heard on it. */
function dial() {
  const clock = new ManualClock();
  const budget = new MemoryBudget(1 << 20);
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
    trainer: { train: () => new Promise(() => {}), cancel: () => {}, progress: 0 },
    loadProbability: 0,
    delayMs: 0,
    drawOrder: 'rejection-first',
  });
  void new NodeSession(far, node, new FileCache(), { clock, budget });
  const say = (message: ToNode, payload?: Uint8Array): void => {
    coordinator.send(message, payload);
    clock.advance(10);
  };
  const greet = (protocol = LETTERS_PROTOCOL.version): void =>
    say({ kind: 'hello', protocol, role: 'coordinator', port: 0 });
  return { clock, budget, heard, say, greet };
}

describe('NodeSession', () => {
  test('welcomes a coordinator of its version, and keeps it as long as it sends pings', () => {
    const { clock, heard, say, greet } = dial();

    greet();
    for (let i = 0; i < 10; i++) {
      clock.advance(SILENCE_MS - 1_000);
      say({ kind: 'ping' });
    }

    assert.deepEqual(heard.slice(0, 2), [{ kind: 'welcome' }, { kind: 'pong', progress: 0 }]);
    assert.equal(heard.length, 11);
  });

  test('lets go of a coordinator that has become silent', () => {
    const { clock, heard, greet } = dial();
    greet();

    clock.advance(1.3 * SILENCE_MS);

    assert.deepEqual(heard, [{ kind: 'welcome' }, 'closed']);
    assert.equal(clock.pendingCount(), 0);
  });

  test('refuses another version, with both versions and the remedy', () => {
    const { heard, greet } = dial();

    greet(999);

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

  test('takes memory for a task and its file, and gives it back when the task is over', () => {
    const { budget, heard, say, greet } = dial();
    greet();

    say(TASK, START);
    say({ kind: 'data', digest: TASK.digest }, FILE);
    assert.equal(budget.bytes, START.length + FILE.length);
    assert.deepEqual(heard.slice(1), [{ kind: 'need', digest: TASK.digest }]);
    say(TASK, START);

    assert.equal(heard.at(-1), 'closed');
    assert.equal(budget.bytes, 0);
  });

  const rude: readonly (readonly [string, readonly (readonly [ToNode, Uint8Array?])[]])[] = [
    ['greets again', [[{ kind: 'hello', protocol: 1, role: 'coordinator', port: 0 }]]],
    ['sends a file that nobody asked for', [[{ kind: 'data', digest: TASK.digest }, FILE]]],
    ['sends more parameters than its shape has', [[TASK, new Uint8Array(START.length + 8)]]],
    ['sends a payload with a ping', [[{ kind: 'ping' }, FILE]]],
    ['gives a second task', [[TASK, START], [{ ...TASK, id: 2 }]]],
    [
      'gives a task with a shape whose size overflows',
      [[{ ...TASK, shape: { features: 2 ** 52, hidden: 2 ** 52, classes: 2 } }, START]],
    ],
    [
      'sends a task larger than what all may take together',
      [
        [
          { ...TASK, shape: { features: 4_000, hidden: 100, classes: 2 } },
          new Uint8Array(8 * (4_001 * 100 + 101 * 2)),
        ],
      ],
    ],
  ];
  for (const [what, messages] of rude) {
    test(`lets go of a coordinator that ${what}`, () => {
      const { budget, heard, say, greet } = dial();
      greet();

      for (const [message, payload] of messages) say(message, payload);

      assert.equal(heard.at(-1), 'closed');
      assert.equal(budget.bytes, 0);
    });
  }

  test('says nothing to a stranger who does not greet', () => {
    const { heard, say } = dial();

    say({ kind: 'ping' });

    assert.deepEqual(heard, ['closed']);
  });
});
