/** Models of every kind, and strategies, that go on from a checkpoint with other workers. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { REPOSITORY, startLockstep } from '../cluster/processes.ts';
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

describe('a coordinator that is killed and started again', () => {
  test('finds its workers, which have waited, and goes on from a checkpoint', async (t) => {
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
    const outcome = await new Run(program, run.folder).outcome();

    assertSameModel(outcome, reference);
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
