/**
 * Runs on slow links, with real network namespaces (root, Linux): how much of what a link allows is
 * used, and what one slow worker costs the others.
 *
 *   npm run bench -- slow-links               all of it, fifteen minutes
 *   npm run bench -- slow-links link 120      one part, of so many seconds
 */
import {
  named,
  type Network,
  reasonToSkip,
  type TimedStep,
  troublesOf,
  watch,
  withBusyCores,
  withNetwork,
} from '../test/real/network.ts';
import type { Run } from '../test/cluster/runs.ts';
import { median } from './lib/median.ts';
import { machine } from './lib/processes.ts';

const ENDLESS = ['--steps', '1000000', '--eval-every', '1000000'];
const MACHINES = 4;
/** The first steps measure speeds and the grid. */
const WARM_UP_STEPS = 3;

/** The steps of the next `seconds`, once speeds are known. */
async function settled(run: Run, seconds: number): Promise<readonly TimedStep[]> {
  await run.reachesStep(WARM_UP_STEPS);
  return watch(run, seconds);
}

function perSecond(steps: readonly TimedStep[]): number {
  return (1000 * steps.length) / steps.reduce((sum, { ms }) => sum + ms, 0);
}

function percent(part: number): string {
  return `${(100 * part).toFixed(1)} %`;
}

/** Troubles since the workers came in, in words. */
function troubles(run: Run): string {
  const found = troublesOf(run).map(({ kind }) => kind);
  return found.length === 0 ? 'nobody lost or stalled' : `TROUBLE: ${found.join(', ')}`;
}

/**
 * Two workers behind equal links: the time of a step against bytes over rate, and computing. In a
 * ring a sum goes out while the other's comes in; to the coordinator it goes before its total comes
 * back.
 */
async function link(name: string, kbit: number, model: readonly string[], seconds: number) {
  for (const [collective, ways] of [
    ['ring', 1],
    ['star', 2],
  ] as const)
    await linkBy(`${name}, ${collective}`, { kbit, model, collective, ways, seconds });
}

interface Way {
  readonly kbit: number;
  readonly model: readonly string[];
  readonly collective: string;
  /** How often a sum passes a link, one after the other. */
  readonly ways: number;
  readonly seconds: number;
}

async function linkBy(name: string, { kbit, model, collective, ways, seconds }: Way) {
  await withNetwork(async (network) => {
    const how = ['--collective', collective, '--keep-slow-links'];
    const run = await network.coordinate(['--workers', '2', ...how, ...model, ...ENDLESS]);
    for (let i = 0; i < 2; i++) network.join(kbit, named(`machine${i}`));
    const steps = await settled(run, seconds);
    const { parameterCount } = await run.event('run-started');
    const travelMs = (ways * 32 * parameterCount) / kbit;
    const computeMs = steps.map(({ step }) => Math.max(...step.ranks.map((r) => r.computeMs)));
    const least = computeMs.reduce((sum, ms) => sum + ms + travelMs, 0);
    const taken = steps.reduce((sum, { ms }) => sum + ms, 0);
    console.log(
      `${name}: two workers at ${kbit / 1000} Mbit/s, ${parameterCount} parameters, ${seconds} s: ` +
        `${steps.length} steps, ${percent(least / taken)} of what the link allows; longest step ` +
        `${Math.max(...steps.map(({ ms }) => ms))} ms, bytes alone ${travelMs.toFixed(0)} ms; ` +
        troubles(run),
    );
  });
}

/** Two fast workers by themselves, then beside one that is slow, then by themselves again. */
async function beside(name: string, seconds: number) {
  const rateOf = async (join: (network: Network) => void): Promise<[number, string]> =>
    withNetwork(async (network) => {
      const run = await network.coordinate(['--workers', '2', ...ENDLESS]);
      for (let i = 0; i < 2; i++) network.join(undefined, named(`machine${i}`));
      await run.reachesStep(WARM_UP_STEPS);
      join(network);
      return [perSecond(await settled(run, seconds)), troubles(run)];
    });
  const [before] = await rateOf(() => {});
  const [among, said] = await rateOf((network) => void network.join(1_000, named('far')));
  const [after] = await rateOf(() => {});
  const alone = (before + after) / 2;
  console.log(
    `${name}: two fast workers ${before.toFixed(1)} and ${after.toFixed(1)} steps/s, beside one ` +
      `at 1 Mbit/s ${among.toFixed(1)}: ${percent(among / alone)}, ${seconds} s each; ${said}`,
  );
}

/** Default MNIST on one machine alone, and with a second one behind a link; in turn. */
async function second(name: string, rounds: number) {
  const rateOf = async (kbit?: number): Promise<number> =>
    withNetwork(async (network) => {
      const workers = kbit === undefined ? '1' : '2';
      const run = await network.coordinate(['--workers', workers]);
      network.join(undefined, named('near'));
      if (kbit !== undefined) network.join(kbit, named('far'));
      await run.program.end(600_000);
      return run.summary().samplesPerSecond ?? 0;
    });
  for (const kbit of [200_000, 20_000]) {
    const parts: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const alone = await rateOf();
      parts.push((await rateOf(kbit)) / alone);
    }
    console.log(
      `${name}: default MNIST with a second machine behind ${kbit / 1000} Mbit/s, against one ` +
        `alone: ${parts
          .toSorted((a, b) => a - b)
          .map(percent)
          .join(', ')}`,
    );
  }
}

/** Four machines, each behind a link of its own, whose sums go around a ring. */
async function ring(name: string, seconds: number) {
  const models: readonly (readonly string[])[] = [
    ['--model', 'simple_cnn', '--micro-batch', '8', '--global-batch', '32'],
    ['--hidden', '4600,4600', '--micro-batch', '8', '--global-batch', '32'],
  ];
  for (const kbit of [1_000_000, 50_000])
    for (const model of models)
      await withNetwork(async (network) => {
        const run = await network.coordinate(['--workers', String(MACHINES), ...model, ...ENDLESS]);
        for (let i = 0; i < MACHINES; i++) network.join(kbit, named(`machine${i}`));
        const { collective } = await run.event('collective-chosen');
        const { parameterCount } = await run.event('run-started');
        const steps = await settled(run, seconds);
        const leastMs = (((2 * (MACHINES - 1)) / MACHINES) * 32 * parameterCount) / kbit;
        // Who is the last to have its sum waits for nobody: that is what adding up takes.
        const addMs = median(
          steps.map(({ step }) => Math.min(...step.ranks.map((r) => r.addMs ?? Number.NaN))),
        );
        console.log(
          `${name}: ${MACHINES} machines at ${kbit / 1000} Mbit/s without delay (this cannot shape ` +
            `it), ${parameterCount} parameters, ${collective}, ${seconds} s: ${steps.length} steps ` +
            `of ${median(steps.map(({ ms }) => ms)).toFixed(0)} ms, adding up ${addMs.toFixed(1)} ` +
            `ms, the links alone ${leastMs.toFixed(1)} ms: ${percent(leastMs / addMs)}; ` +
            troubles(run),
        );
      });
}

/** BERT on workers that get what others leave of the cores, one of which is busy. */
async function busy(name: string, steps: number) {
  await withNetwork(async (network) =>
    withBusyCores(async () => {
      const args = [
        '--workers',
        '2',
        '--model',
        'bert',
        '--dataset',
        'synthetic_text',
        '--steps',
        String(steps),
      ];
      const run = await network.coordinate([...args, '--eval-every', '1000000']);
      for (let i = 0; i < 2; i++) network.join(undefined, ['nice']);
      await run.program.end(1_800_000);
      const { wallSeconds } = run.summary();
      console.log(
        `${name}: BERT beside a busy core, ${steps} steps in ${wallSeconds.toFixed(0)} s; ${troubles(run)}`,
      );
    }, 1),
  );
}

const LARGE = ['--hidden', '3000,2800'];
const PARTS: Readonly<Record<string, (seconds?: number) => Promise<void>>> = {
  link: async (seconds = 150) => link('link', 100_000, LARGE, seconds),
  thin: async (seconds = 60) => link('thin', 2_400, [], seconds),
  beside: async (seconds = 60) => beside('beside', seconds),
  second: async (rounds = 5) => second('second', rounds),
  ring: async (seconds = 60) => ring('ring', seconds),
  busy: async (steps = 1) => busy('busy', steps),
};

const [wanted, length] = process.argv.slice(2);
const skipped = reasonToSkip();
if (skipped !== false) throw new Error(`slow links cannot be made: ${skipped}`);
if (wanted !== undefined && PARTS[wanted] === undefined)
  throw new Error(`expected one of ${Object.keys(PARTS).join(', ')}, not ${wanted}`);
console.log(machine());
for (const [name, measure] of Object.entries(PARTS))
  if (wanted === undefined || wanted === name)
    await measure(length === undefined ? undefined : Number(length));
