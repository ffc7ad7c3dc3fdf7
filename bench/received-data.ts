/**
 * How long a worker on a machine without MNIST takes from its start to its first contribution, with
 * the data coming from the coordinator over a link of so much: as the first of a run, and beside
 * another one that trains; and what that costs the other. Real network namespaces (root, Linux).
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

/**
 * Steps that take a core longer than the sum of one is on its way: who is faster is not caught up
 * with, data or no data.
 */
const ENDLESS = ['--steps', '1000000', '--eval-every', 'never', '--global-batch', '7680'];
const STEADY_STEPS = 8;

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

/** Starts the worker of a rank, and says how it went. */
async function watchJoining<T>(run: Run, rank: number, start: () => T, what: string): Promise<T> {
  const startMs = Date.now();
  const started = start();
  const first = await run.event('step', ({ ranks }) =>
    ranks.some((one) => one.rank === rank && one.microBatches > 0),
  );
  const isAbout = (event: { readonly rank: number }): boolean => event.rank === rank;
  const received = run.eventsOf('data-received').find(isAbout);
  const joined = await run.event('worker-joined', isAbout);
  const seconds = (event: object): string => ((timeOf(event) - startMs) / 1000).toFixed(2);
  const came =
    received === undefined
      ? 'nothing was sent'
      : `${received.bytes} bytes came as ${received.wireBytes} ` +
        `in ${received.receiveMs.toFixed(0)} ms, ready after ${seconds(received)} s`;
  console.log(
    `${what}: ${came}; joined after ${seconds(joined)} s, first contribution committed after ` +
      `${seconds(first)} s`,
  );
  if (rank > 0)
    console.log(
      `  the other before: ${stepsText(run, 0, startMs)}; meanwhile: ` +
        stepsText(run, startMs, timeOf(joined)),
    );
  return started;
}

async function measure(kbit: number): Promise<void> {
  const caches = [0, 1].map(() => mkdtempSync(join(tmpdir(), 'lockstep-bench-cache-')));
  const [own = '', shared = ''] = caches;
  try {
    await withNetwork(async (network) => {
      const rate = `${kbit / 1000} Mbit/s`;
      const run = await network.coordinate(['--workers', '1', ...ENDLESS]);
      const [first, second] = [network.addHost(kbit), network.addHost(kbit)];
      const start = (host: Host, cache: string): Program =>
        network.joinAt(host, withoutData(cache));
      await watchJoining(run, 0, () => start(first, own), `first of the run, ${rate}`);
      await run.reachesStep(STEADY_STEPS);
      const bare = await watchJoining(run, 1, () => start(second, shared), `second, ${rate}`);
      bare.signal('SIGTERM');
      await bare.end();
      await watchJoining(run, 2, () => start(second, shared), `with data kept, ${rate}`);
    });
  } finally {
    for (const cache of caches) rmSync(cache, { recursive: true, force: true });
  }
}

const [mbit = 100, times = 3] = process.argv.slice(2).map(Number);
const skipped = reasonToSkip();
if (skipped !== false) throw new Error(`slow links cannot be made: ${skipped}`);
console.log(machine());
for (let i = 0; i < times; i++) await measure(1000 * mbit);
