/** Runs of the cluster tests: started, watched through their files, and compared. */
import assert from 'node:assert/strict';
import { createHash, randomInt } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { RunSummary } from '../../src/runs/run-summary.ts';
import type { RunEvent } from '../../src/metrics/events.ts';
import type { Owner } from './owner.ts';
import { assertGone, type Program, startLockstep, temporaryFolder } from './processes.ts';

/** The run that the project makes its promise about, short of the number of workers. */
export const PROMISE: readonly string[] = [
  ...['--model', 'mlp', '--dataset', 'mnist', '--micro-batch', '32', '--global-batch', '192'],
  ...['--epochs', '1', '--seed', '7'],
];
export const PROMISE_STEPS = 313;
/** The promised run, only long enough to be disturbed in its midst. */
export const SHORT: readonly string[] = [...PROMISE, '--steps', '240'];

type EventOf<Kind extends RunEvent['kind']> = Extract<RunEvent, { kind: Kind }>;

/** What a finished run must have in common with every other one of the same settings. */
export interface Outcome {
  readonly summary: RunSummary;
  /** Mean loss of every step, in order. */
  readonly losses: readonly number[];
}

/** A run that is under way, and its files. */
export class Run {
  readonly program: Program;
  readonly folder: string;

  constructor(program: Program, folder: string) {
    this.program = program;
    this.folder = folder;
  }

  /** All whole lines of `metrics.jsonl` so far. */
  events(): RunEvent[] {
    let text = '';
    try {
      text = readFileSync(join(this.folder, 'metrics.jsonl'), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as RunEvent);
  }

  eventsOf<Kind extends RunEvent['kind']>(kind: Kind): EventOf<Kind>[] {
    return this.events().filter((event): event is EventOf<Kind> => event.kind === kind);
  }

  /** The first event of a kind for which `isWanted` holds. */
  async event<Kind extends RunEvent['kind']>(
    kind: Kind,
    isWanted: (event: EventOf<Kind>) => boolean = () => true,
  ): Promise<EventOf<Kind>> {
    return this.program.during(`an event ${kind}`, () => this.eventsOf(kind).find(isWanted));
  }

  /** Resolves once this many steps are committed. */
  async reachesStep(step: number): Promise<void> {
    await this.event('step', (event) => event.step >= step);
  }

  /** Resolves with the process id of every rank once `count` have joined. */
  async workerIds(count: number): Promise<ReadonlyMap<number, number>> {
    return this.program.during(`${count} workers`, () => {
      const joined = this.eventsOf('worker-joined');
      const byRank = new Map(joined.map(({ rank, processId }) => [rank, processId]));
      return byRank.size >= count && byRank;
    });
  }

  /** Where workers join. */
  async address(): Promise<string> {
    return (await this.program.saying(/coordinator (\S+:\d+)/))[1]!;
  }

  summary(): RunSummary {
    return JSON.parse(readFileSync(join(this.folder, 'summary.json'), 'utf8')) as RunSummary;
  }

  /** Fails when a worker that ever joined still lives. */
  async assertNothingLeft(deadlineMs?: number): Promise<void> {
    await assertGone(
      this.eventsOf('worker-joined').map(({ processId }) => processId),
      deadlineMs,
    );
  }

  /**
   * The outcome of a run that must end well, with every sample counted once and nothing left
   * running.
   */
  async outcome(deadlineMs?: number): Promise<Outcome> {
    const { status } = await this.program.end(deadlineMs);
    assert.equal(status, 0, this.program.stderr);
    const summary = JSON.parse(this.program.stdout) as RunSummary;
    const { expected, counted, dropped, duplicated } = summary.ledger;
    assert.deepEqual([summary.status, counted, dropped, duplicated], ['finished', expected, 0, 0]);
    assert.deepEqual(summary, this.summary(), 'summary.json is what was printed');
    await this.assertNothingLeft();
    const steps = this.eventsOf('step');
    assert.deepEqual(
      steps.map(({ step }) => step),
      Array.from({ length: summary.steps }, (_, index) => index + 1),
      'every step is reported once, in order',
    );
    return { summary, losses: steps.map(({ lossMean }) => lossMean) };
  }
}

/**
 * Starts `lockstep train` (or `coordinator`) with its files in a folder that goes with the test.
 */
export function startRun(t: Owner, args: readonly string[], command = 'train'): Run {
  const outDir = temporaryFolder(t);
  const program = startLockstep(t, [
    command,
    ...args,
    '--json',
    '--out-dir',
    outDir,
    '--name',
    'run',
  ]);
  return new Run(program, join(outDir, 'run'));
}

/** Starts `lockstep worker` for a run, by hand. */
export async function startWorker(
  t: TestContext,
  run: Run,
  ...more: readonly string[]
): Promise<Program> {
  return startLockstep(t, ['worker', '--join', await run.address(), '--lanes', '1', ...more]);
}

const references = new Map<string, Promise<Outcome>>();

/**
 * What one worker with one lane, undisturbed, makes of these settings. Computed once; by
 * `npm test` once for all test files, which find it in the folder that it names.
 */
export async function referenceOf(t: Owner, args: readonly string[]): Promise<Outcome> {
  const key = args.join(' ');
  const known = references.get(key) ?? computeReference(t, args);
  references.set(key, known);
  return known;
}

async function computeReference(t: Owner, args: readonly string[]): Promise<Outcome> {
  const shared = process.env['LOCKSTEP_TEST_SHARED'];
  const name = createHash('sha256').update(args.join(' ')).digest('hex');
  const path = shared === undefined ? undefined : join(shared, `${name}.json`);
  if (path !== undefined && existsSync(path))
    return JSON.parse(readFileSync(path, 'utf8')) as Outcome;
  const outcome = await startRun(t, [...args, '--workers', '1', '--lanes', '1']).outcome();
  if (path === undefined) return outcome;
  writeFileSync(`${path}.${process.pid}`, JSON.stringify(outcome));
  renameSync(`${path}.${process.pid}`, path);
  return outcome;
}

/** The promised run, made so long or so short that one worker needs about `ms` for its steps. */
export async function lasting(t: TestContext, ms: number): Promise<readonly string[]> {
  const { summary } = await referenceOf(t, SHORT);
  const steps = Math.ceil((ms / 1000) * (summary.samplesPerSecond! / 192));
  return [...PROMISE, '--steps', String(steps)];
}

/** The two runs made the very same model, in the very same steps. */
export function assertSameModel({ summary, losses }: Outcome, reference: Outcome): void {
  assert.deepEqual(numbersOf(summary), numbersOf(reference.summary));
  assert.deepEqual(losses, reference.losses, 'mean loss of every step');
}

function numbersOf(summary: RunSummary): object {
  const { stateDigest, weightsDigest, steps, epochs, testAccuracy, testLoss, trainLoss, ledger } =
    summary;
  return { stateDigest, weightsDigest, steps, epochs, testAccuracy, testLoss, trainLoss, ledger };
}

/** A number that decides what a test does, printed so that LOCKSTEP_TEST_SEED can repeat it. */
export function testSeed(t: TestContext): number {
  const seed = Number(process.env['LOCKSTEP_TEST_SEED'] ?? randomInt(1_000_000));
  t.diagnostic(`LOCKSTEP_TEST_SEED=${seed}`);
  return seed;
}
