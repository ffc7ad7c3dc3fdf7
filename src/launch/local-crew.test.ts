import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { ManualClock } from '../base/clock.ts';
import type { LockstepError } from '../base/errors.ts';
import type { RunEvent } from '../metrics/events.ts';
import { LocalCrew } from './local-crew.ts';

/** A crew on a manual clock, of workers that are whatever `sh` makes of a line. */
class World {
  readonly clock = new ManualClock();
  readonly crew: LocalCrew;
  readonly events: RunEvent[] = [];
  readonly errors: LockstepError[] = [];
  readonly expected: number[] = [];
  readonly coordinator = {
    committedSteps: 7,
    hasMembers: false,
    expectAtMost: (count: number): void => void this.expected.push(count),
  };
  readonly #folder: string;
  #seen = 0;

  constructor(t: TestContext, startsAtOnce?: number, isDoorOpen = false) {
    this.#folder = mkdtempSync(join(tmpdir(), 'lockstep-crew-'));
    t.after(() => rmSync(this.#folder, { recursive: true }));
    this.crew = new LocalCrew('logs', isDoorOpen, this.clock, startsAtOnce);
    t.after(() => this.crew.workers.killNow());
    t.after(() => this.crew.stop());
  }

  start(rank: number, line: string): void {
    this.crew.workers.start(
      { program: '/bin/sh', arguments: ['-c', line] },
      { host: '127.0.0.1', port: 1 },
      {
        ...{ rank, device: 'cpu', lanes: 1, dataDir: undefined },
        logPath: join(this.#folder, `${rank}.log`),
      },
    );
  }

  readonly isStarted = (rank: number): boolean => existsSync(join(this.#folder, `${rank}.log`));

  join(): void {
    const observe = (event: RunEvent): void => {
      this.events.push(event);
      this.crew.onEvent(event);
    };
    const { coordinator } = this;
    const fail = (error: LockstepError): void => void this.errors.push(error);
    this.crew.join({ coordinator, observe, fail, noteCrew: () => {} });
  }

  /** What a worker has said, once it matches. */
  async logOf(rank: number, wanted: RegExp): Promise<string> {
    const path = join(this.#folder, `${rank}.log`);
    await until(() => wanted.test(readFileSync(path, 'utf8')));
    return readFileSync(path, 'utf8');
  }

  /** The next event, once it has come. */
  async next<Kind extends RunEvent['kind']>(
    kind: Kind,
  ): Promise<Extract<RunEvent, { kind: Kind }>> {
    await until(() => this.events.length > this.#seen);
    const event = this.events[this.#seen++];
    assert.equal(event?.kind, kind);
    return event as Extract<RunEvent, { kind: Kind }>;
  }

  /** What the coordinator says of a worker that comes. */
  joined(processId: number, workerId: string): void {
    this.crew.onEvent({
      ...{ kind: 'worker-joined', rank: 0, workerId, host: hostname(), processId },
      ...{ device: 'cpu', lanes: 1, numericsClass: 'a', step: 0, stateFrom: 'coordinator' },
    });
  }

  async lost(): Promise<void> {
    const who = { rank: 0, workerId: 'w', step: 7, reason: 'gone' };
    this.crew.onEvent({ kind: 'worker-lost', ...who });
    await Promise.resolve();
  }
}

/** Processes end in their own time, which no clock of ours shortens. */
async function until(isSo: () => boolean): Promise<void> {
  for (let turns = 0; !isSo() && turns < 10_000; turns++)
    await new Promise((later) => setTimeout(later, 1));
}

describe('LocalCrew', () => {
  test('starts a worker again that dies, later each time, and gives it up at last', async (t) => {
    const world = new World(t);
    world.start(0, 'echo "error: no memory left" >&2; exit 1');
    world.join();

    const pauses: number[] = [];
    for (let deaths = 1; deaths <= 5; deaths++) {
      const event = await world.next('worker-restarting');
      assert.deepEqual([event.rank, event.step, event.deaths], [0, 7, deaths]);
      assert.equal(event.reason, 'no memory left');
      assert.deepEqual(world.errors, []);
      pauses.push(event.pauseMs);
      world.clock.advance(event.pauseMs);
    }
    const { deaths } = await world.next('worker-given-up');

    assert.deepEqual(pauses, [250, 500, 1_000, 2_000, 4_000]);
    assert.equal(deaths, 6);
    assert.deepEqual(
      world.errors.map(({ code, message }) => [code, message]),
      [
        [
          'RENDEZVOUS_FAILED',
          'all 1 local workers have ended, and no other is in the run; rank 0: no memory left; ' +
            'see the logs in logs for more',
        ],
      ],
    );
    assert.equal(world.clock.pendingCount(), 0);
  });

  test('begins to count anew when a worker has lived for a minute', async (t) => {
    const world = new World(t);
    world.start(0, 'kill -KILL $$');
    world.join();

    for (let start = 0; start < 8; start++) {
      const { reason, deaths, pauseMs } = await world.next('worker-restarting');
      assert.deepEqual([reason, deaths, pauseMs], ['killed with SIGKILL', 1, 250]);
      world.clock.advance(pauseMs);
      // Its end is heard of later than it is started: the clock is that of the crew.
      world.clock.advance(60_000);
    }
  });

  test('tells the run what happened before there was one, and how many it may expect', async (t) => {
    const world = new World(t);
    world.start(0, 'exit 1');
    world.start(1, 'exec sleep 60');
    await until(() => world.crew.workers.count === 1);
    assert.deepEqual(world.events, []);

    world.join();

    const { reason } = await world.next('worker-restarting');
    assert.deepEqual([reason, world.expected], ['it ended with exit code 1', [1]]);
    assert.deepEqual(world.errors, []);
  });

  test('does not start a worker again that was told to end, or was started wrongly', async (t) => {
    for (const [line, reason] of [
      ['exit 130', 'it was told to end by a signal'],
      ['echo "error: --lanes: expected a number" >&2; exit 2', '--lanes: expected a number'],
    ] as const) {
      const world = new World(t);
      world.start(0, line);
      world.join();

      const event = await world.next('worker-given-up');

      assert.deepEqual([event.reason, event.deaths, world.errors.length], [reason, 1, 1]);
    }
  });

  test('does not start a worker again that the run has put out', async (t) => {
    const world = new World(t);
    world.start(0, 'echo $$; exec sleep 60');
    world.join();
    const processId = Number(await world.logOf(0, /^\d+\n/));
    world.joined(processId, 'w');

    const why = { step: 7, microBatch: 0, reason: 'two others agree' };
    world.crew.onEvent({ kind: 'worker-distrusted', rank: 0, workerId: 'w', ...why });
    process.kill(processId, 'SIGKILL');

    await world.next('worker-given-up');
  });

  test('waits a minute for others, if there ever were any, and no longer', async (t) => {
    const world = new World(t);
    world.start(0, 'exit 130');
    world.coordinator.hasMembers = true;
    world.join();
    world.joined(1, 'elsewhere');
    await world.next('worker-given-up');
    assert.deepEqual(world.errors, []);

    world.coordinator.hasMembers = false;
    await world.lost();
    const { reason } = await world.next('run-waiting');
    assert.equal(reason, 'no worker is left; waiting 60 s for one to join');
    world.clock.advance(59_000);
    world.coordinator.hasMembers = true;
    world.joined(1, 'elsewhere');
    world.clock.advance(3_600_000);
    assert.deepEqual(world.errors, []);

    world.coordinator.hasMembers = false;
    await world.lost();
    world.clock.advance(60_000);
    assert.equal(world.errors.length, 1);
  });

  test('waits a minute for others that never came where its door is open to them', async (t) => {
    const world = new World(t, undefined, true);
    world.start(0, 'exit 130');
    world.join();

    await world.next('worker-given-up');
    await world.next('run-waiting');
    assert.deepEqual(world.errors, []);
    world.clock.advance(60_000);

    assert.equal(world.errors.length, 1);
  });

  test('starts few at a time, the next when one is ready or has ended', async (t) => {
    const world = new World(t, 2);
    const ranks = [0, 1, 2, 3, 4];
    for (const rank of ranks) world.start(rank, rank === 1 ? 'exit 2' : 'echo $$; exec sleep 60');
    world.join();
    const idOf = async (rank: number) => Number(await world.logOf(rank, /^\d+\n/));
    assert.equal(world.crew.workers.count, 5);

    await world.next('worker-given-up'); // Rank 1.
    await idOf(2);
    assert.deepEqual(ranks.map(world.isStarted), [true, true, true, false, false]);

    world.crew.settle({ host: 'elsewhere', processId: await idOf(0) });
    assert.ok(!world.isStarted(3));
    world.crew.settle({ host: hostname(), processId: await idOf(0) });
    await idOf(3);
    assert.ok(!world.isStarted(4));
    world.clock.advance(30_000);
    await idOf(4);
    assert.deepEqual(world.expected, [4]);
  });

  test('ends those that are still starting up at once, and starts no others', async (t) => {
    const world = new World(t, 2);
    const line = 'trap "echo told; exit 0" TERM; echo up; while :; do sleep 0.01; done';
    for (const rank of [0, 1, 2]) world.start(rank, line);
    world.join();
    for (const rank of [0, 1]) await world.logOf(rank, /up/);

    await world.crew.stop();

    for (const rank of [0, 1]) await world.logOf(rank, /told/);
    assert.ok(!world.isStarted(2));
    assert.equal(world.crew.workers.isAnyLeft, false);
  });

  test('starts nobody any more once it stops', async (t) => {
    const world = new World(t);
    world.start(0, 'exit 1');
    world.join();
    await world.next('worker-restarting');

    await world.crew.stop();

    assert.equal(world.clock.pendingCount(), 0);
    assert.equal(world.crew.workers.isAnyLeft, false);
  });
});
