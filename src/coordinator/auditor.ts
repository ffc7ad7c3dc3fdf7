/**
 * Has micro-batches computed by other workers too, compares, and says who computed wrong. What is
 * not finite is audited in every run. Where audits are on, so are one micro-batch of every worker in
 * a fixed part of the steps, and those whose gradients stand out or were computed from other
 * weights.
 *
 * What stands out is only a reason to look. The verdict is that two workers agree against a third;
 * a result that is not finite must be confirmed by another, or is wrong.
 */
import type { Clock } from '../base/clock.ts';
import { RandomWords } from '../base/random.ts';
import type { Member } from '../membership/member.ts';
import type { MicroBatchRecord } from '../protocol/messages.ts';
import { findNonFinite, findOtherWeights, findOutliers } from '../plan/gradient-outliers.ts';
import { AuditCase, type Finding } from './audit-case.ts';
import type { BegunPass, CountedPart, Leaving, PassListener } from './steps/pass-listener.ts';
import type { Pass } from './steps/pass.ts';

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

/** The audits of the pass under way. What they find waits until it is taken. */
export class Auditor implements PassListener {
  readonly #options: AuditorOptions;
  readonly #words: RandomWords;
  #passId = 0;
  #step = 0;
  /** Whether records are compared with each other, and have checksums. */
  #isCompared = false;
  #isSampled = false;
  #hasScreened = true;
  /** Of whom one micro-batch is audited in this pass. */
  readonly #sampledIds = new Set<string>();
  /** Who had nothing to do in a sampled step is audited when it has. */
  readonly #owingIds = new Set<string>();
  readonly #owners = new Map<number, Member>();
  readonly #cases = new Map<number, AuditCase>();
  readonly #findings: Finding[] = [];
  #auditedCount = 0;

  constructor(options: AuditorOptions) {
    this.#options = options;
    this.#words = new RandomWords(options.seed, 'audit');
  }

  /** Whether more is audited in this run than what is not finite. */
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
    // Of a step that is computed again the audits are void, too.
    if (step === this.#step) for (const workerId of this.#sampledIds) this.#owingIds.add(workerId);
    this.#sampledIds.clear();
    this.#passId = id;
    this.#step = step;
    this.#hasScreened = false;
    this.#isCompared = this.isOn && work === 'train';
    this.#isSampled = this.#isCompared && this.#isSampledStep(step);
    if (this.#isSampled)
      for (const { workerId } of this.#options.active()) this.#owingIds.add(workerId);
  }

  /** What stands out is looked for among what is counted now. */
  reopened(): void {
    this.abandoned();
    this.#hasScreened = false;
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

  /**
   * Of the first records of every member in a sampled step, or in the next one in which it has a
   * part, one is audited.
   */
  counted({ member, contribution }: CountedPart): void {
    const { records } = contribution;
    const { workerId } = member;
    for (const { microBatch } of records) this.#owners.set(microBatch, member);
    const isDue = this.#isCompared && (this.#isSampled || this.#owingIds.has(workerId));
    if (!isDue || this.#sampledIds.has(workerId)) return;
    this.#sampledIds.add(workerId);
    this.#owingIds.delete(workerId);
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
      for (const record of this.#suspicious(pass.records())) this.#open(record);
    }
    return this.#cases.size === 0;
  }

  #suspicious(records: readonly MicroBatchRecord[]): readonly MicroBatchRecord[] {
    const ownerOf = (microBatch: number): string => this.#owners.get(microBatch)?.workerId ?? '';
    return this.#isCompared
      ? [...findOtherWeights(records, ownerOf), ...findOutliers(records, ownerOf)]
      : findNonFinite(records, ownerOf);
  }

  /** `member` has computed what it was asked to. */
  answered({ workerId, rank }: Member, records: readonly MicroBatchRecord[]): void {
    for (const microBatch of new Set(records.map((record) => record.microBatch))) {
      const audit = this.#cases.get(microBatch);
      if (audit?.asked !== workerId) continue;
      const answers = records.filter((record) => record.microBatch === microBatch);
      audit.hear(answers.map((record) => ({ workerId, rank, record })));
      this.#pursue(audit);
    }
  }

  /** Whoever leaves will not answer any more: others are asked. */
  left({ member, how }: Leaving): void {
    if (how === 'lost') this.#owingIds.delete(member.workerId);
    for (const audit of this.#cases.values()) {
      if (audit.asked !== member.workerId) continue;
      audit.hear([]);
      this.#pursue(audit);
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
    const { microBatch } = record;
    const owner = this.#owners.get(microBatch);
    if (owner === undefined || this.#cases.has(microBatch)) return;
    const audit = new AuditCase(owner, record);
    if (!audit.canBeAnsweredBy(owner)) return;
    this.#cases.set(microBatch, audit);
    this.#pursue(audit);
  }

  /**
   * Closes the case if its opinions are enough for a verdict, or asks whoever has least to compare;
   * if nobody else can say anything, its owner, once.
   */
  #pursue(audit: AuditCase): void {
    const active = this.#options.active();
    const load = (member: Member): number =>
      [...this.#cases.values()].filter(({ asked }) => asked === member.workerId).length;
    const [judge] = audit.isDecided
      ? []
      : active
          .filter((member) => audit.canBeAnsweredBy(member) && !audit.hasHeard(member.workerId))
          .sort((a, b) => load(a) - load(b) || a.rank - b.rank);
    if (judge !== undefined) return this.#ask(judge, audit, 1);
    const owner = active.find(({ workerId }) => workerId === audit.owner.workerId);
    if (owner !== undefined && audit.isForOwner) return this.#ask(owner, audit, 2);
    this.#cases.delete(audit.microBatch);
    if (audit.isCompared) this.#auditedCount++;
    const finding = audit.finding();
    if (finding !== undefined) this.#findings.push(finding);
  }

  #ask({ workerId, liveness, link }: Member, audit: AuditCase, times: 1 | 2): void {
    audit.ask(workerId);
    liveness.restartPatience(this.#options.clock.now());
    // Lanes take what they are asked in turn: twice is on two of them.
    const microBatches = Array.from({ length: times }, () => audit.microBatch);
    link.send({ kind: 'audit', pass: this.#passId, microBatches });
  }
}
