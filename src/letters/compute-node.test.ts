import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../base/clock.ts';
import type { FileResult } from './numeric/train-file.ts';
import {
  ComputeNode,
  type ComputeNodeOptions,
  type NodeTask,
  type Trainer,
} from './compute-node.ts';

const RESULT: FileResult = { delta: Float64Array.of(1), trainingError: 0.5, epochs: 1 };
const NOTHING = new Float64Array(0);
const TASK = {
  mayReject: true,
  rows: { count: 0, x: NOTHING },
  task: { start: NOTHING },
} as unknown as NodeTask;

/** Trains in no time, unless it is held. */
class InstantTrainer implements Trainer {
  progress = 0;
  result: FileResult | undefined = RESULT;
  hold: Promise<void> = Promise.resolve();

  async train(): Promise<FileResult | undefined> {
    await this.hold;
    this.progress++;
    return this.result;
  }

  cancel(): void {
    this.result = undefined;
  }
}

async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

function node(options: Partial<ComputeNodeOptions>, draws: number[] = []) {
  const clock = new ManualClock();
  const trainer = new InstantTrainer();
  const outcomes: string[] = [];
  const made = new ComputeNode({
    clock,
    trainer,
    random: () => draws.shift() ?? 0.99,
    loadProbability: 0.5,
    delayMs: 3_000,
    drawOrder: 'rejection-first',
    ...options,
  });
  const submit = (task: NodeTask = TASK): (() => void) =>
    made.submit(task, (outcome) =>
      outcomes.push(outcome.kind === 'done' ? `done after ${outcome.injectedMs}` : outcome.kind),
    );
  return { clock, trainer, outcomes, submit, made };
}

describe('ComputeNode', () => {
  test('rejects before it delays: a rejected task costs no time', () => {
    const { outcomes, submit, clock } = node({}, [0.1]);

    submit();

    assert.deepEqual(outcomes, ['rejected']);
    assert.equal(clock.pendingCount(), 0);
  });

  test('delays an accepted task by the injected load', async () => {
    const { outcomes, submit, clock, made } = node({}, [0.9, 0.1]);
    submit();
    await settled();
    assert.deepEqual(outcomes, []);

    clock.advance(3_000);
    await settled();

    assert.deepEqual(outcomes, ['done after 3000']);
    assert.equal(made.progress, 2);
  });

  test('draws in the order of the seed system when asked to: the delay comes before the rejection', async () => {
    const { outcomes, submit, clock } = node({ drawOrder: 'seed' }, [0.1, 0.1]);
    submit();
    await settled();
    assert.deepEqual(outcomes, []);

    clock.advance(3_000);
    await settled();

    assert.deepEqual(outcomes, ['rejected']);
  });

  test('rejects nothing for policies other than load-balancing', async () => {
    const { outcomes, submit } = node({}, [0.9]);

    submit({ ...TASK, mayReject: false });
    await settled();

    assert.deepEqual(outcomes, ['done after 0']);
  });

  test('does one task after the other, and rejects what would wait too long', async () => {
    const { outcomes, submit, trainer } = node({ loadProbability: 0 });
    let release = (): void => {};
    trainer.hold = new Promise((resolve) => (release = resolve));

    for (let i = 0; i < 20; i++) submit();
    assert.deepEqual(outcomes, ['rejected', 'rejected', 'rejected']);
    release();
    for (let i = 0; i < 40; i++) await settled();

    assert.equal(outcomes.filter((outcome) => outcome === 'done after 0').length, 17);
  });

  test('lets little wait that is large: it is bounded in bytes, too', async () => {
    const { outcomes, submit, trainer } = node({ loadProbability: 0 });
    trainer.hold = new Promise(() => {});
    const rows = { ...TASK.rows, x: { byteLength: 200 << 20 } as Float64Array };

    for (let i = 0; i < 4; i++) submit({ ...TASK, rows });
    await settled();

    assert.deepEqual(outcomes, ['rejected', 'rejected']);
  });

  test('frees the place of a waiting task that is given up', async () => {
    const { outcomes, submit, trainer } = node({ loadProbability: 0 });
    trainer.hold = new Promise(() => {});
    submit();
    const giveUps = Array.from({ length: 16 }, () => submit());

    giveUps[0]!();
    submit();

    assert.deepEqual(outcomes, ['cancelled']);
  });

  test('stays busy for the delay of a task that is given up', async () => {
    const { outcomes, submit, clock } = node({}, [0.9, 0.1]);
    const giveUp = submit();
    await settled();

    giveUp();
    clock.advance(2_999);
    await settled();
    assert.deepEqual(outcomes, []);
    clock.advance(1);
    await settled();

    assert.deepEqual(outcomes, ['cancelled']);
  });

  test('says so when training gives infinite or NaN parameters', async () => {
    const { outcomes, submit, trainer } = node({ loadProbability: 0 });
    trainer.result = { ...RESULT, delta: Float64Array.of(Number.NaN) };

    submit();
    await settled();

    assert.deepEqual(outcomes, ['diverged']);
  });
});
