/**
 * How fast a run reacts: SIGKILL of a worker to the coordinator's notice and to the next step,
 * SIGSTOP to the next step, start of a late worker to its first counted micro-batch, and the
 * command to the first committed step. Several rounds; the event times in metrics.jsonl are the
 * coordinator's.
 */
import { machine } from './lib/processes.ts';
import { type Event, since, WatchedRun } from './lib/watched-run.ts';

const ROUNDS = 5;

async function round(): Promise<Record<string, number>> {
  const run = new WatchedRun(3);
  try {
    const first = since(run.startedMs, await run.event((e) => e.kind === 'step'));
    await run.event((e) => e.kind === 'step' && Number(e['step']) > 100);
    const victim = await run.processOf(2);
    const killedMs = Date.now();
    process.kill(victim, 'SIGKILL');
    const noticed = since(
      killedMs,
      await run.event((e) => e.kind === 'worker-lost' && e['rank'] === 2),
    );
    const goesOn = since(killedMs, await stepAfter(run, 'worker-lost', 2));
    const frozen = await run.processOf(1);
    const frozenMs = Date.now();
    process.kill(frozen, 'SIGSTOP');
    const withoutIt = since(frozenMs, await stepAfter(run, 'worker-stalled', 1));
    process.kill(frozen, 'SIGCONT');
    return { first, noticed, goesOn, withoutIt, contributed: await run.joinLate() };
  } finally {
    await run.end();
  }
}

/** The first step after something happened to a worker. */
async function stepAfter(run: WatchedRun, kind: Event['kind'], rank: number): Promise<Event> {
  const { time } = await run.event((e) => e.kind === kind && e['rank'] === rank);
  return run.event((e) => e.kind === 'step' && e.time > time);
}

console.log(machine());
const seen: Record<string, number>[] = [];
for (let i = 0; i < ROUNDS; i++) seen.push(await round());
const show = (name: string, text: string): void => {
  const values = seen.map((times) => times[name] ?? Number.NaN).sort((a, b) => a - b);
  console.log(
    `${text}: median ${values[Math.floor(values.length / 2)]} ms, worst ${values.at(-1)} ms ` +
      `of ${values.length}`,
  );
};
show('first', 'command to first committed step (3 workers)');
show('noticed', 'SIGKILL of a worker to its loss noticed');
show('goesOn', 'SIGKILL of a worker to the next step');
show('withoutIt', 'SIGSTOP of a worker to the next step');
show('contributed', 'start of a late worker to the first step with its samples');
