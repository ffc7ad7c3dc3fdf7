/** One micro-batch under audit: what workers computed for it, and what follows from that. */
import type { Member } from '../membership/member.ts';
import { isFiniteRecord } from '../plan/gradient-outliers.ts';
import type { MicroBatchRecord } from '../protocol/messages.ts';

/** What the opinions about one micro-batch came to, when they differ. */
export interface Finding {
  /**
   * - `wrong`: these computed something else than two others, who agree; or what is not finite, and
   *   nobody else does.
   * - `unrepeated`: this one, who is alone, computed what is not finite, and then numbers.
   * - `disputed`: no two of these agree, and nobody is left to ask.
   */
  readonly kind: 'wrong' | 'unrepeated' | 'disputed';
  readonly microBatch: number;
  readonly opinions: readonly Opinion[];
}

/** What a worker computed for a micro-batch. */
interface Opinion {
  readonly workerId: string;
  readonly rank: number;
  readonly record: MicroBatchRecord;
}

/**
 * The first opinion is that of the owner, who has computed it for the step. If it is of numbers, the
 * question is whether others get the same bits, which only workers of its class can say. If it is
 * not finite, the question is whether others get no number either, which anybody can say.
 */
export class AuditCase {
  readonly microBatch: number;
  readonly owner: Opinion;
  readonly #question: 'bits' | 'finite';
  readonly #numericsClass: string;
  readonly #opinions: Opinion[];
  #asked: string | undefined;

  constructor({ workerId, rank, numericsClass }: Member, record: MicroBatchRecord) {
    this.microBatch = record.microBatch;
    this.owner = { workerId, rank, record };
    this.#question = isFiniteRecord(record) ? 'bits' : 'finite';
    this.#numericsClass = numericsClass;
    this.#opinions = [this.owner];
  }

  /** Worker id of whoever is asked now. */
  get asked(): string | undefined {
    return this.#asked;
  }

  /** Whether two opinions were compared. */
  get isCompared(): boolean {
    return this.#opinions.length > 1;
  }

  /** Whether two agree. */
  get isDecided(): boolean {
    return this.#agreed() !== undefined;
  }

  /** Whether only the owner itself can say more: nobody else has said whether it is finite. */
  get isForOwner(): boolean {
    return this.#question === 'finite' && !this.isCompared;
  }

  /** Whether `member` computes what the opinions can be compared with. */
  canBeAnsweredBy({ hello, numericsClass }: Member): boolean {
    // A GPU may add in any order: equal work does not give equal bits there.
    const isOfClass = (hello.device ?? 'cpu') === 'cpu' && numericsClass === this.#numericsClass;
    return this.#question === 'finite' || isOfClass;
  }

  /** Whether there is an opinion of `workerId`. */
  hasHeard(workerId: string): boolean {
    return this.#opinions.some((opinion) => opinion.workerId === workerId);
  }

  /** `workerId` is asked, and nobody else. */
  ask(workerId: string): void {
    this.#asked = workerId;
  }

  /** Whoever was asked says this; nothing when it has gone. */
  hear(opinions: readonly Opinion[]): void {
    this.#asked = undefined;
    this.#opinions.push(...opinions);
  }

  /** What is wrong, when nobody else can be asked; undefined when nothing is known to be. */
  finding(): Finding | undefined {
    const { microBatch } = this;
    const opinions = this.#opinions;
    const others = opinions.slice(1);
    const unconfirmed = opinions.filter(({ record }) => !isFiniteRecord(record));
    if (others.length === 0) return undefined;
    if (others.every(({ workerId }) => workerId === this.owner.workerId)) {
      const isRepeated = unconfirmed.length > 1;
      return isRepeated ? undefined : { kind: 'unrepeated', microBatch, opinions: [this.owner] };
    }
    const agreed = this.#agreed();
    if (agreed !== undefined) {
      const wrong = opinions.filter((opinion) => !this.#isSame(opinion, agreed));
      // Two get no number: it is the model's fault, and nobody's.
      const isDiverged = this.#question === 'finite' && !isFiniteRecord(agreed.record);
      return isDiverged || wrong.length === 0
        ? undefined
        : { kind: 'wrong', microBatch, opinions: wrong };
    }
    return opinions.length - unconfirmed.length === 1
      ? { kind: 'wrong', microBatch, opinions: unconfirmed }
      : { kind: 'disputed', microBatch, opinions };
  }

  /** An opinion that another one agrees with. */
  #agreed(): Opinion | undefined {
    return this.#opinions.find((one) =>
      this.#opinions.some((other) => one !== other && this.#isSame(one, other)),
    );
  }

  /** Equal in what is asked: bit for bit, but for the time it took, or in being finite. */
  #isSame({ record: a }: Opinion, { record: b }: Opinion): boolean {
    if (this.#question === 'finite') return isFiniteRecord(a) === isFiniteRecord(b);
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
}
