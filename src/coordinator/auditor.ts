/**
 * Has micro-batches computed by other workers too, compares bits, and says who computed wrong. Two
 * sorts of micro-batches are audited: one of every worker in a fixed part of the steps, and those
 * whose gradients stand out or were computed from other weights.
 *
 * What stands out is only a reason to look. The verdict is that two workers agree against a third.
 */
import { RandomWords } from '../base/random.ts';
import type { MicroBatchRecord } from '../protocol/messages.ts';
import { findOtherWeights, findOutliers } from './gradient-outliers.ts';
import type { Member } from './member.ts';
import type { Pass, PassSpec } from './pass.ts';

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
export interface Opinion {
  readonly workerId: string;
  readonly rank: number;
  readonly record: MicroBatchRecord;
}

export interface AuditorOptions {
  /** Part of the steps, 0..1, in which every worker is audited; 0 audits nothing. */
  readonly rate: number;
  readonly seed: number;
  /** The last step is always audited: after it nobody would look. */
  readonly totalSteps: number;
  /** Who can be asked now. */
  readonly active: () => readonly Member[];
  /** Sends the request. */
  readonly ask: (member: Member, microBatch: number) => void;
}

/** One micro-batch under audit. */
interface Case {
  readonly microBatch: number;
  readonly numericsClass: string;
  readonly opinions: Opinion[];
  /** Who is asked now. */
  asked: string | undefined;
}

export class Auditor {
  readonly #options: AuditorOptions;
  readonly #words: RandomWords;
  #step = 0;
  #isSampled = false;
  #hasScreened = true;
  readonly #sampledIds = new Set<string>();
  readonly #owners = new Map<number, Member>();
  readonly #cases = new Map<number, Case>();
  /** Micro-batches of the whole run of which two results were compared. */
  auditedCount = 0;

  constructor(options: AuditorOptions) {
    this.#options = options;
    this.#words = new RandomWords(options.seed, 'audit');
  }

  get isOn(): boolean {
    return this.#options.rate > 0;
  }

  /** A pass begins; audits of the one before are void. */
  begin({ work, step }: PassSpec): void {
    this.#cases.clear();
    this.#owners.clear();
    this.#sampledIds.clear();
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

  /** Records of `member` were counted: of its first ones in a sampled step, one is audited. */
  contributed(member: Member, records: readonly MicroBatchRecord[]): void {
    if (this.#hasScreened) return;
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
  answered(member: Member, records: readonly MicroBatchRecord[]): readonly Finding[] {
    const { workerId, rank } = member;
    const findings: Finding[] = [];
    for (const record of records) {
      const audit = this.#cases.get(record.microBatch);
      if (audit?.asked !== workerId) continue;
      audit.asked = undefined;
      audit.opinions.push({ workerId, rank, record });
      const finding = this.#judge(audit, record);
      if (finding !== undefined) findings.push(finding);
    }
    return findings;
  }

  /** `workerId` will not answer any more: others are asked. */
  leave(workerId: string): readonly Finding[] {
    const findings: Finding[] = [];
    for (const audit of [...this.#cases.values()].filter(({ asked }) => asked === workerId)) {
      audit.asked = undefined;
      const finding = this.#askNext(audit);
      if (finding !== undefined) findings.push(finding);
    }
    return findings;
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
  #judge(audit: Case, record: MicroBatchRecord): Finding | undefined {
    const wrong = audit.opinions.filter((opinion) => !isSameResult(opinion.record, record));
    if (wrong.length === audit.opinions.length - 1) return this.#askNext(audit);
    this.#close(audit);
    const { microBatch } = audit;
    return wrong.length === 0 ? undefined : { kind: 'wrong', microBatch, opinions: wrong };
  }

  /**
   * Asks whoever has least to compare. If nobody can, the case is closed: with one opinion nothing
   * is known.
   */
  #askNext(audit: Case): Finding | undefined {
    const { active, ask } = this.#options;
    const load = (member: Member): number =>
      [...this.#cases.values()].filter(({ asked }) => asked === member.workerId).length;
    const [member] = active()
      .filter((candidate) => canJudge(candidate, audit))
      .sort((a, b) => load(a) - load(b) || a.rank - b.rank);
    if (member !== undefined) {
      audit.asked = member.workerId;
      ask(member, audit.microBatch);
      return undefined;
    }
    this.#close(audit);
    const { microBatch, opinions } = audit;
    return opinions.length < 2 ? undefined : { kind: 'disputed', microBatch, opinions };
  }

  #close(audit: Case): void {
    this.#cases.delete(audit.microBatch);
    if (audit.opinions.length > 1) this.auditedCount++;
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
