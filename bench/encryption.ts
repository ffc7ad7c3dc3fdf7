/**
 * What encryption between workers costs: two workers, each behind 1 Gbit/s, that add up in a ring
 * with it and without it (`--mesh-plain`), in turn. Real network namespaces (root, Linux).
 *
 *   npm run bench -- encryption             three times each
 *   npm run bench -- encryption 5 1000000   five times each, links of so many kbit/s
 */
import { reasonToSkip, withNetwork } from '../test/real/network.ts';
import { median } from './lib/median.ts';
import { machine } from './lib/processes.ts';

const END_MS = 300_000;
/** 784 to 512 to 512 to 10: 2.7 MB of sums a step. */
const STEPS = 300;
const ARGS = ['--hidden', '512,512', '--steps', String(STEPS), '--eval-every', 'never'];
const RING = ['--workers', '2', '--collective', 'ring', '--seed', '7'];

interface Measured {
  /** Of the middle of the run. */
  readonly stepsPerSecond: number;
  readonly digest: string | undefined;
}

async function measure(kbit: number, flags: readonly string[]): Promise<Measured> {
  return withNetwork(async (network) => {
    const run = await network.coordinate([...ARGS, ...RING, ...flags]);
    network.join(kbit);
    network.join(kbit);
    await run.program.end(END_MS);
    const { summary } = await run.outcome(END_MS);
    const times = run
      .eventsOf('step')
      .slice(STEPS / 3)
      .map((event) => Date.parse((event as unknown as { readonly time: string }).time));
    const seconds = ((times.at(-1) ?? 0) - (times[0] ?? 0)) / 1000;
    return { stepsPerSecond: (times.length - 1) / seconds, digest: summary.stateDigest };
  });
}

async function main(rounds: number, kbit: number): Promise<void> {
  const reason = reasonToSkip();
  if (reason !== false) throw new Error(reason);
  console.log(`${machine()}, links of ${kbit / 1000} Mbit/s`);
  const plain: Measured[] = [];
  const encrypted: Measured[] = [];
  for (let round = 0; round < rounds; round++) {
    encrypted.push(await measure(kbit, []));
    plain.push(await measure(kbit, ['--mesh-plain']));
  }
  const digests = new Set([...plain, ...encrypted].map(({ digest }) => digest));
  const [fast, safe] = [plain, encrypted].map((all) =>
    median(all.map(({ stepsPerSecond }) => stepsPerSecond)),
  ) as [number, number];
  console.log(`plain ${fast.toFixed(1)} steps/s, encrypted ${safe.toFixed(1)}: medians`);
  console.log(`encrypted is ${(safe / fast).toFixed(3)} of plain; ${digests.size} digest(s)`);
}

const [rounds = '3', kbit = '1000000'] = process.argv.slice(2);
await main(Number(rounds), Number(kbit));
