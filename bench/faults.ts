/**
 * How fast a run reacts: SIGKILL of a worker to the coordinator's notice, SIGSTOP to the re-issue
 * of its work, start of a late worker to its first counted micro-batch, and the command to the
 * first committed step. Several rounds; the event times in metrics.jsonl are the coordinator's.
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
    const frozen = await run.processOf(1);
    const frozenMs = Date.now();
    process.kill(frozen, 'SIGSTOP');
    const isReissue = (e: Event): boolean =>
      e.kind === 'micro-batches-reissued' && e['fromRank'] === 1;
    const reissued = since(frozenMs, await run.event(isReissue));
    process.kill(frozen, 'SIGCONT');
    return { first, noticed, reissued, contributed: await run.joinLate() };
  } finally {
    await run.end();
  }
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
show('reissued', 'SIGSTOP of a worker to its micro-batches re-issued');
show('contributed', 'start of a late worker to the first step with its samples');
