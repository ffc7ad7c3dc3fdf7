import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../base/clock.ts';
import { RandomWords } from '../base/random.ts';
import type { LettersDirectory, LettersFile } from './numeric/letters-directory.ts';
import { parseLettersText } from './numeric/letters-text.ts';
import { trainOnFile } from './numeric/train-file.ts';
import { parseNodeList } from './node-list.ts';
import type { JobSpec } from './job-spec.ts';
import type { JobEvent } from './messages.ts';
import type { PolicyName } from '../plan/policies.ts';
import { CoordinatorNode } from './coordinator-node.ts';
import type { NodeLink, NodeLinkHandlers, Task, TaskOutcome } from './task.ts';

const SPEC: JobSpec = {
  directory: 'd',
  rounds: 3,
  epochs: 2,
  hidden: 3,
  classes: 4,
  eta: 0.01,
  mode: 'default',
  optimizer: 'gradient',
  batch: 8,
  seed: 1,
};
const FILES = 5;

function file(name: string, seed: number): LettersFile {
  const words = new RandomWords(seed, 'synthetic');
  const lines = Array.from({ length: 8 + seed }, (_, row) =>
    [words.below(3 * row, 9), words.below(3 * row + 1, 9), words.below(3 * row + 2, 4)].join(','),
  );
  return {
    name,
    bytes: new Uint8Array(0),
    path: `/letters/${name}`,
    digest: name,
    rows: parseLettersText(lines.join('\n'), { name, classes: 4 }),
  };
}

const DATA: LettersDirectory = {
  train: Array.from({ length: FILES }, (_, i) => file(`train_letters${i + 1}.txt`, i)),
  validate: file('validate_letters.txt', 20),
};

/** How a made-up node behaves; changed while the test runs. */
class FakeNode {
  isUp = true;
  taskMs: number;
  given = 0;
  cancelled = 0;
  /** What becomes of a task; a result when it gives nothing. */
  judge: (given: number) => TaskOutcome | 'silence' | undefined = () => undefined;
  links = new Set<FakeLink>();

  constructor(taskMs: number) {
    this.taskMs = taskMs;
  }

  die(): void {
    this.isUp = false;
    for (const link of [...this.links]) link.lose('it was killed');
  }
}

class FakeLink implements NodeLink {
  readonly #node: FakeNode;
  readonly #clock: ManualClock;
  readonly #handlers: NodeLinkHandlers;
  #isOver = false;

  constructor(node: FakeNode | undefined, clock: ManualClock, handlers: NodeLinkHandlers) {
    this.#node = node ?? new FakeNode(0);
    this.#clock = clock;
    this.#handlers = handlers;
    this.#node.links.add(this);
    clock.after(1, () => {
      if (this.#isOver) return;
      if (node?.isUp === true) handlers.onReady();
      else this.lose('connection refused');
    });
  }

  can(): boolean {
    return true;
  }

  run(task: Task, done: (outcome: TaskOutcome) => void): void {
    const verdict = this.#node.judge(this.#node.given++);
    if (verdict === 'silence') return;
    this.#clock.after(this.#node.taskMs, () => {
      if (!this.#isOver) done(verdict ?? this.#train(task));
    });
  }

  cancel(): void {
    this.#node.cancelled++;
  }

  close(): void {
    this.#isOver = true;
    this.#node.links.delete(this);
  }

  lose(reason: string): void {
    if (this.#isOver) return;
    this.close();
    this.#handlers.onLost(reason);
  }

  #train(task: Task): TaskOutcome {
    const rows = DATA.train[task.file]!.rows;
    const x = rows.x.map(
      (value, i) => (value - task.scaling!.shift[i % 2]!) * task.scaling!.factor[i % 2]!,
    );
    const { delta, trainingError } = trainOnFile({ ...rows, x }, task)!;
    return { kind: 'done', delta, trainingError, computeMs: 1, injectedMs: 0 };
  }
}

function cluster(nodes: Record<string, FakeNode>, policy: PolicyName = 'load-balancing') {
  const clock = new ManualClock();
  const words = new RandomWords(5, 'synthetic');
  let drawn = 0;
  const state = {
    list: Object.keys(nodes)
      .map((name) => `${name},1`)
      .join('\n'),
    openings: 0,
  };
  const coordinator = new CoordinatorNode({
    clock,
    policy,
    random: () => words.uniform(drawn++),
    openLink: ({ host }, handlers) => {
      state.openings++;
      return new FakeLink(nodes[host], clock, handlers);
    },
    readNodeList: () => parseNodeList(state.list, 'compute_nodes.txt'),
    loadDirectory: () => Promise.resolve(DATA),
  });
  const submit = async (
    spec: JobSpec = SPEC,
  ): Promise<{ events: JobEvent[]; giveUp: () => void }> => {
    const events: JobEvent[] = [];
    const giveUp = coordinator.submit(spec, (event) => events.push(event));
    for (let i = 0; i < 5; i++) await Promise.resolve();
    return { events, giveUp };
  };
  return { clock, coordinator, state, submit };
}

const kinds = (events: readonly JobEvent[]): string => events.map(({ kind }) => kind).join(' ');
const errorsOf = (events: readonly JobEvent[]): readonly number[] => {
  const last = events.at(-1);
  assert.equal(last?.kind, 'done', JSON.stringify(last));
  return last?.kind === 'done' ? last.errors : [];
};

async function undisturbed(): Promise<readonly number[]> {
  const { clock, submit } = cluster({ a: new FakeNode(10) });
  const { events } = await submit();
  clock.advance(10_000);
  return errorsOf(events);
}

describe('CoordinatorNode', () => {
  for (const policy of ['random', 'load-balancing', 'round-robin'] as const) {
    test(`gives the same errors with ${policy}, on nodes of any speed that reject and die`, async () => {
      const nodes = {
        a: new FakeNode(10),
        b: new FakeNode(35),
        c: new FakeNode(7),
        d: new FakeNode(90),
      };
      nodes.c.judge = (given) => (given % 2 === 0 ? { kind: 'rejected' } : undefined);
      const { clock, submit } = cluster(nodes, policy);
      const { events } = await submit();
      clock.advance(15);
      nodes.b.die();
      clock.advance(20_000);

      assert.deepEqual(errorsOf(events), await undisturbed());
      assert.deepEqual(
        events.filter((event) => event.kind === 'trouble'),
        [{ kind: 'trouble', node: 'b:1', reason: 'it was killed' }],
      );
      assert.ok(
        Object.values(nodes).every(({ given }) => given > 0),
        'every node took part',
      );
    });
  }

  for (const [what, reason, most] of [
    ['as if they were busy', undefined, 500],
    ['with a reason', 'it gives no result for it', 10],
  ] as const)
    test(`fails a job whose tasks all nodes reject ${what}, after telling of it`, async () => {
      const nodes = { a: new FakeNode(1), b: new FakeNode(1) };
      for (const node of Object.values(nodes))
        node.judge = () => ({ kind: 'rejected', ...(reason !== undefined && { reason }) });
      const { clock, submit } = cluster(nodes);
      const { events } = await submit();

      clock.advance(600_000);

      const told = events.filter((event) => event.kind === 'trouble');
      assert.ok(told.length > 0 && told.every((event) => event.reason.startsWith('it ')));
      const end = events.at(-1);
      assert.ok(end?.kind === 'failed' && end.code === 'DATA_INVALID', JSON.stringify(end));
      assert.match(
        end.reason,
        new RegExp(`was rejected ${most} times, the last time by [ab]:1: it `),
      );
    });

  test('tells rounds with the times of every task, and lets go of all nodes in the end', async () => {
    const nodes = { a: new FakeNode(10), b: new FakeNode(10) };
    const { clock, submit } = cluster(nodes);
    const { events } = await submit();

    clock.advance(10_000);

    assert.equal(kinds(events), 'started round round round done');
    const round = events[1];
    assert.ok(round?.kind === 'round' && round.tasks.length === FILES);
    assert.ok(round.tasks.every(({ transferMs, computeMs }) => transferMs >= 0 && computeMs === 1));
    assert.equal(clock.pendingCount(), 0);
    assert.equal(nodes.a.links.size + nodes.b.links.size, 0);
  });

  test('costs a killed node only the task it had', async () => {
    const nodes = { a: new FakeNode(10), b: new FakeNode(10) };
    const { clock, submit } = cluster(nodes);
    const { events } = await submit();
    clock.advance(5);
    nodes.b.die();

    clock.advance(60_000);

    errorsOf(events);
    assert.equal(nodes.a.given, 3 * FILES);
    assert.equal(nodes.b.given, 1);
  });

  test('tells when every node is down, does not spin, and goes on when one returns', async () => {
    const node = new FakeNode(10);
    const { clock, submit, state } = cluster({ a: node });
    const { events } = await submit();
    clock.advance(5);
    node.die();
    clock.advance(100_000);

    assert.equal(kinds(events), 'started trouble waiting');
    assert.deepEqual(events[2], {
      kind: 'waiting',
      nodes: [{ node: 'a:1', reason: 'it was killed' }],
    });
    assert.ok(state.openings < 30, `${state.openings} attempts in 100 s`);
    node.isUp = true;
    clock.advance(20_000);

    assert.deepEqual(errorsOf(events), await undisturbed());
    assert.match(kinds(events), /waiting resumed round/);
  });

  test('gives a job up when no node comes for ten minutes', async () => {
    const { clock, submit } = cluster({});
    const { events } = await submit();

    clock.advance(600_000);

    assert.deepEqual(events.at(-1), {
      kind: 'failed',
      code: 'RENDEZVOUS_FAILED',
      reason:
        'no compute node for 10 minutes (list of nodes: it is empty, and no node has registered)',
    });
    assert.equal(clock.pendingCount(), 0);
  });

  test('uses nodes that are added to the list or register while a job runs', async () => {
    const nodes: Record<string, FakeNode> = { a: new FakeNode(1_000) };
    const { clock, submit, state, coordinator } = cluster(nodes);
    const { events } = await submit();
    clock.advance(500);
    nodes['b'] = new FakeNode(1_000);
    nodes['c'] = new FakeNode(1_000);
    state.list += '\nb,1';
    coordinator.register({ host: 'c', port: 1 });

    clock.advance(60_000);

    assert.deepEqual(errorsOf(events), await undisturbed());
    assert.ok(nodes['b'].given >= 3 && nodes['c'].given >= 3);
  });

  test('keeps a node that registered again when its first connection ends late', async () => {
    const nodes = { c: new FakeNode(10) };
    const { clock, submit, coordinator, state } = cluster(nodes);
    state.list = '';
    const [first, again] = [1, 2].map(() => ({ host: 'c', port: 1 }));
    coordinator.register(first!);
    coordinator.register(again!);
    coordinator.withdraw(first!);

    const { events } = await submit();
    clock.advance(10_000);

    assert.deepEqual(errorsOf(events), await undisturbed());
  });

  test('goes on with the list it had when the new one has bad lines, and says so once', async () => {
    const { clock, submit, state } = cluster({ a: new FakeNode(1_000) });
    const { events } = await submit();
    clock.advance(500);
    state.list = 'nonsense';

    clock.advance(60_000);

    errorsOf(events);
    const troubles = events.filter((event) => event.kind === 'trouble');
    assert.equal(troubles.length, 1);
    assert.match(troubles[0]!.reason, /line 1: expected host,port, got "nonsense"/);
  });

  test('takes nothing from a node whose results cannot be used, and names it', async () => {
    const nodes = { a: new FakeNode(10), b: new FakeNode(10) };
    nodes.b.judge = () => ({ kind: 'failed', reason: 'its result holds NaN or infinite numbers' });
    const { clock, submit } = cluster(nodes);
    const { events } = await submit();

    clock.advance(60_000);

    assert.deepEqual(errorsOf(events), await undisturbed());
    assert.ok(
      events.some(
        (event) => event.kind === 'trouble' && event.node === 'b:1' && /NaN/.test(event.reason),
      ),
    );
  });

  test('believes one node that training diverges only when another says so too', async () => {
    const liar = { a: new FakeNode(10), b: new FakeNode(10) };
    liar.a.judge = () => ({ kind: 'diverged' });
    const first = cluster(liar);
    const { events } = await first.submit();
    first.clock.advance(60_000);
    assert.deepEqual(errorsOf(events), await undisturbed());

    liar.b.judge = () => ({ kind: 'diverged' });
    const second = cluster(liar);
    const { events: failing } = await second.submit();
    second.clock.advance(60_000);

    const last = failing.at(-1);
    assert.ok(
      last?.kind === 'failed' &&
        last.code === 'NON_FINITE' &&
        /Choose an eta below 0\.01/.test(last.reason),
    );
  });

  test('gives a second copy of a task that takes suspiciously long to a free node', async () => {
    const nodes = { a: new FakeNode(10), b: new FakeNode(10) };
    nodes.b.judge = (given) => (given === 2 ? 'silence' : undefined);
    const { clock, submit } = cluster(nodes);
    const { events } = await submit();

    clock.advance(2_000);

    assert.deepEqual(errorsOf(events), await undisturbed());
    assert.equal(nodes.b.cancelled, 1);
  });

  test('serves jobs in turn, makes further ones wait, and tells them how many come first', async () => {
    const { clock, submit } = cluster({ a: new FakeNode(10) });
    const jobs = [];
    for (let i = 0; i < 6; i++) jobs.push(await submit());
    assert.deepEqual(jobs[5]!.events, [{ kind: 'queued', ahead: 5 }]);
    clock.advance(300);
    const rounds = jobs
      .slice(0, 4)
      .map(({ events }) => events.filter(({ kind }) => kind === 'round').length);
    assert.ok(Math.max(...rounds) - Math.min(...rounds) <= 1, rounds.join());

    for (let i = 0; i < 50; i++) {
      clock.advance(1_000);
      await new Promise((resolve) => setImmediate(resolve));
    }

    for (const { events } of jobs) assert.deepEqual(errorsOf(events), await undisturbed());
  });

  test('forgets a job that its client gives up', async () => {
    const nodes = { a: new FakeNode(1_000) };
    const { clock, submit } = cluster(nodes);
    const { events, giveUp } = await submit();
    clock.advance(500);

    giveUp();
    clock.advance(60_000);

    assert.equal(kinds(events), 'started');
    assert.equal(clock.pendingCount(), 0);
    assert.equal(nodes.a.links.size, 0);
  });

  test('refuses what is out of range', () => {
    const { coordinator } = cluster({ a: new FakeNode(10) });

    assert.throws(() => coordinator.submit({ ...SPEC, rounds: 0 }, () => {}), {
      code: 'CONFIG_INVALID',
    });
  });
});
