/** Whether all replicas have the same state: asks for digests of it, and compares them. */
import type { Member } from '../../membership/member.ts';
import type { Digests } from '../steps/trajectory.ts';

/** Replicas that differ after the same updates. */
export interface Split {
  /** Those who have another state than most; none if no state is that of most. */
  readonly wrong: readonly Member[];
  readonly all: readonly Member[];
  /** Up to this step all of `wrong`, or of `all` if there are none, had the state of the others. */
  readonly agreedStep: number;
}

/** What a member was asked, and what it has said. */
interface Answer {
  readonly ask: number;
  readonly digests: Digests | undefined;
}

/** What the replicas say of one step; only those that are active then are waited for. */
export class Replicas {
  readonly #answers = new Map<Member, Answer>();
  /** The step that they were asked about. */
  #step = 0;
  /** The last step at which a member's state was that of the others, or was given to it. */
  readonly #agreedSteps = new WeakMap<Member, number>();
  /** An answer that is late may be of a state that was undone: it has another number. */
  #askCount = 0;

  /** Whether somebody owes an answer. */
  get isComparing(): boolean {
    return [...this.#answers.keys()].some((member) => this.isAwaited(member));
  }

  /** Whether `member` owes an answer. */
  isAwaited(member: Member): boolean {
    const answer = this.#answers.get(member);
    return member.phase === 'active' && answer !== undefined && answer.digests === undefined;
  }

  /** What `member` has said of step `step`; undefined if it was not asked, or owes it. */
  digestsOf(member: Member, step: number): Digests | undefined {
    return step === this.#step ? this.#answers.get(member)?.digests : undefined;
  }

  /** Asks for the digest of everyone's state after `step` updates; what was asked before is void. */
  askAnew(members: readonly Member[], step: number): void {
    this.clear();
    this.askOthers(members, step);
  }

  /** Asks those who were not asked yet; nobody as long as answers about another step are awaited. */
  askOthers(members: readonly Member[], step: number): void {
    if (step !== this.#step && this.isComparing) return;
    if (step !== this.#step) this.clear();
    this.#step = step;
    for (const member of members) if (!this.#answers.has(member)) this.#ask(member, step);
  }

  /** Takes what `member` says, if that is the answer to what it was asked last. */
  hear(member: Member, ask: number, { weightsDigest, stateDigest }: Digests): void {
    if (this.#answers.get(member)?.ask === ask)
      this.#answers.set(member, { ask, digests: { weightsDigest, stateDigest } });
  }

  /** `member` was given the state of step `step`. */
  given(member: Member, step: number): void {
    this.#agreedSteps.set(member, step);
  }

  /** `member` was given the state that `donor` had. */
  givenBy(member: Member, donor: Member): void {
    this.#agreedSteps.set(member, this.#agreedSteps.get(donor) ?? 0);
  }

  /** `member` says nothing any more. */
  forget(member: Member): void {
    this.#answers.delete(member);
  }

  /** The answers are of a state that is no longer the newest. */
  clear(): void {
    this.#answers.clear();
  }

  /** Compares what was said, if nobody owes an answer. */
  compare(): Split | undefined {
    if (this.isComparing) return undefined;
    const step = this.#step;
    const groups = new Map<string, Member[]>();
    for (const [member, { digests }] of this.#answers) {
      // Who is left behind may answer later, and is compared the next time.
      if (digests === undefined) continue;
      groups.set(digests.stateDigest, [...(groups.get(digests.stateDigest) ?? []), member]);
    }
    const all = [...groups.values()].flat();
    const [most = [], next] = [...groups.values()].sort((a, b) => b.length - a.length);
    if (next === undefined) {
      for (const member of all) this.#agreedSteps.set(member, step);
      return undefined;
    }
    const wrong = most.length > next.length ? all.filter((member) => !most.includes(member)) : [];
    const suspects = wrong.length > 0 ? wrong : all;
    const agreedSteps = suspects.map((member) => this.#agreedSteps.get(member) ?? 0);
    return { wrong, all, agreedStep: Math.min(...agreedSteps) };
  }

  #ask(member: Member, step: number): void {
    const ask = ++this.#askCount;
    this.#answers.set(member, { ask, digests: undefined });
    member.link.sendData({ kind: 'sendDigest', step, ask });
  }
}
