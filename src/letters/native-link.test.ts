import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../base/clock.ts';
import { parameterCount } from './numeric/parameters.ts';
import { seedRecipe } from './numeric/recipe.ts';
import type { Connection } from '../transport/connection.ts';
import { connectInMemory, SimulatedHost } from '../transport/memory-network.ts';
import { type FromNode, payloadOf, LETTERS_LIMITS, type ToNode } from './messages.ts';
import { NativeLink, TASK_TIMEOUT_MS } from './native-link.ts';
import type { Task, TaskOutcome } from './task.ts';

const SHAPE = { features: 2, hidden: 1, classes: 2 };
const COUNT = parameterCount(SHAPE);
const TASK: Task = {
  id: 7,
  mode: 'seed',
  round: 0,
  file: 0,
  name: 'train_letters1.txt',
  path: 'letters/train_letters1.txt',
  bytes: Uint8Array.of(1, 2, 3),
  digest: 'a'.repeat(64),
  rowCount: 1,
  shape: SHAPE,
  recipe: seedRecipe(1, 0.1),
  scaling: null,
  start: new Float64Array(COUNT),
  seed: 0,
};
const RESULT: FromNode = {
  kind: 'result',
  id: 7,
  trainingError: 0.5,
  epochs: 1,
  computeMs: 3,
  injectedMs: 0,
};

/** A link whose other end does what the test says. */
class Scene {
  readonly clock = new ManualClock();
  readonly node: Connection;
  readonly ours: Connection;
  readonly link: NativeLink;
  readonly told: string[] = [];
  readonly received: ToNode['kind'][] = [];
  readonly payloads: Uint8Array[] = [];
  readonly outcomes: TaskOutcome[] = [];
  answersPings = true;
  progress = 0;

  constructor() {
    const network = { delayMs: () => 1, heldUntilMs: 0 };
    const hosts = [new SimulatedHost('coordinator'), new SimulatedHost('node')] as const;
    const [ours, theirs] = connectInMemory(this.clock, network, ...hosts);
    this.node = theirs;
    this.ours = ours;
    theirs.limits = LETTERS_LIMITS;
    theirs.handlers = {
      onFrame: (header, payload) => {
        const { kind } = header as ToNode;
        if (kind !== 'ping') this.received.push(kind);
        if (payload.length > 0) this.payloads.push(payload);
        if (kind === 'hello') this.say({ kind: 'welcome' });
        if (kind === 'ping' && this.answersPings)
          this.say({ kind: 'pong', progress: this.progress });
      },
      onClose: () => {},
    };
    this.link = new NativeLink(
      ours,
      this.clock,
      {
        onReady: () => this.told.push('ready'),
        onLost: (reason) => this.told.push(`lost: ${reason}`),
      },
      true,
    );
    this.clock.advance(10);
  }

  say(message: FromNode | { kind: string }, payload?: Uint8Array): void {
    this.node.send(message, payload);
  }

  run(): void {
    this.link.run(TASK, (outcome) => this.outcomes.push(outcome));
    this.clock.advance(10);
  }
}

describe('NativeLink', () => {
  test('sends a task, the file if it is asked for, and gives the result', () => {
    const scene = new Scene();
    scene.run();
    scene.say({ kind: 'need', digest: TASK.digest });
    const delta = Float64Array.from({ length: COUNT }, (_, i) => i);
    scene.say(RESULT, payloadOf(delta));
    scene.clock.advance(10);

    assert.deepEqual(scene.received, ['hello', 'task', 'data']);
    assert.deepEqual(scene.payloads[1], TASK.bytes);
    assert.deepEqual(scene.outcomes, [
      { kind: 'done', delta, trainingError: 0.5, computeMs: 3, injectedMs: 0 },
    ]);
    assert.deepEqual(scene.told, ['ready']);
  });

  test('refuses results of another shape and with NaN', () => {
    for (const [delta, reason] of [
      [new Float64Array(COUNT - 1), /expected 7 numbers, got 48 bytes in place of 56/],
      [new Float64Array(COUNT).fill(Number.NaN), /NaN or infinite/],
    ] as const) {
      const scene = new Scene();
      scene.run();
      scene.say(RESULT, payloadOf(delta));
      scene.clock.advance(10);

      const outcome = scene.outcomes[0];
      assert.ok(outcome?.kind === 'failed' && reason.test(outcome.reason), JSON.stringify(outcome));
    }
  });

  const rude: readonly (readonly [string, FromNode | { kind: 'nonsense' }, RegExp])[] = [
    [
      'answers to a task that it was not given',
      { kind: 'rejected', id: 8 },
      /a task that it was not given \(8\)/,
    ],
    [
      'asks for a file of no task',
      { kind: 'need', digest: 'b'.repeat(64) },
      /a file that it was not given a task for/,
    ],
    ['says what is no message', { kind: 'nonsense' }, /reading a message of a compute node/],
    ['sends more than a result', { ...RESULT }, /result: expected a payload of at most 56 bytes/],
    ['refuses us', { kind: 'refused', reason: 'no' }, /refused us: no/],
  ];
  for (const [what, message, reason] of rude) {
    test(`lets go of a node that ${what}`, () => {
      const scene = new Scene();
      scene.run();
      scene.say(message, message.kind === 'result' ? new Uint8Array(64) : undefined);
      scene.clock.advance(10);

      assert.equal(scene.told.length, 2);
      assert.match(scene.told[1]!, reason);
      assert.deepEqual(scene.outcomes, []);
      assert.equal(scene.clock.pendingCount(), 0);
    });
  }

  test('keeps a node that cannot answer yet, as long as a file flows to it', () => {
    const scene = new Scene();
    scene.answersPings = false;
    let queuedBytes = 1 << 20;
    let rate = 1_000;
    const get = (): number => (queuedBytes -= rate);
    Object.defineProperty(scene.ours, 'queuedBytes', { get, set: () => {} });

    scene.clock.advance(60_000);
    assert.deepEqual(scene.told, ['ready']);
    rate = 0;
    scene.clock.advance(7_000);

    assert.deepEqual(scene.told, ['ready', 'lost: silent for 5 s']);
  });

  test('lets go of a node that is silent for five seconds', () => {
    const scene = new Scene();
    scene.run();
    scene.answersPings = false;

    scene.clock.advance(7_000);

    assert.deepEqual(scene.told, ['ready', 'lost: silent for 5 s']);
  });

  test('waits for a long task as long as it comes on, and no longer', () => {
    const scene = new Scene();
    scene.run();
    for (let i = 0; i < 5; i++) {
      scene.progress++;
      scene.clock.advance(TASK_TIMEOUT_MS - 5_000);
    }
    assert.deepEqual(scene.told, ['ready']);

    scene.clock.advance(TASK_TIMEOUT_MS);

    assert.deepEqual(scene.told, ['ready', 'lost: no progress for 200 s']);
  });
});
