/**
 * What encryption costs, in turn with it and without it, which takes 40 s a time. Real network
 * namespaces (root, Linux).
 *
 * - Between hosts: two workers, each behind 1 Gbit/s, that add up in a ring; without it by
 *   `--mesh-plain`. The steps per second.
 * - On one host: two workers that have joined by the link, as those of other machines do, or by the
 *   address on 127.0.0.1, which is not encrypted. A step of the settings by default.
 *
 *   npm run bench -- encryption             three times each
 *   npm run bench -- encryption 5 1000000   five times each, links of so many kbit/s
 */
import { reasonToSkip, withNetwork } from '../test/real/network.ts';
import type { Run } from '../test/cluster/runs.ts';
import { median } from './lib/median.ts';
import { machine } from './lib/processes.ts';

const END_MS = 300_000;
/** 784 to 512 to 512 to 10: 2.7 MB of sums a step. */
const STEPS = 180;
const ARGS = ['--hidden', '512,512', '--steps', String(STEPS), '--eval-every', 'never'];
const RING = ['--workers', '2', '--collective', 'ring', '--seed', '7'];
/** Enough for seconds of steps of a few milliseconds. */
const STEPS_OF_HOST = 1_500;
const ON_HOST = ['--workers', '2', '--seed', '7', '--eval-every', 'never'];

interface Measured {
  /** Of the middle of the run. */
  readonly stepsPerSecond: number;
  readonly digest: string | undefined;
}

/** How fast a run was that has been started with all its workers. */
async function outcomeOf(run: Run, steps: number): Promise<Measured> {
  await run.program.end(END_MS);
  const { summary } = await run.outcome(END_MS);
  const times = run
    .eventsOf('step')
    .slice(steps / 3)
    .map((event) => Date.parse((event as unknown as { readonly time: string }).time));
  const seconds = ((times.at(-1) ?? 0) - (times[0] ?? 0)) / 1000;
  return { stepsPerSecond: (times.length - 1) / seconds, digest: summary.stateDigest };
}

/** Two workers on hosts of their own. */
async function betweenHosts(kbit: number, flags: readonly string[]): Promise<Measured> {
  return withNetwork(async (network) => {
    const run = await network.coordinate([...ARGS, ...RING, ...flags]);
    network.join(kbit);
    network.join(kbit);
    return outcomeOf(run, STEPS);
  });
}

/** Two workers on the host of the coordinator. */
async function onOneHost(isEncrypted: boolean): Promise<Measured> {
  return withNetwork(async (network) => {
    const args = [...ON_HOST, '--steps', String(STEPS_OF_HOST)];
    const run = await network.coordinate(args, isEncrypted ? undefined : '127.0.0.1');
    const address = await run.address();
    for (let i = 0; i < 2; i++)
      if (isEncrypted) network.joinAt({ start: (words) => network.run(words) });
      else network.run(['worker', '--join', address, '--lanes', '1']);
    return outcomeOf(run, STEPS_OF_HOST);
  });
}

function digestsOf(all: readonly Measured[]): string {
  return `${new Set(all.map(({ digest }) => digest)).size} digest(s)`;
}

function rateOf(all: readonly Measured[]): number {
  return median(all.map(({ stepsPerSecond }) => stepsPerSecond));
}

async function main(rounds: number, kbit: number): Promise<void> {
  const reason = reasonToSkip();
  if (reason !== false) throw new Error(reason);
  console.log(`${machine()}; medians of ${rounds}`);
  const hosts: { readonly plain: Measured[]; readonly safe: Measured[] } = { plain: [], safe: [] };
  const host: typeof hosts = { plain: [], safe: [] };
  const measures: readonly [string, Measured[], () => Promise<Measured>][] = [
    ['between hosts, encrypted', hosts.safe, async () => betweenHosts(kbit, [])],
    ['between hosts, plain', hosts.plain, async () => betweenHosts(kbit, ['--mesh-plain'])],
    ['on one host, encrypted', host.safe, async () => onOneHost(true)],
    ['on one host, plain', host.plain, async () => onOneHost(false)],
  ];
  for (let round = 0; round < rounds; round++)
    // Every second time the other way round: what else the machine does is on either side.
    for (const [what, all, measure] of round % 2 === 0 ? measures : measures.toReversed()) {
      const measured = await measure();
      all.push(measured);
      console.log(`  ${what}: ${measured.stepsPerSecond.toFixed(1)} steps/s`);
    }
  const [fast, safe] = [rateOf(hosts.plain), rateOf(hosts.safe)];
  const [same, sameOfHost] = [hosts, host].map((all) => digestsOf([...all.plain, ...all.safe]));
  console.log(
    `between hosts, links of ${kbit / 1000} Mbit/s: plain ${fast.toFixed(1)} steps/s, encrypted ` +
      `${safe.toFixed(1)}, ${percent(safe / fast - 1)}; ${same}`,
  );
  const [plainMs, safeMs] = [1000 / rateOf(host.plain), 1000 / rateOf(host.safe)];
  console.log(
    `on one host: a step of ${plainMs.toFixed(2)} ms plain, ${safeMs.toFixed(2)} ms encrypted, ` +
      `${percent(safeMs / plainMs - 1)}; ${sameOfHost}`,
  );
}

function percent(change: number): string {
  return `${change < 0 ? '' : '+'}${(100 * change).toFixed(1)} %`;
}

const [rounds = '3', kbit = '1000000'] = process.argv.slice(2);
await main(Number(rounds), Number(kbit));
