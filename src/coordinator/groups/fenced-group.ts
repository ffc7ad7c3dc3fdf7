/** A generation that is over, while its members answer how far they came. */
import type { Member } from '../../membership/member.ts';
import type { RunPlan } from '../../plan/run-plan.ts';
import type { Pass } from '../steps/pass.ts';
import { type Position, positionOf } from './positions.ts';

/** Who is asked how far it came must get on within this. */
const STUCK_MS = 2_000;
/** Who got on with nothing for so long before it was asked must answer within this. */
const SUSPECT_MS = 700;

/** How a generation ended. */
export interface FenceFacts {
  readonly members: readonly Member[];
  /** What was being added up; absent if a pass was not complete, or steps were granted. */
  readonly pass?: Pass;
  /** Who is known to have the total of `pass`. */
  readonly holders?: readonly Member[];
  /** The last pass of granted steps that was heard of; absent where none were. */
  readonly heard?: number;
  readonly sinceMs: number;
}

/** What the members of a generation have answered; nobody waits for one that is away. */
export class FencedGroup {
  readonly #plan: Pick<RunPlan, 'sumElements' | 'train' | 'job'>;
  readonly #facts: FenceFacts;
  readonly #waiting: Set<Member>;
  readonly #holders: Set<Member>;
  /** How far each came with granted steps. */
  readonly #positions = new Map<Member, Position>();

  constructor(plan: Pick<RunPlan, 'sumElements' | 'train' | 'job'>, facts: FenceFacts) {
    const { members, holders = [] } = facts;
    this.#plan = plan;
    this.#facts = facts;
    this.#waiting = new Set(
      members.filter(({ phase }) => phase === 'active' || phase === 'syncing'),
    );
    this.#holders = new Set(holders);
  }

  /** What was being added up. */
  get pass(): Pass | undefined {
    return this.#facts.pass;
  }

  /** Whether steps were granted. */
  get wasGranted(): boolean {
    return this.#facts.heard !== undefined;
  }

  /** Whether nobody is waited for any more. */
  get isAnswered(): boolean {
    return this.#waiting.size === 0;
  }

  /** Who has the total of `pass`. */
  get holders(): ReadonlySet<Member> {
    return this.#holders;
  }

  /** How far members came with granted steps. */
  get positions(): ReadonlyMap<Member, Position> {
    return this.#positions;
  }

  /** A member answers; false if what it tells of granted steps cannot be. */
  take(member: Member, pass: number | null, notes: Uint8Array): boolean {
    // Who was away meanwhile may have got another state since then.
    if (!this.#waiting.has(member)) return true;
    const { members, heard } = this.#facts;
    if (heard !== undefined) {
      const told = { size: members.length, heard, pass: Math.max(heard, pass ?? -1), notes };
      const position = positionOf(this.#plan, told);
      if (position === undefined) return false;
      this.#positions.set(member, position);
    }
    this.#waiting.delete(member);
    if (this.pass !== undefined && this.pass.spec.id === pass) this.#holders.add(member);
    return true;
  }

  /** A member that has not answered yet says that it has the total of a pass. */
  takeReduced(member: Member, pass: number): void {
    if (this.pass?.spec.id === pass && this.#waiting.has(member)) this.#holders.add(member);
  }

  /** A member is away: what it has is not known. */
  leave(member: Member): void {
    this.#waiting.delete(member);
    this.#holders.delete(member);
  }

  /** Members that owe an answer, and say nothing. */
  overdue(nowMs: number): readonly Member[] {
    const { sinceMs } = this.#facts;
    return [...this.#waiting].filter(({ liveness: { progressMs } }) => {
      const isSuspect = sinceMs - progressMs >= STUCK_MS;
      const patienceMs = isSuspect ? SUSPECT_MS : STUCK_MS;
      return nowMs - Math.max(sinceMs, progressMs) > patienceMs;
    });
  }
}
