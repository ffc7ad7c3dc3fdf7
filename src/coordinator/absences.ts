/** What becomes of the work of members that stall, come back, or are lost. */
import type { Member } from '../membership/member.ts';
import type { Stall } from '../membership/roster-handlers.ts';
import type { Leaving } from './pass-listener.ts';
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
  revived(member: Member): void {
    const { roster, states } = this.#parts;
    // If nothing was committed without it, and nobody else could, its state is still the newest.
    const isOnlyHolder =
      this.#control.pass() === undefined &&
      roster.membersIn('active').length === 0 &&
      !states.isFetching;
    if (isOnlyHolder && states.isNewest(member)) member.activate();
    this.#control.advance();
  }

  /**
   * Time has passed: stalls members that are alive but get nothing done.
   */
  tick(): void {
    const { roster, desk, auditor, states } = this.#parts;
    for (const member of roster.membersIn('active')) {
      const pass = this.#control.pass();
      if (pass === undefined) break;
      const idleMs = desk.stuckMs(member, pass, auditor.isAsked(member.workerId));
      if (idleMs === undefined) continue;
      const reason = `alive, but no progress for ${(idleMs / 1000).toFixed(1)} s`;
      roster.stall(member, 'stuck', idleMs, reason);
    }
    // Nobody is waited for in vain: who owes an answer about its state and sends nothing is
    // stalled.
    for (const { member, silentMs } of states.overdue()) {
      // What it computes comes first, and is looked at above.
      if (this.#control.pass()?.unfinishedOf(member.workerId).length) continue;
      const reason = `alive, but no answer about its state for ${(silentMs / 1000).toFixed(1)} s`;
      roster.stall(member, 'stuck', silentMs, reason);
    }
    this.#control.advance();
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
    const { listeners, roster, states } = this.#parts;
    const { member } = leaving;
    const wasDonor = states.isDonor(member);
    for (const listener of listeners) listener.left?.(leaving);
    if (this.#verdicts.act()) return;
    if (this.#control.pass() !== undefined) {
      if (roster.membersIn('active').length === 0) this.#control.abandon();
      else {
        this.#reissueLeasesOf(member);
        if (wasDonor) states.fetch();
      }
    }
    this.#control.advance();
  }

  #reissueLeasesOf({ workerId, rank }: Member): void {
    const { roster, desk, reporter } = this.#parts;
    const pass = this.#control.pass();
    const free = pass?.revoke(workerId) ?? [];
    if (pass === undefined || free.length === 0) return;
    const { step } = pass.spec;
    reporter.event({ kind: 'micro-batches-reissued', step, fromRank: rank, microBatches: free });
    desk.reissue(pass, free, roster.membersIn('active'));
  }
}
