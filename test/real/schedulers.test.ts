/** One training on every rank of real launchers and schedulers: Slurm, Open MPI, MPICH. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import type { RunEvent } from '../../src/metrics/events.ts';
import type { RunSummary } from '../../src/runs/run-summary.ts';
import {
  assertGone,
  REPOSITORY,
  startProgram,
  temporaryFolder,
  waitFor,
} from '../cluster/processes.ts';
import { referenceOf } from '../cluster/runs.ts';
import { IndexedJob } from './indexed-job.ts';
import { reasonToSkipSlurm, SlurmCluster } from './slurm-cluster.ts';
import { freePort } from './ssh-server.ts';

const SETTINGS = ['--hidden', '64', '--seed', '7', '--eval-every', 'never'];
const SHORT = [...SETTINGS, '--steps', '200'];
const LONG = [...SETTINGS, '--steps', '700'];
const LOCKSTEP = [process.execPath, join(REPOSITORY, 'bin/lockstep.js')];
const MPIRUN_OPTIONS = ['--allow-run-as-root', '--oversubscribe', '--bind-to', 'none'];

function reasonToSkip(program: string, name: string): string | false {
  return spawnSync(program, ['--version']).error === undefined ? false : `without ${name}`;
}

/** A folder in which commands are given, with the files of one run. */
class Desk {
  readonly folder: string;
  readonly #t: TestContext;

  constructor(t: TestContext) {
    this.#t = t;
    this.folder = temporaryFolder(t);
  }

  async run(words: readonly string[], environment: NodeJS.ProcessEnv = {}) {
    const [program = '', ...args] = words;
    const home = { LOCKSTEP_HOME: join(this.folder, 'home'), ...environment };
    const started = startProgram(this.#t, program, args, this.folder, home);
    const { status } = await started.end();
    return { status, stdout: started.stdout, stderr: started.stderr };
  }

  async lockstep(...words: readonly string[]) {
    return this.run([...LOCKSTEP, ...words]);
  }

  eventsOf(run: string): readonly RunEvent[] {
    const path = join(this.folder, 'experiments', run, 'metrics.jsonl');
    const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
    const lines = text.split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as RunEvent);
  }

  async event(run: string, isWanted: (event: RunEvent) => boolean): Promise<RunEvent> {
    return waitFor(`an event of ${run}`, () => this.eventsOf(run).find(isWanted));
  }

  async summaryOf(run: string, status: string): Promise<RunSummary> {
    const path = join(this.folder, 'experiments', run, 'summary.json');
    return waitFor(`the end of ${run}`, () => {
      if (!existsSync(path)) return undefined;
      const summary = JSON.parse(readFileSync(path, 'utf8')) as RunSummary;
      return summary.status === status && summary;
    });
  }

  async assertNothingLeft(run: string): Promise<void> {
    const joined = this.eventsOf(run).flatMap((one) => (one.kind === 'worker-joined' ? one : []));
    assert.ok(joined.length >= 2);
    await assertGone(
      joined.map(({ processId }) => processId),
      20_000,
    );
  }
}

const isStep =
  (least: number) =>
  (event: RunEvent): boolean =>
    event.kind === 'step' && event.step >= least;

describe('mpirun', () => {
  const ompi = reasonToSkip('mpirun.openmpi', 'openmpi-bin');
  const mpich = reasonToSkip('mpirun.mpich', 'mpich');

  test('of Open MPI trains the same model on four ranks', { skip: ompi }, async (t) => {
    const desk = new Desk(t);
    const mpirun = { options: MPIRUN_OPTIONS };
    writeFileSync(join(desk.folder, 'job.yaml'), JSON.stringify({ workers: 4, mpirun }));
    const { summary: reference } = await referenceOf(t, SHORT);

    const words = [
      'launch',
      '--via',
      'mpirun',
      'job.yaml',
      ...SHORT,
      '--lanes',
      '1',
      '--name',
      'a',
    ];
    const { status, stderr } = await desk.lockstep(...words);
    assert.equal(status, 0, stderr);
    const { stateDigest, workers } = await desk.summaryOf('a', 'finished');

    assert.equal(stateDigest, reference.stateDigest);
    assert.deepEqual(
      workers.map(({ rank }) => rank),
      [0, 1, 2, 3],
    );
    assert.doesNotMatch(stderr, /lk1_/, 'no key is in a log');
    await desk.assertNothingLeft('a');
  });

  test('of MPICH trains the same model on two ranks', { skip: mpich }, async (t) => {
    const desk = new Desk(t);
    const { summary: reference } = await referenceOf(t, SHORT);

    const train = [...LOCKSTEP, 'train', ...SHORT, '--lanes', '1', '--name', 'b'];
    const { status, stderr } = await desk.run(['mpirun.mpich', '-n', '2', ...train]);
    assert.equal(status, 0, stderr);

    const { stateDigest } = await desk.summaryOf('b', 'finished');
    assert.equal(stateDigest, reference.stateDigest);
  });

  test('is told of another number of workers, and of ranks twice', { skip: mpich }, async (t) => {
    const desk = new Desk(t);
    const train = [...LOCKSTEP, 'train', ...SHORT];
    const mpirun = ['mpirun.mpich', '-n', '2'];

    const other = await desk.run([...mpirun, ...train, '--workers', '3']);
    const twice = await desk.run([...mpirun, ...train], { RANK: '0', WORLD_SIZE: '4' });
    assert.equal(other.status, 2);
    assert.match(other.stderr, /--workers: expected 2, as many as MPICH has started, got 3/);
    assert.equal(twice.status, 2);
    assert.match(twice.stderr, /by RANK \(torchrun\) this is rank 0 of 4, by PMI_RANK \(MPICH\)/);
    assert.equal(existsSync(join(desk.folder, 'experiments')), false, 'nothing was begun');
  });
});

describe('Slurm', { skip: reasonToSkipSlurm() }, () => {
  let slurm: SlurmCluster;
  before(async () => {
    slurm = new SlurmCluster();
    await slurm.start();
    process.env['SLURM_CONF'] = slurm.configFile;
  });
  after(async () => {
    delete process.env['SLURM_CONF'];
    await slurm.close();
  });
  const launch = async (desk: Desk, ...words: readonly string[]): Promise<string> => {
    const place = ['--via', 'slurm', join(REPOSITORY, 'examples/clusters/slurm.yaml')];
    const settings = [...LONG, '--lanes', '1', '--collective', 'ring'];
    const result = await desk.lockstep('launch', ...place, ...settings, ...words);
    assert.equal(result.status, 0, result.stderr);
    return /as (\d+)\./.exec(result.stderr)![1]!;
  };

  test('goes on without a node that is lost, and writes checkpoints on SIGUSR1', async (t) => {
    const desk = new Desk(t);
    const { summary: reference } = await referenceOf(t, LONG);
    const job = await launch(desk, '--name', 'first');

    await desk.event('first', isStep(50));
    slurm.run('scancel', '--signal=USR1', job);
    await desk.event('first', ({ kind }) => kind === 'checkpoint-written');
    slurm.run('scontrol', 'update', 'nodename=n3', 'state=down', 'reason=test');
    const lost = await desk.event('first', ({ kind }) => kind === 'worker-lost');

    const { stateDigest, ledger } = await desk.summaryOf('first', 'finished');
    assert.equal((lost as { rank: number }).rank, 2);
    assert.equal(stateDigest, reference.stateDigest);
    assert.equal(ledger.counted, ledger.expected);
    const isOver = (): boolean => slurm.run('squeue', '-h', '-o', '%T') === '';
    await waitFor('the end of the job', isOver);
    const { stdout } = await desk.lockstep('launch', 'status', '--via', 'slurm');
    assert.match(stdout, new RegExp(`^first  slurm job ${job}: [A-Z]+, exit code`));
    slurm.run('scontrol', 'update', 'nodename=n3', 'state=idle');
  });

  test('leaves a checkpoint and no process when it is stopped, and goes on from it', async (t) => {
    const desk = new Desk(t);
    const { summary: reference } = await referenceOf(t, LONG);
    await launch(desk, '--name', 'second');
    await desk.event('second', isStep(50));

    assert.equal((await desk.lockstep('launch', 'stop', '--via', 'slurm')).status, 0);
    const { checkpointStep, steps } = await desk.summaryOf('second', 'interrupted');
    assert.equal(checkpointStep, steps, 'nothing of the work is lost');
    await desk.assertNothingLeft('second');
    assert.ok(readdirSync(join(desk.folder, 'experiments/second/checkpoints')).length > 0);

    await launch(desk, '--name', 'second');
    const { stateDigest, resumedAtStep } = await desk.summaryOf('second', 'finished');
    assert.equal(stateDigest, reference.stateDigest);
    assert.equal(resumedAtStep, steps);
    const { stdout } = await desk.lockstep('launch', 'logs', '--via', 'slurm', '-n', '1000');
    assert.match(stdout, /going on with second from step/);
  });
});

test('the pods of an Indexed Job train the same model, though each is lost in turn', async (t) => {
  const desk = new Desk(t);
  const { summary: reference } = await referenceOf(t, LONG);
  const kubernetes = { image: 'registry.example/lockstep', retries: 4 };
  const file = { workers: 3, program: LOCKSTEP, kubernetes };
  writeFileSync(join(desk.folder, 'job.yaml'), JSON.stringify(file));
  const words = ['launch', '--via', 'kubernetes', 'job.yaml', ...LONG, '--lanes', '1'];
  const printed = await desk.lockstep(
    ...[...words, '--checkpoint-every', '50', '--name', 'experiments', '--dry-run'],
  );
  assert.equal(printed.status, 0, printed.stderr);

  const job = new IndexedJob(t, printed.stdout, desk.folder, await freePort());
  assert.notEqual(job.probe(0), 0, 'nobody listens yet');
  const isOver = job.run();
  const eventsOf = (): readonly RunEvent[] => desk.eventsOf('.');
  const isAt = (event: RunEvent): boolean => event.kind === 'step' && event.step > 50;
  await waitFor('steps', () => eventsOf().find(isAt));
  assert.equal(job.probe(0), 0);
  process.kill(job.pods[1]![0]!.pid, 'SIGKILL');
  const isBack = (): boolean =>
    eventsOf().filter(({ kind }) => kind === 'worker-joined').length === 4;
  await waitFor('the new pod of rank 1', isBack);
  await waitFor('a checkpoint', () => eventsOf().find(({ kind }) => kind === 'checkpoint-written'));
  process.kill(job.pods[0]![0]!.pid, 'SIGKILL');
  await isOver;

  const path = join(desk.folder, 'experiments/summary.json');
  const summary = JSON.parse(readFileSync(path, 'utf8')) as RunSummary;
  assert.deepEqual([summary.status, summary.stateDigest], ['finished', reference.stateDigest]);
  assert.ok(summary.resumedAtStep! > 0, 'rank 0 goes on');
  assert.deepEqual([job.pods[0]!.length, job.pods[1]!.length > 1], [2, true]);
});
