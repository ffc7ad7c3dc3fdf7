/** One rank of a collective benchmark: what it adds up, how it waits for the others and times it. */
import { systemClock } from '../../base/clock.ts';
import { RuntimeError } from '../../base/errors.ts';
import type { BodyName } from '../../collectives/body-names.ts';
import {
  byteLengthOf,
  type CollectiveFigures,
  figuresOf,
  type SizeMeasurement,
  WARMUP_ITERATIONS,
} from './bench-collective-figures.ts';
import type { BenchGroup, BenchGroups } from './bench-collective-group.ts';
import { fillContribution, isTotal } from './bench-collective-numbers.ts';

/** What every rank is told alike. */
export interface BenchPlan {
  readonly collective: BodyName;
  readonly workers: number;
  readonly sizesMb: readonly number[];
  readonly iterations: number;
}

/** Time for all ranks to form another group, once they have formed the first. */
const NEXT_GROUP_MS = 20_000;
/** Of each rank after a sum, float64: its time, whether the total was right, bytes by socket. */
const REPORT_NUMBERS = 4;

/** Who is told how it goes. */
export interface RankListener {
  /** Before a size is measured. */
  readonly onSize: (sizeMb: number) => void;
  readonly onNote: (note: string) => void;
}

/**
 * Measures together with all other ranks, which do the same and come within `meetMs`; every rank
 * gets the same figures.
 *
 * Throws: COLLECTIVE_TIMEOUT, PeerLostError, RendezvousError; RuntimeError when a total is wrong.
 */
export async function measureAsRank(
  plan: BenchPlan,
  groups: BenchGroups,
  meetMs: number,
  onSize: RankListener['onSize'],
): Promise<readonly CollectiveFigures[]> {
  const { collective, workers, sizesMb } = plan;
  // Barriers, and what the ranks tell each other, are sums themselves.
  const ring = { collective: 'ring', byteLength: 8 * REPORT_NUMBERS * workers } as const;
  const reports = await groups.form(ring, meetMs);
  const measured = new Map<number, CollectiveFigures>();
  // The largest first: smaller ones find its memory, and what the kernel has given once it keeps.
  for (const sizeMb of sizesMb.toSorted((a, b) => b - a)) {
    onSize(sizeMb);
    const byteLength = byteLengthOf(sizeMb);
    const sums = await groups.form({ collective, byteLength }, NEXT_GROUP_MS);
    measured.set(sizeMb, figuresOf(sizeMb, await measureSize(sums, reports, plan)));
    sums.close();
  }
  // Who is done leaves; to the others it is a neighbour that is gone, which is no matter any more.
  await exchange(reports).catch(() => {});
  reports.close();
  return sizesMb.flatMap((sizeMb) => measured.get(sizeMb) ?? []);
}

async function measureSize(
  sums: BenchGroup,
  reports: BenchGroup,
  { workers, iterations }: BenchPlan,
): Promise<SizeMeasurement> {
  const { index, byteLength } = sums.place;
  const own = new Int32Array(byteLength / 4);
  const times: number[] = [];
  let [socketBytes, socketBytesBefore] = [0, 0];
  for (let round = 0; round < WARMUP_ITERATIONS + iterations; round++) {
    fillContribution(own, index, round);
    await exchange(reports);
    const startedMs = systemClock.now();
    const [ms, isRight] = await sums.add(bytesOf(own), (total) => {
      const endedMs = systemClock.now();
      return [endedMs - startedMs, isTotal(total, workers, round)] as const;
    });
    const all = await exchange(reports, [ms, isRight ? 1 : 0, sums.socketBytesReceived]);
    const wrong = all.flatMap(([, right], rank) => (right === 1 ? [] : [rank]));
    if (wrong.length > 0)
      throw new RuntimeError(
        `bench-collective: the sum that rank ${wrong.join(', ')} received is wrong. Please ` +
          'report it.',
      );
    socketBytes = all.reduce((sum, [, , bytes = 0]) => sum + bytes, 0);
    // Offers of shared memory are made with the first sums, which still go over the socket.
    if (round < WARMUP_ITERATIONS) socketBytesBefore = socketBytes;
    else times.push(Math.max(...all.map(([time = 0]) => time)));
  }
  return { workers, byteLength, times, socketBytes: socketBytes - socketBytesBefore };
}

/** Gives the numbers of every rank to every rank, REPORT_NUMBERS at most: a barrier. */
async function exchange(
  reports: BenchGroup,
  numbers: readonly number[] = [],
): Promise<readonly (readonly number[])[]> {
  const { index, size } = reports.place;
  const all = new Float64Array(REPORT_NUMBERS * size);
  all.set(numbers, REPORT_NUMBERS * index);
  // Zeros elsewhere: as integers, the parts of all ranks add up to the parts themselves.
  return reports.add(bytesOf(all), (total) => {
    const sums = new Float64Array(total.slice().buffer);
    return Array.from({ length: size }, (_, rank) => [
      ...sums.subarray(REPORT_NUMBERS * rank, REPORT_NUMBERS * (rank + 1)),
    ]);
  });
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
