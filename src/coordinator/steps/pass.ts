import { invariant } from '../../base/errors.ts';
import type { Ledger } from '../../metrics/events.ts';
import type { MicroBatchRecord } from '../../protocol/messages.ts';

/** What a pass computes: fixed when it begins. */
export interface PassSpec {
  readonly id: number;
  readonly work: 'train' | 'evaluate';
  /** The state it needs: after this many updates. */
  readonly step: number;
  readonly epoch: number;
  readonly stepInEpoch: number;
  readonly microBatchCount: number;
  readonly sampleCount: number;
  readonly exponents: readonly number[];
  readonly reduction: 'star' | 'group' | 'alone';
}

/**
 * The lease table of one pass: every micro-batch is counted exactly once, whoever was faster of
 * those who hold it. Mostly that is one worker; what a late one holds is leased to others besides.
 *
 * Invariant: a contribution counts only if its sender holds the lease of every micro-batch in it
 *            and none is counted yet. So a repeated or revoked contribution can never be counted,
 *            whatever order messages take.
 */
export class Pass {
  readonly spec: PassSpec;
  /** Ids of the workers that hold the lease of each micro-batch. */
  readonly #holders: readonly Set<string>[];
  readonly #records: (MicroBatchRecord | undefined)[];
  readonly #timesCounted: Uint8Array;
  #missing: number;
  #isClosed = false;

  constructor(spec: PassSpec) {
    this.spec = spec;
    this.#holders = Array.from({ length: spec.microBatchCount }, () => new Set<string>());
    this.#records = Array.from({ length: spec.microBatchCount });
    this.#timesCounted = new Uint8Array(spec.microBatchCount);
    this.#missing = spec.microBatchCount;
  }

  /**
   * The same pass with nothing counted: whoever holds a micro-batch contributes it once more, with
   * its sum, which goes through the coordinator.
   */
  reopened(): Pass {
    const pass = new Pass({ ...this.spec, reduction: 'star' });
    for (const [microBatch, holders] of this.#holders.entries())
      for (const workerId of holders) pass.lease(workerId, [microBatch]);
    return pass;
  }

  /** Whether nothing more is waited for. */
  get isComplete(): boolean {
    return this.#missing === 0 || this.#isClosed;
  }

  /** The pass is complete with what is in; what is not is missing in its ledger. */
  close(): void {
    this.#isClosed = true;
  }

  /** Gives leases; others may hold the same. */
  lease(workerId: string, microBatches: readonly number[]): void {
    for (const microBatch of microBatches) {
      const holders = this.#holders[microBatch];
      invariant(holders?.has(workerId) === false, `micro-batch ${microBatch} is leased to it`);
      holders.add(workerId);
    }
  }

  /** Leases of `workerId` that are not counted yet. */
  unfinishedOf(workerId: string): number[] {
    return this.#unfinished((holders) => holders.has(workerId));
  }

  /** Micro-batches that are not counted and that none of `workerIds` holds. */
  uncoveredBy(workerIds: readonly string[]): number[] {
    return this.#unfinished((holders) => !workerIds.some((workerId) => holders.has(workerId)));
  }

  /** Takes back those of `microBatches` that `workerId` holds uncounted; returns them. */
  revoke(
    workerId: string,
    microBatches: readonly number[] = this.unfinishedOf(workerId),
  ): number[] {
    return microBatches.filter(
      (m) => this.#records[m] === undefined && this.#holders[m]?.delete(workerId) === true,
    );
  }

  /** Whether a contribution with these micro-batches from `workerId` may be counted. */
  accepts(workerId: string, microBatches: readonly number[]): boolean {
    return (
      microBatches.length > 0 &&
      new Set(microBatches).size === microBatches.length &&
      microBatches.every(
        (m) => this.#holders[m]?.has(workerId) === true && this.#records[m] === undefined,
      )
    );
  }

  /** Counts records that `accepts` has allowed. */
  count(records: readonly MicroBatchRecord[]): void {
    for (const record of records) {
      this.#records[record.microBatch] = record;
      this.#timesCounted[record.microBatch] = (this.#timesCounted[record.microBatch] ?? 0) + 1;
      this.#missing--;
    }
  }

  /**
   * The records of a complete pass in order of micro-batch, so that sums over them have one order.
   */
  records(): MicroBatchRecord[] {
    const records = this.#records.filter((record) => record !== undefined);
    invariant(records.length > 0 && this.isComplete, 'the pass is complete');
    return records;
  }

  /** Samples of this pass as they were counted, not as they should have been. */
  ledger(): Ledger {
    const samplesIn = (m: number): number => this.#records[m]?.sampleCount ?? 0;
    let counted = 0;
    let duplicated = 0;
    for (const [m, times] of this.#timesCounted.entries()) {
      if (times > 0) counted += samplesIn(m);
      duplicated += Math.max(0, times - 1) * samplesIn(m);
    }
    const expected = this.spec.sampleCount;
    return { expected, counted, dropped: expected - counted, duplicated };
  }

  #unfinished(matches: (holders: ReadonlySet<string>) => boolean): number[] {
    const found: number[] = [];
    for (const [microBatch, holders] of this.#holders.entries()) {
      if (this.#records[microBatch] === undefined && matches(holders)) found.push(microBatch);
    }
    return found;
  }
}

/** Samples of these records together. */
export function samplesOf(records: readonly MicroBatchRecord[]): number {
  return records.reduce((sum, { sampleCount }) => sum + sampleCount, 0);
}
