import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { ManualClock } from '../../base/clock.ts';
import { readHealth, watchHealth, type WatchEnd } from './monitor.ts';
import type { WorkerSnapshot } from '../results/result.ts';

const WORKER: WorkerSnapshot = {
  worker_id: 0,
  step: 0,
  loss: 1,
  throughput_samples_per_sec: 100,
  allreduce_time_ms: 1,
  compute_time_ms: 1,
  status: 'healthy',
  timestamp: '2024-01-15T10:30:00Z',
};

function healthText(
  step: number,
  changes: Partial<WorkerSnapshot> = {},
  isComplete = false,
): string {
  return JSON.stringify({
    run_id: 'run',
    total_steps: 100,
    completed_steps: step,
    workers: [
      { ...WORKER, step },
      { ...WORKER, worker_id: 1, step, ...changes },
    ],
    timestamp: `step ${step}`,
    is_complete: isComplete,
  });
}

/** A watch over a file, on a clock that moves when the test says so. */
class Watch {
  readonly path: string;
  readonly told: string[] = [];
  readonly steps: number[] = [];
  readonly interrupt = new AbortController();
  readonly #clock = new ManualClock();
  readonly #ended: Promise<WatchEnd>;

  constructor(t: TestContext, timeoutMs = 10_000) {
    const folder = mkdtempSync(join(tmpdir(), 'lockstep-monitor-'));
    t.after(() => rmSync(folder, { recursive: true }));
    this.path = join(folder, 'health.json');
    this.#ended = watchHealth({
      path: this.path,
      timeoutMs,
      clock: this.#clock,
      wallNow: () => Date.now(),
      signal: this.interrupt.signal,
      onCheckpoint: ({ completed_steps }, risen) => {
        this.steps.push(completed_steps);
        this.told.push(...risen.map(({ type, worker_id }) => `${type} ${worker_id}`));
      },
    });
    // A failure is told by `end`; until then it is no unhandled one.
    this.#ended.catch(() => {});
  }

  write(text: string): void {
    writeFileSync(`${this.path}.new`, text);
    renameSync(`${this.path}.new`, this.path);
  }

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 100) {
      this.#clock.advance(100);
      await new Promise((later) => setImmediate(later));
    }
  }

  async end(): Promise<WatchEnd> {
    return this.#ended;
  }
}

describe('watchHealth', () => {
  test('waits for the file, follows it, and ends when the run is complete', async (t) => {
    const watch = new Watch(t);
    await watch.pass(500);
    watch.write(healthText(10));
    await watch.pass(500);
    watch.write(healthText(20));
    await watch.pass(200);
    watch.write(healthText(100, {}, true));
    await watch.pass(200);

    assert.equal((await watch.end()).kind, 'complete');
    assert.deepEqual(watch.steps, [10, 20, 100]);
  });

  test('ends when nothing new was written for the given time, however old the run', async (t) => {
    const watch = new Watch(t, 1_000);
    for (const step of [1, 2, 3]) {
      watch.write(healthText(step));
      await watch.pass(900);
    }
    await watch.pass(400);

    const end = await watch.end();
    assert.equal(end.kind, 'timeout');
    assert.deepEqual(watch.steps, [1, 2, 3]);
  });

  test('ends when there is no file in that time', async (t) => {
    const watch = new Watch(t, 1_000);
    await watch.pass(1_300);
    assert.equal((await watch.end()).kind, 'no-file');
  });

  test('looks again at a file that is half written, and gives up on one that stays so', async (t) => {
    const watch = new Watch(t);
    watch.write(healthText(5).slice(0, 80));
    await watch.pass(1_000);
    watch.write(healthText(5));
    await watch.pass(200);
    assert.deepEqual(watch.steps, [5]);

    watch.write(healthText(6).slice(0, 80));
    await watch.pass(2_500);
    await assert.rejects(watch.end(), /the file is truncated/);
  });

  test('tells what is critical at once, and once', async (t) => {
    const watch = new Watch(t);
    for (const step of [1, 2, 3]) {
      watch.write(healthText(step, { status: 'failed' }));
      await watch.pass(200);
    }
    assert.deepEqual(watch.told, ['failed_worker 1']);
    watch.interrupt.abort();
    assert.equal((await watch.end()).kind, 'interrupted');
  });

  test('tells a warning once, when it has held for three checkpoints and for two seconds', async (t) => {
    const slow = { throughput_samples_per_sec: 10 };
    const toldBy = async (count: number, everyMs: number): Promise<string[]> => {
      const watch = new Watch(t);
      for (let step = 0; step < count; step++) {
        watch.write(healthText(step, slow));
        await watch.pass(everyMs);
      }
      watch.interrupt.abort();
      await watch.end();
      return watch.told;
    };

    assert.deepEqual(await toldBy(2, 3_000), []);
    assert.deepEqual(await toldBy(3, 3_000), ['slow_worker 1']);
    assert.deepEqual(await toldBy(9, 200), []);
    assert.deepEqual(await toldBy(30, 200), ['slow_worker 1']);
  });

  test('tells no warning that comes and goes', async (t) => {
    const watch = new Watch(t);
    for (let step = 0; step < 30; step++) {
      watch.write(healthText(step, step % 3 === 0 ? {} : { throughput_samples_per_sec: 10 }));
      await watch.pass(1_500);
    }
    watch.interrupt.abort();
    await watch.end();
    assert.deepEqual(watch.told, []);
  });

  test('tells of a worker that stands still while others go on', async (t) => {
    const watch = new Watch(t);
    for (const step of [7, 8, 9]) {
      watch.write(healthText(step, { step: 7 }));
      await watch.pass(200);
    }
    assert.deepEqual(watch.told, ['stalled_worker 1']);
    watch.interrupt.abort();
    await watch.end();
  });
});

describe('readHealth', () => {
  test('refuses files of another kind, and fields of another type, by name', (t) => {
    const watch = new Watch(t);
    watch.write('{"num_faults": 3}');
    assert.throws(
      () => readHealth(watch.path, () => 0),
      /expected a health file.*got a fault report/,
    );
    watch.write(healthText(1, { status: 'ill' as 'failed' }));
    assert.throws(() => readHealth(watch.path, () => 0), /workers.*status/);
    watch.interrupt.abort();
  });
});
