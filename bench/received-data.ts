/**
 * How long a worker on a machine without MNIST takes from its start to its first contribution, with
 * the data coming from the coordinator over a link of so much: as the first of a run, and beside
 * another one that trains, in short steps and in long ones; and what that costs the other. Real
 * network namespaces (root, Linux).
 *
 *   npm run bench -- received-data              three times over 100 Mbit/s
 *   npm run bench -- received-data 20 1         over 20 Mbit/s, once
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Host, reasonToSkip, withNetwork } from '../test/real/network.ts';
import type { Run } from '../test/cluster/runs.ts';
import { type Program, REPOSITORY } from '../test/cluster/processes.ts';
import { machine } from './lib/processes.ts';

const ENDLESS = ['--steps', '1000000', '--eval-every', 'never'];
/**
 * Global batches: that of a run without settings, and one whose step takes a core longer than its
 * sum is on its way. The sums of the former fill the link: a second worker may not be worth it.
 */
const GLOBAL_BATCHES = [undefined, 7680];
const STEADY_STEPS = 8;
/** A worker that has not contributed by then is not wanted. */
const PATIENCE_MS = 20_000;
const LOOK_MS = 500;

/** In a mount namespace of its own (`ip netns exec` makes it): installed data are not there. */
function withoutData(cache: string): readonly string[] {
  const hide = `mount -t tmpfs none ${join(REPOSITORY, 'datasets/mnist')} && exec "$@"`;
  return ['env', `XDG_CACHE_HOME=${cache}`, 'sh', '-c', hide, 'sh'];
}

/** When an event happened, milliseconds since 1970. */
function timeOf(event: object): number {
  return Date.parse((event as { readonly time: string }).time);
}

/** The steps that ended from `startMs` to `endMs`: how many, on average, and the longest. */
function stepsText(run: Run, startMs: number, endMs: number): string {
  const times = run
    .eventsOf('step')
    .map(timeOf)
    .filter((ms) => ms >= startMs && ms <= endMs);
  const gaps = times.slice(1).map((ms, i) => ms - (times[i] ?? ms));
  const mean = gaps.reduce((sum, ms) => sum + ms, 0) / gaps.length;
  return `${gaps.length} steps of ${mean.toFixed(0)} ms, the longest ${Math.max(...gaps)} ms`;
}

/** What becomes of a rank: its first step, or nothing within the patience. */
async function firstStepOf(run: Run, rank: number): Promise<object | undefined> {
  const endMs = Date.now() + PATIENCE_MS;
  while (Date.now() < endMs) {
    // To read what happened costs the run a part of its cores.
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    const first = run
      .eventsOf('step')
      .find(({ ranks }) => ranks.some((one) => one.rank === rank && one.microBatches > 0));
    if (first !== undefined) return first;
  }
  return undefined;
}

/** Starts the worker of a rank, and says how it went. */
async function watchJoining<T>(run: Run, rank: number, start: () => T, what: string): Promise<T> {
  const startMs = Date.now();
  const started = start();
  const first = await firstStepOf(run, rank);
  const isAbout = (event: { readonly rank: number }): boolean => event.rank === rank;
  const received = run.eventsOf('data-received').find(isAbout);
  const joined = run.eventsOf('worker-joined').find(isAbout);
  const after = (event: object | undefined): string =>
    event === undefined
      ? `not within ${PATIENCE_MS / 1000} s`
      : `after ${((timeOf(event) - startMs) / 1000).toFixed(2)} s`;
  const came =
    received === undefined
      ? 'nothing was sent'
      : `${received.bytes} bytes came as ${received.wireBytes} ` +
        `in ${received.receiveMs.toFixed(0)} ms, ready ${after(received)}`;
  console.log(`${what}: ${came}; joined ${after(joined)}, first contribution ${after(first)}`);
  if (rank > 0)
    console.log(
      `  the other before: ${stepsText(run, 0, startMs)}; meanwhile: ` +
        stepsText(run, startMs, first === undefined ? Date.now() : timeOf(first)),
    );
  return started;
}

async function measure(kbit: number, globalBatch: number | undefined): Promise<void> {
  const caches = [0, 1].map(() => mkdtempSync(join(tmpdir(), 'lockstep-bench-cache-')));
  const [own = '', shared = ''] = caches;
  try {
    await withNetwork(async (network) => {
      const size = globalBatch === undefined ? [] : ['--global-batch', String(globalBatch)];
      console.log(`${kbit / 1000} Mbit/s, ${size.join(' ') || 'settings by default'}`);
      const run = await network.coordinate(['--workers', '1', ...ENDLESS, ...size]);
      const [first, second] = [network.addHost(kbit), network.addHost(kbit)];
      const start = (host: Host, cache: string): Program =>
        network.joinAt(host, withoutData(cache));
      await watchJoining(run, 0, () => start(first, own), 'first of the run');
      await run.reachesStep(STEADY_STEPS);
      const bare = await watchJoining(run, 1, () => start(second, shared), 'second');
      bare.signal('SIGTERM');
      await bare.end();
      await watchJoining(run, 2, () => start(second, shared), 'with data kept');
    });
  } finally {
    for (const cache of caches) rmSync(cache, { recursive: true, force: true });
  }
}

const [mbit = 100, times = 3] = process.argv.slice(2).map(Number);
const skipped = reasonToSkip();
if (skipped !== false) throw new Error(`slow links cannot be made: ${skipped}`);
console.log(machine());
for (let i = 0; i < times; i++)
  for (const globalBatch of GLOBAL_BATCHES) await measure(1000 * mbit, globalBatch);
