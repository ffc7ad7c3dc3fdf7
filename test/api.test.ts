import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  type LoggedEvent,
  loadData,
  loadModel,
  readRun,
  resume,
  type RunEvent,
  type RunSummary,
  train,
} from '../src/index.ts';
import { assertGone, isAlive, startProgram } from './cluster/processes.ts';

const outDir = mkdtempSync(join(tmpdir(), 'lockstep-api-'));
after(() => rmSync(outDir, { recursive: true, force: true }));

const DIGITS = { dataset: 'digits', hidden: 32, workers: 2, lanes: 1, outDir } as const;
/** Longer than any test. */
const ENDLESS = { ...DIGITS, epochs: 100_000 } as const;

async function eventsOf(folder: string): Promise<LoggedEvent[]> {
  const events: LoggedEvent[] = [];
  for await (const event of (await readRun(folder)).events()) events.push(event);
  return events;
}

/** Which of the workers of these events live. */
function living(events: readonly RunEvent[]): number[] {
  const joined = events.filter((event) => event.kind === 'worker-joined');
  return joined.map(({ processId }) => processId).filter(isAlive);
}

describe('a run that is let finish', () => {
  let summary: RunSummary;
  const seen: RunEvent[] = [];

  before(async () => {
    const run = train({ ...DIGITS, epochs: 2 });
    for await (const event of run.events) {
      seen.push(event);
      if (event.kind === 'step' && event.step === 3) break;
    }
    summary = await run.finished;
  });

  test('goes on when the loop over its events is left', () => {
    assert.equal(summary.status, 'finished');
    assert.equal(summary.steps, 18);
    assert.deepEqual([seen[0]?.kind, seen.at(-1)?.kind], ['run-started', 'step']);
  });

  test('leaves no process', async () => {
    const events = await eventsOf(summary.folder);

    assert.equal(events.filter(({ kind }) => kind === 'worker-joined').length, 2);
    assert.deepEqual(living(events), []);
  });

  test('is read back: settings, summary, and the events that the loop has seen', async () => {
    const record = await readRun(summary.folder);
    const events = await eventsOf(summary.folder);

    assert.deepEqual(record.summary, JSON.parse(JSON.stringify(summary)));
    assert.deepEqual([record.config.epochs, record.config.hidden], [2, [32]]);
    const kept = seen.filter(({ kind }) => kind !== 'progress');
    assert.deepEqual(
      events.slice(0, kept.length),
      kept.map((event, i) => ({ ...event, time: events[i]?.time })),
    );
  });

  test('is read up to a line that is just being written, and not when one is damaged', async () => {
    const file = join(summary.folder, 'metrics.jsonl');
    const whole = readFileSync(file, 'utf8');
    const { length } = await eventsOf(summary.folder);

    writeFileSync(file, `${whole}{"kind":"st`);
    const withPart = await eventsOf(summary.folder);
    writeFileSync(file, `${whole}{"kind":"st\n`);

    assert.equal(withPart.length, length);
    await assert.rejects(eventsOf(summary.folder), {
      code: 'DATA_INVALID',
      message: new RegExp(`metrics\\.jsonl:${length + 1}: `),
    });
    writeFileSync(file, whole);
  });

  test('has a model that reaches its accuracy on the samples of its data set', async () => {
    const { test: samples, features } = await loadData(DIGITS);
    const model = await loadModel(summary.folder);

    const { classes, scores, shape } = await model.predict(samples.inputs());
    await model.close();

    const right = classes.filter((label, i) => label === samples.targets[i]).length;
    assert.equal(right / samples.count, summary.testAccuracy);
    assert.deepEqual(model.features, features);
    assert.deepEqual([shape, scores.length], [[samples.count, 10], 10 * samples.count]);
    await assert.rejects(model.predict([]), { message: /the model is closed/ });
  });

  test('has a model that takes one array per sample, as the data hold it', async () => {
    const { test: samples } = await loadData(DIGITS);
    const model = await loadModel(summary.folder);
    const inputs = samples.inputs(2, 4);
    const blank = new Uint8Array(64);
    const scaled = Float32Array.from(inputs.subarray(0, 64), (pixel) => pixel / 16);

    const all = await model.predict(samples.inputs(0, 5));
    const rows = await model.predict([
      inputs.subarray(0, 64),
      Array.from(inputs.subarray(64)),
      blank,
    ]);
    await assert.rejects(model.predict([scaled]), {
      code: 'CONFIG_INVALID',
      message: /expected whole numbers from 0 to 255, not scaled, in sample 0, got 0\.\d+ at /,
    });
    await model.close();

    assert.deepEqual(rows.classes.subarray(0, 2), all.classes.subarray(2, 4));
    assert.equal(rows.shape[0], 3);
    assert.deepEqual([model.inputType, model.features], ['uint8', [8, 8]]);
    assert.deepEqual(model.classNames, Array.from('0123456789'));
  });

  test('has a model that says the same of many samples as of few', async () => {
    const { train: samples } = await loadData(DIGITS);
    const model = await loadModel(summary.folder);

    const all = await model.predict(samples.inputs());
    const last = await model.predict(samples.inputs(samples.count - 3));
    await model.close();

    assert.ok(samples.count > 4 * 256, 'several batches, the last not full');
    assert.deepEqual(all.shape, [samples.count, 10]);
    const scores = all.scores.subarray(-30);
    for (const [i, score] of last.scores.entries()) assert.ok(Math.abs(score - scores[i]!) < 1e-4);
    assert.deepEqual(last.classes, all.classes.subarray(-3));
  });

  test('refuses another run of its name, and ends its events', async () => {
    const again = train({ ...DIGITS, name: summary.name });

    for await (const event of again.events) assert.fail(`nothing happens, but ${event.kind}`);
    // Later than Node.js looks for rejections that nobody handles.
    await new Promise(setImmediate);

    await assert.rejects(again.finished, { code: 'CONFIG_INVALID', message: /exists already/ });
  });
});

describe('a run that is stopped', () => {
  test('by stop ends with what is committed, and its model is that of the last step', async () => {
    const run = train(ENDLESS);
    for await (const { kind } of run.events) if (kind === 'step') break;

    run.stop();
    const summary = await run.finished;
    run.stop();

    assert.equal(summary.status, 'interrupted');
    assert.equal(summary.folder, run.folder);
    assert.ok(summary.steps > 0);
    assert.deepEqual(living(await eventsOf(run.folder)), []);
    assert.equal(summary.modelStep, summary.steps);
    const model = await loadModel(run.folder);
    assert.equal(model.classNames?.length, 10);
    await model.close();

    const again = await resume(run.folder, { steps: summary.steps + 2, lanes: 1 });
    await assert.rejects(resume(run.folder, { seed: 8 }), {
      name: 'ConfigError',
      message: /\nseed: the run has \d+, and 8 was given$/,
    });
    const { status, resumedAtStep, steps } = await again.finished;
    assert.deepEqual(
      [status, resumedAtStep, steps],
      ['finished', summary.steps, summary.steps + 2],
    );
    assert.equal(again.folder, run.folder);
  });

  test('by a signal ends the same way, and its loops end, too', async () => {
    const stopping = new AbortController();
    const run = train(ENDLESS, { signal: stopping.signal });

    const kinds = new Set<string>();
    for await (const { kind } of run.events) {
      kinds.add(kind);
      if (kind === 'step') stopping.abort();
    }

    assert.ok(kinds.has('step'));
    assert.equal((await run.finished).status, 'interrupted');
  });

  test('by a signal that was raised before never makes a step', async () => {
    const { status, steps } = await train(ENDLESS, { signal: AbortSignal.abort() }).finished;

    assert.deepEqual([status, steps], ['interrupted', 0]);
  });
});

describe('what cannot be used', () => {
  test('is refused by train, before anything is started', () => {
    assert.throws(() => train({ epochs: 0 }), { code: 'CONFIG_INVALID', message: /^epochs: / });
  });

  test('is said plainly of folders', async () => {
    const there = join(outDir, 'missing');

    for (const read of [readRun, loadModel]) {
      await assert.rejects(read(there), { message: /missing: there is no such folder$/ });
      await assert.rejects(read(outDir), {
        message: /expected the folder of a run, found no config/,
      });
      await assert.rejects(read(join(outDir, 'x'.repeat(300))), {
        code: 'CONFIG_INVALID',
        message: /^reading the run .*x: ENAMETOOLONG: /,
      });
    }
  });

  test('is said of a run whose events are gone', async () => {
    const folder = join(outDir, 'without events');
    mkdirSync(folder);
    writeFileSync(join(folder, 'config.yaml'), '');

    await assert.rejects(eventsOf(folder), {
      code: 'DATA_INVALID',
      message: /^reading .*metrics\.jsonl: ENOENT: /,
    });
  });
});

describe('a run on tokens', () => {
  test('has a model that takes token ids and scores every position', async () => {
    const { folder } = await train({
      ...{ model: 'gpt', dataset: 'moby_dick', layers: 1, width: 16, heads: 1, sequenceLength: 16 },
      ...{ steps: 1, globalBatch: 32, workers: 1, lanes: 1, outDir },
    }).finished;
    const model = await loadModel(folder);

    const { classes, shape } = await model.predict(new Int32Array(32).fill(3));
    const isRefused = assert.rejects(model.predict([new Int32Array(16).fill(1_000_000)]), {
      code: 'RUNTIME_FAILED',
      message: /^running .*model\.onnx: /,
    });

    assert.deepEqual([model.task, model.inputType, model.features], ['sequence', 'int32', [16]]);
    assert.deepEqual([shape.slice(0, 2), classes.length], [[2, 16], 32]);
    await isRefused;
    await model.close();
  });
});

describe('a run on numbers', () => {
  test('has a model that predicts numbers and knows no classes', async () => {
    const settings = { dataset: 'linear_regression', samples: 400, hidden: 8 };
    const { folder } = await train({ ...settings, steps: 2, workers: 1, lanes: 1, outDir })
      .finished;
    const { test: samples, target } = await loadData((await readRun(folder)).config);
    const model = await loadModel(folder);

    const { classes, scores, shape } = await model.predict(samples.inputs());
    await model.close();

    assert.deepEqual([model.task, target], ['regression', { kind: 'regression', outputs: 1 }]);
    assert.deepEqual([classes.length, shape], [0, [samples.count, 1]]);
    assert.equal(scores.length, samples.targets.length);
  });
});

describe('a program that ends in the midst of a run', () => {
  const program = (end: string): string => `
    import { train } from ${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)};
    const run = train(${JSON.stringify(ENDLESS)});
    for await (const event of run.events) {
      if (event.kind === 'worker-joined') console.log(event.processId);
      if (event.kind === 'step') break;
    }
    ${end}`;
  const ENDS: readonly [how: string, code: string, status: number][] = [
    ['by exit', 'process.exit(7);', 7],
    ['of an error', 'throw new Error("ours");', 1],
    ['of a signal', 'process.kill(process.pid, "SIGTERM");', 143],
  ];
  for (const [how, code, status] of ENDS)
    test(`${how} leaves no worker`, async (t) => {
      const child = startProgram(t, process.execPath, [
        ...['--import', 'tsx', '--input-type', 'module', '-e'],
        program(code),
      ]);

      const ended = await child.end();

      const pids = child.stdout.trim().split('\n').map(Number);
      assert.deepEqual([ended.status, pids.length], [status, 2], child.stderr);
      await assertGone(pids);
    });
});
