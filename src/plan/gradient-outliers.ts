/** Which results of a pass are worth a second look. */
import type { MicroBatchRecord } from '../protocol/messages.ts';

/** So many times larger or smaller than the others' median, and it stands out. */
const FACTOR = 8;
/** At most so many of a pass. */
const MAX_OUTLIERS = 2;

/** Whether loss and gradient of a micro-batch are numbers. */
export function isFiniteRecord({ lossSum, maxima }: MicroBatchRecord): boolean {
  return Number.isFinite(lossSum) && maxima.every(Number.isFinite);
}

/** Records that are not finite, one of each worker. */
export function findNonFinite(
  records: readonly MicroBatchRecord[],
  ownerOf: (microBatch: number) => string,
): readonly MicroBatchRecord[] {
  const found = new Map<string, MicroBatchRecord>();
  for (const record of records) {
    const owner = ownerOf(record.microBatch);
    if (!isFiniteRecord(record) && !found.has(owner)) found.set(owner, record);
  }
  return [...found.values()].slice(0, MAX_OUTLIERS);
}

/**
 * The records that stand out of their pass, oddest first: a loss or gradient that is not finite, or
 * a tensor whose largest element is far from the median over the micro-batches of other workers.
 */
export function findOutliers(
  records: readonly MicroBatchRecord[],
  ownerOf: (microBatch: number) => string,
): readonly MicroBatchRecord[] {
  return records
    .map((record) => ({ record, oddness: oddnessOf(record, records, ownerOf) }))
    .filter(({ oddness }) => oddness > FACTOR)
    .sort((a, b) => (a.oddness === b.oddness ? 0 : b.oddness - a.oddness))
    .slice(0, MAX_OUTLIERS)
    .map(({ record }) => record);
}

/**
 * Where replicas had other weights than each other, one record of each worker that differs from
 * most; nothing when all had the same, as they should.
 */
export function findOtherWeights(
  records: readonly MicroBatchRecord[],
  ownerOf: (microBatch: number) => string,
): readonly MicroBatchRecord[] {
  // One of each worker and value: every lane has weights of its own.
  const groups = new Map<number | undefined, Map<string, MicroBatchRecord>>();
  for (const record of records) {
    const group = groups.get(record.weightsChecksum) ?? new Map<string, MicroBatchRecord>();
    groups.set(record.weightsChecksum, group);
    const owner = ownerOf(record.microBatch);
    if (!group.has(owner)) group.set(owner, record);
  }
  const [, ...fewer] = [...groups.values()].sort((a, b) => b.size - a.size);
  return fewer.flatMap((group) => [...group.values()]);
}

/**
 * How many times its oddest tensor is from the others' median, up or down; Infinity when it is not
 * finite.
 */
function oddnessOf(
  record: MicroBatchRecord,
  all: readonly MicroBatchRecord[],
  ownerOf: (microBatch: number) => string,
): number {
  if (!isFiniteRecord(record)) return Infinity;
  const owner = ownerOf(record.microBatch);
  const others = all.filter(({ microBatch }) => ownerOf(microBatch) !== owner);
  if (others.length === 0) return 1;
  const ratios = record.maxima.map((value, tensor) => {
    const [low, high] = middle(others.map(({ maxima }) => maxima[tensor] ?? Infinity));
    return Math.min(distance(value ?? 0, low), distance(value ?? 0, high));
  });
  return Math.max(1, ...ratios);
}

/** How many times `a` is larger or smaller than `b`; both are 0 or more. */
function distance(a: number, b: number): number {
  return a === b || !Number.isFinite(b) ? 1 : Math.max(a / b, b / a);
}

/** The one or two values between which the median lies. */
function middle(values: readonly number[]): readonly [number, number] {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (index: number): number => sorted[index] ?? 0;
  return [at(Math.floor((sorted.length - 1) / 2)), at(Math.ceil((sorted.length - 1) / 2))];
}
