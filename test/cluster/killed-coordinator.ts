/**
 * A run whose coordinator is killed at random moments, and started again each time by the same
 * command with `--resume`: its workers, which live, have all that was committed.
 */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Choices } from '../simulation/choices.ts';
import type { Owner } from './owner.ts';
import { type Program, startLockstep, temporaryFolder } from './processes.ts';
import { assertSameModel, type Outcome, PROMISE, referenceOf, Run } from './runs.ts';

/** Long enough to be killed in its midst several times. */
const KILLED: readonly string[] = [...PROMISE, '--epochs', '3', '--steps', '600'];
/** After its first step a coordinator lives for so long at most; now and then it does not get there. */
const LIFE_MS = 1_500;
const EARLY_PART = 0.2;

/** What became of one kill. */
export interface Kill {
  /** The last step that was recorded when it was killed, and the one that the next went on at. */
  readonly recordedStep: number;
  readonly resumedAtStep: number;
  readonly workersWithState: number;
  /** From the start of the next coordinator to its first step. */
  readonly awayMs: number;
}

/** A run that came to its end all the same. */
export interface KilledRun {
  readonly outcome: Outcome;
  readonly kills: readonly Kill[];
}

/** Kills the coordinator of a run so often, at moments that follow from the seed. */
export async function runKilled(
  owner: Owner,
  seed: number,
  { workers, kills: most }: { readonly workers: number; readonly kills: number },
): Promise<KilledRun> {
  const reference = await referenceOf(owner, KILLED);
  const choices = new Choices(seed);
  const outDir = temporaryFolder(owner);
  const port = String(await freePort());
  const place = ['--port', port, '--out-dir', outDir, '--name', 'run', '--json'];
  const command = ['coordinator', ...KILLED, '--workers', String(workers), ...place];
  const start = (...more: readonly string[]): Run =>
    new Run(startLockstep(owner, [...command, ...more]), join(outDir, 'run'));
  let run = start();
  const joining = ['worker', '--join', `127.0.0.1:${port}`, '--lanes', '1'];
  const crew: Program[] = Array.from({ length: workers }, () => startLockstep(owner, joining));
  await run.reachesStep(1);
  const kills: Kill[] = [];
  for (let i = 0; i < most; i++) {
    const isEarly = i > 0 && choices.chance(EARLY_PART);
    const restartMs = await kill(run, choices.between(0, LIFE_MS));
    if (restartMs === undefined) break;
    const recordedStep = lastStep(run);
    let sinceMs = restartMs;
    run = start('--resume');
    if (isEarly) {
      sinceMs = (await kill(run, choices.between(100, LIFE_MS))) ?? sinceMs;
      run = start('--resume');
    }
    kills.push(await returned(run, recordedStep, sinceMs));
  }
  const outcome = await run.outcome();
  assertSameModel(outcome, reference);
  for (const worker of crew) assert.equal((await worker.end()).status, 0, worker.stderr);
  return { outcome, kills };
}

/** Kills it after a while; tells when, or undefined if the run was over before. */
async function kill({ program }: Run, afterMs: number): Promise<number | undefined> {
  await new Promise((resolve) => setTimeout(resolve, afterMs));
  if (program.isOver) return undefined;
  program.signal('SIGKILL');
  await program.end();
  return Date.now();
}

async function returned(run: Run, recordedStep: number, sinceMs: number): Promise<Kill> {
  const isNew = (time: string): boolean => Date.parse(time) >= sinceMs;
  const first = await run.program.during(
    'the first step of a coordinator that was restarted',
    () => {
      const events = run.events().map((event) => ({ ...event, time: timeOf(event) }));
      const begun = events.findLast(({ kind, time }) => kind === 'run-started' && isNew(time));
      if (begun?.kind !== 'run-started') return undefined;
      const { resumedAtStep = 0, workersWithState = 0 } = begun;
      const step = events.find(
        (event) => event.kind === 'step' && event.step > resumedAtStep && isNew(event.time),
      );
      return step && { resumedAtStep, workersWithState, awayMs: Date.parse(step.time) - sinceMs };
    },
  );
  return { recordedStep, ...first };
}

function timeOf(event: object): string {
  return 'time' in event && typeof event.time === 'string' ? event.time : '';
}

function lastStep(run: Run): number {
  return run.eventsOf('step').at(-1)?.step ?? 0;
}

/** A port that is free now, and hardly another's a moment later. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}
