/**
 * How fast a run of four workers reacts, and what that costs its coordinator: SIGKILL of a worker
 * to the coordinator's notice and to the next step, SIGSTOP to the next step, the longest time
 * without a commit after each, start of a late worker to its first counted micro-batch, and the
 * command to the first committed step. Before anything happens: the processor time of the
 * coordinator, and the bytes that it reads and writes, to sockets and files. Several rounds; the
 * event times in metrics.jsonl are the coordinator's.
 */
import { median } from './lib/median.ts';
import { movedBytes } from '../test/cluster/processes.ts';
import { machine, processorMs } from './lib/processes.ts';
import { type Event, since, WatchedRun } from './lib/watched-run.ts';

const ROUNDS = 5;
const WORKERS = 4;
/** The steps before are for measuring speeds, and for the compiler of the coordinator's process. */
const WARM_UP_STEPS = 100;
const QUIET_MS = 5_000;
/** After a fault the times between commits are looked at for so long. */
const AFTERMATH_MS = 3_000;

async function round(): Promise<Record<string, number>> {
  const run = new WatchedRun(WORKERS);
  try {
    const first = since(run.startedMs, await run.event((e) => e.kind === 'step'));
    await run.event((e) => e.kind === 'step' && Number(e['step']) > WARM_UP_STEPS);
    const costs = await costsOf(run);
    const victim = await run.processOf(2);
    const killedMs = Date.now();
    process.kill(victim, 'SIGKILL');
    const noticed = since(
      killedMs,
      await run.event((e) => e.kind === 'worker-lost' && e['rank'] === 2),
    );
    const goesOn = since(killedMs, await stepAfter(run, 'worker-lost', 2));
    const gapKilled = await longestGap(run, killedMs);
    const frozen = await run.processOf(1);
    const frozenMs = Date.now();
    process.kill(frozen, 'SIGSTOP');
    const withoutIt = since(frozenMs, await stepAfter(run, 'worker-stalled', 1));
    const gapFrozen = await longestGap(run, frozenMs);
    process.kill(frozen, 'SIGCONT');
    const contributed = await run.joinLate();
    return { first, ...costs, noticed, goesOn, gapKilled, withoutIt, gapFrozen, contributed };
  } finally {
    await run.end();
  }
}

/** What the coordinator's process spends on a step, and moves. */
async function costsOf(run: WatchedRun): Promise<Record<string, number>> {
  const { pid = 0 } = run.child;
  const look = () => ({
    step: Number(run.events().findLast((e) => e.kind === 'step')?.['step']),
    spentMs: processorMs(pid),
    bytes: movedBytes(pid),
    nowMs: Date.now(),
  });
  const before = look();
  await sleep(QUIET_MS);
  const after = look();
  const steps = after.step - before.step;
  const spentMs = after.spentMs - before.spentMs;
  const elapsedMs = after.nowMs - before.nowMs;
  return {
    stepsPerSecond: (1000 * steps) / elapsedMs,
    spentMs: spentMs / steps,
    spentPercent: (100 * spentMs) / elapsedMs,
    bytes: (after.bytes - before.bytes) / steps,
  };
}

/** The first step after something happened to a worker. */
async function stepAfter(run: WatchedRun, kind: Event['kind'], rank: number): Promise<Event> {
  const { time } = await run.event((e) => e.kind === kind && e['rank'] === rank);
  return run.event((e) => e.kind === 'step' && e.time > time);
}

/** The longest time between two commits in the aftermath of a fault. */
async function longestGap(run: WatchedRun, faultMs: number): Promise<number> {
  await sleep(faultMs + AFTERMATH_MS - Date.now());
  const times = run
    .events()
    .filter(({ kind }) => kind === 'step')
    .map(({ time }) => Date.parse(time));
  const gaps = times.slice(1).map((time, i) => (time < faultMs ? 0 : time - (times[i] ?? time)));
  return Math.max(...gaps);
}

async function sleep(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

console.log(machine());
const seen: Record<string, number>[] = [];
for (let i = 0; i < ROUNDS; i++) seen.push(await round());
const show = (name: string, text: string, unit: string, digits = 0): void => {
  const values = seen.map((measured) => measured[name] ?? Number.NaN);
  console.log(
    `${text}: median ${median(values).toFixed(digits)} ${unit}, most ` +
      `${Math.max(...values).toFixed(digits)} ${unit} of ${values.length}`,
  );
};
show('first', `command to first committed step (${WORKERS} workers)`, 'ms');
show('stepsPerSecond', 'micro-batches of 32, 6 a step: steps', 'a second', 1);
show('spentMs', 'processor time of the coordinator for a step', 'ms', 2);
show('spentPercent', 'the same, of a core', '%', 1);
show('bytes', 'bytes that the coordinator reads and writes for a step (a sum: 1,350,696)', 'bytes');
show('noticed', 'SIGKILL of a worker to its loss noticed', 'ms');
show('goesOn', 'SIGKILL of a worker to the next step', 'ms');
show('gapKilled', 'longest time between commits after it', 'ms');
show('withoutIt', 'SIGSTOP of a worker to the next step without it', 'ms');
show('gapFrozen', 'longest time between commits after it', 'ms');
show('contributed', 'start of a late worker to the first step with its samples', 'ms');
