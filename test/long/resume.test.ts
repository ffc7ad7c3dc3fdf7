/** Models of every kind, and strategies, that go on from a checkpoint with other workers. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { hello, Peer } from '../cluster/peer.ts';
import { REPOSITORY, startLockstep, waitFor } from '../cluster/processes.ts';
import {
  assertSameModel,
  referenceOf,
  Run,
  SHORT,
  startRun,
  startWorker,
} from '../cluster/runs.ts';

const IMAGES = ['--dataset', 'synthetic_image', '--image-size', '8', '--samples', '400'];
const SMALL = ['--micro-batch', '8', '--global-batch', '32', '--seed', '7'];

const CASES: readonly (readonly [string, readonly string[], number])[] = [
  ['a multi-layer perceptron', ['--dataset', 'digits', ...SMALL, '--hidden', '16'], 24],
  [
    'a convolutional network with augmentation and dropout',
    [...IMAGES, ...SMALL, '--model', 'simple_cnn', '--augment', 'crop-flip', '--dropout', '0.2'],
    24,
  ],
  [
    'a language model',
    [
      ...['--model', 'gpt', '--dataset', 'moby_dick', '--sequence-length', '16', ...SMALL],
      ...['--layers', '1', '--width', '16', '--heads', '2', '--dropout', '0.1'],
      ...['--eval-every', '1000000'],
    ],
    24,
  ],
  [
    'rounds',
    ['--dataset', 'digits', '--strategy', 'rounds', '--seed', '7', '--micro-batch', '32'],
    6,
  ],
  [
    'an imported network, with momentum and a schedule',
    [
      ...['--model', join(REPOSITORY, 'test/fixtures/onnx/pretrained-13.onnx')],
      ...['--dataset', 'mnist', '--optimizer', 'momentum', '--schedule', 'cosine', '--seed', '7'],
      ...['--eval-samples', '200'],
    ],
    15,
  ],
];

/** Who computes the first third of a run, the second and the last. */
const CREWS: readonly (readonly string[])[] = [
  ['--workers', '1', '--lanes', '1'],
  ['--workers', '3', '--lanes', '1'],
  ['--workers', '2', '--lanes', '2'],
];

/** Lets a run write the checkpoint of a step, and ends it; gives that checkpoint. */
async function endedAfter(run: Run, step: number): Promise<string> {
  // By then the records of steps that are computed again are gone.
  await run.address();
  await run.reachesStep(step);
  run.program.signal('SIGINT');
  const { status } = await run.program.end();
  // Steps are short: it may have been done by then.
  assert.ok(status === 130 || run.summary().status === 'finished', run.program.stderr);
  return join(run.folder, 'checkpoints', `step_${step}`);
}

describe('a run that goes on from checkpoints, with 1, then 3, then 2 workers of 2 lanes', () => {
  for (const [what, settings, length] of CASES)
    test(`ends with the model of one that was not ended: ${what}`, async (t) => {
      const unit = settings.includes('rounds') ? '--rounds' : '--steps';
      const all = [...settings, unit, String(length)];
      const reference = await referenceOf(t, all);
      const third = length / 3;
      // Of a schedule that depends on the end, the end is known from the beginning.
      const more = ['--checkpoint-every', String(third), '--keep', '100', '--json'];
      const [one = [], three = [], two = []] = CREWS;
      const first = startRun(t, [...all, ...more, ...one]);
      const goOn = (from: string, crew: readonly string[]): Run =>
        new Run(startLockstep(t, ['train', '--resume', from, ...crew, '--json']), first.folder);

      const second = goOn(await endedAfter(first, third), three);
      const last = goOn(await endedAfter(second, 2 * third), two);
      const outcome = await last.outcome();

      assert.equal(outcome.summary.resumedAtStep, 2 * third);
      assertSameModel(outcome, reference);
    });
});

/** Twice as many as there may be in a run. */
const CROWD = 500;
/** All of them are answered by then, and the workers are back. */
const BACK_MS = 10_000;
/** Between two attempts of each of the crowd, as of workers, at most. */
const PAUSE_MS = 200;

/** Goes to a door until it is answered, and stays. */
async function visit(t: TestContext, address: string, workerId: string): Promise<Peer> {
  for (;;) {
    const peer = new Peer(t, address);
    peer.say(hello({ workerId }));
    const says = (): boolean => peer.heard.length > 0 || peer.isClosed;
    await waitFor(`an answer for ${workerId}`, says);
    if (peer.heard.length > 0) return peer;
    await pause(PAUSE_MS * (0.5 + Math.random() / 2));
  }
}

describe('a coordinator that is killed and started again', () => {
  test('finds its workers in a crowd of 500, and goes on from a checkpoint', async (t) => {
    const reference = await referenceOf(t, SHORT);
    // Long before it is needed, and hardly another's by then.
    const scout = startRun(t, ['--steps', '1', '--workers', '1'], 'coordinator');
    const [, port = ''] = /:(\d+)$/.exec(await scout.address()) ?? [];
    scout.program.signal('SIGKILL');
    await scout.program.end();
    const settings = [...SHORT, '--workers', '2', '--port', port, '--checkpoint-every', '40'];
    const run = startRun(t, settings, 'coordinator');
    const workers = [await startWorker(t, run), await startWorker(t, run)];
    const isThere = (): boolean => existsSync(join(run.folder, 'checkpoints/step_80'));
    await run.program.during('a second checkpoint', isThere);

    run.program.signal('SIGKILL');
    await run.program.end();
    const place = ['--out-dir', dirname(run.folder), '--name', 'run'];
    const again = ['coordinator', ...settings, ...place, '--json', '--resume'];
    const program = startLockstep(t, again);
    const visits = Array.from({ length: CROWD }, async (_, i) =>
      visit(t, `127.0.0.1:${port}`, `one of many ${i}`),
    );
    await program.saying(/coordinator 127/);
    const openMs = Date.now();
    const crowd = await Promise.all(visits);
    const ms = Date.now() - openMs;
    for (const { socket } of crowd) socket.destroy();
    const kinds = crowd.map(({ heard }) => heard[0]!['kind']);
    const countOf = (kind: string): number => kinds.filter((one) => one === kind).length;
    const outcome = await new Run(program, run.folder).outcome();

    assertSameModel(outcome, reference);
    const [back] = run
      .eventsOf('worker-joined')
      .slice(-1)
      .map((event) => Date.parse((event as unknown as { readonly time: string }).time) - openMs);
    t.diagnostic(
      `${countOf('welcome')} were welcome, ${countOf('refused')} were not, in ${ms} ms; ` +
        `both workers were back after ${back} ms`,
    );
    assert.ok(back! < BACK_MS);
    assert.equal(countOf('welcome') + countOf('refused'), CROWD);
    assert.ok(ms < BACK_MS, `${ms} ms`);
    assert.ok(outcome.summary.resumedAtStep! >= 80);
    const joined = run.eventsOf('worker-joined').map(({ processId }) => processId);
    for (const worker of workers) {
      assert.equal((await worker.end()).status, 0);
      assert.equal(joined.filter((processId) => processId === worker.pid).length, 2);
    }
  });
});

describe('a run that is told to end', () => {
  test('writes a checkpoint, and says the command that goes on from there', async (t) => {
    const reference = await referenceOf(t, SHORT);
    const run = startRun(t, [...SHORT, '--lanes', '1', '--workers', '1']);
    await run.reachesStep(60);
    run.program.signal('SIGTERM');
    assert.equal((await run.program.end()).status, 130);
    const [, step, words] = /to go on from step (\d+): lockstep (train --resume \S+?);/.exec(
      run.program.stderr,
    )!;

    const program = startLockstep(t, [...words!.split(' '), '--lanes', '2', '--json']);
    const outcome = await new Run(program, run.folder).outcome();

    assert.equal(outcome.summary.resumedAtStep, Number(step));
    assert.equal(Number(step), run.eventsOf('run-unfinished')[0]!.step);
    assertSameModel(outcome, reference);
  });
});
