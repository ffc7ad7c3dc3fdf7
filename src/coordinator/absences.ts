/** What becomes of the work of members that stall, come back, or are lost. */
import type { Member } from '../membership/member.ts';
import type { Stall } from '../membership/roster-handlers.ts';
import type { Leaving } from './steps/pass-listener.ts';
import type { RunParts } from './run-parts.ts';
import type { StepControl } from './step-control.ts';
import type { Verdicts } from './verdicts.ts';

/** Gives the work of absent members to others, and notices members that get nothing done. */
export class Absences {
  readonly #parts: RunParts;
  readonly #verdicts: Verdicts;
  readonly #control: StepControl;

  constructor(parts: RunParts, verdicts: Verdicts, control: StepControl) {
    this.#parts = parts;
    this.#verdicts = verdicts;
    this.#control = control;
  }

  /** A member is silent or stuck. */
  stalled(member: Member, stall: Stall): void {
    this.#leave({ how: 'stalled', member, step: this.#parts.trajectory.step, ...stall });
  }

  /** A member's connections have ended. */
  lost(member: Member, reason: string): void {
    if (this.#control.isOver()) return;
    this.#leave({ how: 'lost', member, step: this.#parts.trajectory.step, reason });
  }

  /** A stalled member shows life again. */
  revived(): void {
    this.#parts.granting.resume();
    this.#control.advance();
  }

  /**
   * Time has passed: what late members hold is given to others, too, and members that are alive but
   * get nothing done are stalled.
   */
  tick(): void {
    this.#leaveLateBehind();
    this.#stallStuck();
    const { roster, states, followers, handOvers, groups } = this.#parts;
    // Nobody is waited for in vain: who owes an answer about its state and sends nothing is
    // stalled.
    for (const { member, silentMs } of states.overdue()) {
      // What it computes comes first, and is looked at above.
      if (this.#control.pass()?.unfinishedOf(member.workerId).length) continue;
      const reason = `alive, but no answer about its state for ${(silentMs / 1000).toFixed(1)} s`;
      roster.stall(member, 'stuck', silentMs, reason);
    }
    for (const member of groups.overdue())
      roster.stall(member, 'stuck', 0, 'alive, but does not say how far it came with adding up');
    if (groups.problem() !== undefined) this.#control.leaveGroup();
    this.#leaveIdleGroup();
    handOvers.expire();
    for (const { member, silentMs } of followers.overdue()) {
      const reason = `alive, but reads nothing of the state for ${(silentMs / 1000).toFixed(1)} s`;
      roster.stall(member, 'stuck', silentMs, reason);
    }
    this.#control.advance();
  }

  /** Sees to it that somebody who is waited for computes each micro-batch of the pass. */
  cover(from: Member): void {
    const { roster, desk, granting, reporter } = this.#parts;
    const pass = this.#control.pass();
    const active = roster.membersIn('active');
    // What a group has not committed of granted steps is computed anew.
    if (pass === undefined || active.length === 0 || granting.group !== undefined) return;
    const uncovered = pass.uncoveredBy(active.map(({ workerId }) => workerId));
    if (uncovered.length === 0) return;
    const { step } = pass.spec;
    const fromRank = from.rank;
    reporter.event({ kind: 'micro-batches-reissued', step, fromRank, microBatches: uncovered });
    desk.reissue(pass, uncovered, active);
  }

  /** A group that was granted steps, and does not get on with adding up, is over. */
  #leaveIdleGroup(): void {
    const { granting, groups } = this.#parts;
    const pass = this.#control.pass();
    const problem = pass && granting.problemWith(pass);
    if (problem === undefined || groups.isFencing) return;
    groups.distrust(problem);
    this.#control.leaveGroup();
  }

  #leaveLateBehind(): void {
    const { roster, desk, followers, groups } = this.#parts;
    const pass = this.#control.pass();
    if (pass === undefined) return;
    const late = desk.late(pass, roster.membersIn('active'));
    if (late.some((member) => groups.has(member))) this.#control.leaveGroup();
    for (const member of late) {
      followers.leaveBehind(member);
      this.cover(member);
    }
  }

  #stallStuck(): void {
    const { roster, desk, late, auditor } = this.#parts;
    const active = roster.membersIn('active');
    for (const member of [...active, ...roster.membersIn('syncing')]) {
      const pass = this.#control.pass();
      if (pass === undefined) return;
      const isAnyIdle = active.some((m) => pass.unfinishedOf(m.workerId).length === 0);
      const owesOther = auditor.isAsked(member.workerId) || late.owes(member);
      const facts = { owesOther, isAnyIdle };
      const idleMs = desk.stuckMs(member, pass, facts);
      if (idleMs === undefined) continue;
      const reason = `alive, but no progress for ${(idleMs / 1000).toFixed(1)} s`;
      roster.stall(member, 'stuck', idleMs, reason);
    }
  }

  /**
   * All totals are on their way to somebody, so that no pass can begin. A slow worker's flush lets
   * it; one that is stalled with totals in its queue may never flush, and must join anew.
   */
  evictClogged(): void {
    const { roster } = this.#parts;
    for (const member of roster.membersIn('stalled'))
      if (member.link.queuedBytes > 0) roster.evict(member, 'stalled with totals in its queue');
  }

  /** A member can no longer do what it was to do: others take over. */
  #leave(leaving: Leaving): void {
    const { granting, groups, listeners, roster, states } = this.#parts;
    const { member } = leaving;
    if (groups.has(member)) this.#control.leaveGroup();
    const wasDonor = states.isDonor(member);
    for (const listener of listeners) listener.left?.(leaving);
    if (this.#verdicts.act()) return;
    if (this.#control.pass() !== undefined) {
      if (leaving.how === 'lost') this.#control.pass()?.revoke(member.workerId);
      // Who was granted steps computes them by itself, if it only comes back.
      if (granting.holder === member && leaving.how === 'stalled') return this.#control.advance();
      if (roster.membersIn('active').length === 0) this.#control.abandon();
      else {
        this.cover(member);
        if (wasDonor) states.fetch();
      }
    }
    this.#control.advance();
  }
}
