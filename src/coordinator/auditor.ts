/**
 * Has micro-batches computed by other workers too, compares bits, and says who computed wrong. Two
 * sorts of micro-batches are audited: one of every worker in a fixed part of the steps, and those
 * whose gradients stand out or were computed from other weights.
 *
 * What stands out is only a reason to look. The verdict is that two workers agree against a third.
 */
import type { Clock } from '../base/clock.ts';
import { RandomWords } from '../base/random.ts';
import type { Member } from '../membership/member.ts';
import type { MicroBatchRecord } from '../protocol/messages.ts';
import { findOtherWeights, findOutliers } from './gradient-outliers.ts';
import type { BegunPass, CountedPart, Leaving, PassListener } from './pass-listener.ts';
import type { Pass } from './pass.ts';

/** What the opinions about one micro-batch came to, when they differ. */
export type Finding =
  /** These computed something else than two others, who agree. */
  | { readonly kind: 'wrong'; readonly microBatch: number; readonly opinions: readonly Opinion[] }
  /** No two agree, and nobody is left to ask. */
  | {
      readonly kind: 'disputed';
      readonly microBatch: number;
      readonly opinions: readonly Opinion[];
    };

/** What a worker computed for a micro-batch. */
interface Opinion {
  readonly workerId: string;
  readonly rank: number;
  readonly record: MicroBatchRecord;
}

/** How much is audited, and by whom. */
export interface AuditorOptions {
  readonly clock: Clock;
  /** Part of the steps, 0..1, in which every worker is audited; 0 audits nothing. */
  readonly rate: number;
  readonly seed: number;
  /** The last step is always audited: after it nobody would look. */
  readonly totalSteps: number;
  /** Who can be asked now. */
  readonly active: () => readonly Member[];
}

/** One micro-batch under audit. */
interface Case {
  readonly microBatch: number;
  readonly numericsClass: string;
  readonly opinions: Opinion[];
  /** Worker id of whoever is asked now. */
  asked: string | undefined;
}

/** The audits of the pass under way. What they find waits until it is taken. */
export class Auditor implements PassListener {
  readonly #options: AuditorOptions;
  readonly #words: RandomWords;
  #passId = 0;
  #step = 0;
  #isSampled = false;
  #hasScreened = true;
  readonly #sampledIds = new Set<string>();
  readonly #owners = new Map<number, Member>();
  readonly #cases = new Map<number, Case>();
  readonly #findings: Finding[] = [];
  #auditedCount = 0;

  constructor(options: AuditorOptions) {
    this.#options = options;
    this.#words = new RandomWords(options.seed, 'audit');
  }

  /** Whether anything is audited in this run. */
  get isOn(): boolean {
    return this.#options.rate > 0;
  }

  /** Micro-batches of the whole run of which two results were compared. */
  get auditedCount(): number {
    return this.#auditedCount;
  }

  /** A pass begins; audits of the one before are void. */
  begun({ pass }: BegunPass): void {
    const { id, work, step } = pass.spec;
    this.abandoned();
    this.#owners.clear();
    this.#sampledIds.clear();
    this.#passId = id;
    this.#step = step;
    this.#hasScreened = !this.isOn || work !== 'train';
    this.#isSampled = !this.#hasScreened && this.#isSampledStep(step);
  }

  /**
   * The last step, and one of every 1 / rate at a random place among them: fewer than 2 / rate
   * steps lie between two.
   */
  #isSampledStep(step: number): boolean {
    const blockSteps = Math.max(1, Math.round(1 / this.#options.rate));
    const block = Math.floor(step / blockSteps);
    if (step === this.#options.totalSteps - 1) return true;
    return step % blockSteps === this.#words.below(2 * block, blockSteps);
  }

  /** Of the first records of every member in a sampled step, one is audited. */
  counted({ member, contribution }: CountedPart): void {
    if (this.#hasScreened) return;
    const { records } = contribution;
    for (const { microBatch } of records) this.#owners.set(microBatch, member);
    if (!this.#isSampled || this.#sampledIds.has(member.workerId)) return;
    this.#sampledIds.add(member.workerId);
    const record = records[this.#words.below(2 * this.#step + 1, records.length)];
    if (record !== undefined) this.#open(record);
  }

  /**
   * Whether nothing of the complete `pass` is to be compared any more; at first it audits what
   * stands out.
   */
  isSettled(pass: Pass): boolean {
    if (!this.#hasScreened) {
      this.#hasScreened = true;
      const ownerOf = (microBatch: number): string => this.#owners.get(microBatch)?.workerId ?? '';
      const records = pass.records();
      for (const record of [
        ...findOtherWeights(records, ownerOf),
        ...findOutliers(records, ownerOf),
      ])
        this.#open(record);
    }
    return this.#cases.size === 0;
  }

  /** `member` has computed what it was asked to. */
  answered({ workerId, rank }: Member, records: readonly MicroBatchRecord[]): void {
    for (const record of records) {
      const audit = this.#cases.get(record.microBatch);
      if (audit?.asked !== workerId) continue;
      audit.asked = undefined;
      audit.opinions.push({ workerId, rank, record });
      this.#judge(audit, record);
    }
  }

  /** Whoever leaves will not answer any more: others are asked. */
  left({ member }: Leaving): void {
    for (const audit of this.#cases.values()) {
      if (audit.asked !== member.workerId) continue;
      audit.asked = undefined;
      this.#askNext(audit);
    }
  }

  /** The audits of the pass are void, with all that they have found. */
  abandoned(): void {
    this.#cases.clear();
    this.#findings.length = 0;
  }

  /** What was found since this was last asked. */
  takeFindings(): readonly Finding[] {
    return this.#findings.splice(0);
  }

  /** Whether `workerId` owes an answer. */
  isAsked(workerId: string): boolean {
    return [...this.#cases.values()].some(({ asked }) => asked === workerId);
  }

  #open(record: MicroBatchRecord): void {
    const owner = this.#owners.get(record.microBatch);
    if (owner === undefined || this.#cases.has(record.microBatch) || !isComparable(owner)) return;
    const { workerId, rank, numericsClass } = owner;
    const { microBatch } = record;
    const opinions = [{ workerId, rank, record }];
    const audit: Case = { microBatch, numericsClass, opinions, asked: undefined };
    this.#cases.set(microBatch, audit);
    this.#askNext(audit);
  }

  /** The newest opinion is `record`: does anyone agree with it? */
  #judge(audit: Case, record: MicroBatchRecord): void {
    const wrong = audit.opinions.filter((opinion) => !isSameResult(opinion.record, record));
    if (wrong.length === audit.opinions.length - 1) return this.#askNext(audit);
    this.#close(audit);
    const { microBatch } = audit;
    if (wrong.length > 0) this.#findings.push({ kind: 'wrong', microBatch, opinions: wrong });
  }

  /**
   * Asks whoever has least to compare. If nobody can, the case is closed: with one opinion nothing
   * is known.
   */
  #askNext(audit: Case): void {
    const { active } = this.#options;
    const load = (member: Member): number =>
      [...this.#cases.values()].filter(({ asked }) => asked === member.workerId).length;
    const [member] = active()
      .filter((candidate) => canJudge(candidate, audit))
      .sort((a, b) => load(a) - load(b) || a.rank - b.rank);
    if (member !== undefined) return this.#ask(member, audit);
    this.#close(audit);
    const { microBatch, opinions } = audit;
    if (opinions.length > 1) this.#findings.push({ kind: 'disputed', microBatch, opinions });
  }

  #ask({ workerId, liveness, link }: Member, audit: Case): void {
    audit.asked = workerId;
    liveness.restartPatience(this.#options.clock.now());
    link.send({ kind: 'audit', pass: this.#passId, microBatches: [audit.microBatch] });
  }

  #close(audit: Case): void {
    this.#cases.delete(audit.microBatch);
    if (audit.opinions.length > 1) this.#auditedCount++;
  }
}

/** Whether `member` computes the same bits as those who have an opinion, and has none yet. */
function canJudge(member: Member, { numericsClass, opinions }: Case): boolean {
  return (
    isComparable(member) &&
    member.numericsClass === numericsClass &&
    opinions.every(({ workerId }) => workerId !== member.workerId)
  );
}

/** Whether equal work gives equal bits there: not on a GPU, which may add in any order. */
function isComparable({ hello }: Member): boolean {
  return (hello.device ?? 'cpu') === 'cpu';
}

/** Bit for bit, but for the time it took. */
function isSameResult(a: MicroBatchRecord, b: MicroBatchRecord): boolean {
  return (
    a.checksum === b.checksum &&
    a.weightsChecksum === b.weightsChecksum &&
    a.lossSum === b.lossSum &&
    a.correctSum === b.correctSum &&
    a.sampleCount === b.sampleCount &&
    a.maxima.length === b.maxima.length &&
    a.maxima.every((value, tensor) => value === b.maxima[tensor])
  );
}
