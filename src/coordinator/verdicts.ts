/**
 * What follows from audits: who computed wrong is banned, and the steps that it had a part in are
 * undone.
 */
import { RuntimeError } from '../base/errors.ts';
import type { Member } from '../membership/member.ts';
import type { MicroBatchRecord } from '../protocol/messages.ts';
import type { Finding } from './auditor.ts';
import type { RunParts } from './run-parts.ts';
import type { StepControl } from './step-control.ts';

/** Acts on what the auditor finds. */
export class Verdicts {
  readonly #parts: RunParts;
  readonly #control: StepControl;

  constructor(parts: RunParts, control: StepControl) {
    this.#parts = parts;
    this.#control = control;
  }

  /** A member answers what it was asked in pass `passId`. */
  take(member: Member, passId: number, records: readonly MicroBatchRecord[]): void {
    const { clock, auditor } = this.#parts;
    if (this.#control.pass()?.spec.id !== passId || member.phase !== 'active') return;
    member.liveness.restartPatience(clock.now());
    auditor.answered(member, records);
    this.consider(auditor.takeFindings());
  }

  /** Acts on findings; then the pass may be complete. */
  consider(findings: readonly Finding[]): void {
    const disputed = findings.find(({ kind }) => kind === 'disputed');
    if (disputed !== undefined)
      return this.#control.fail(disputeError(disputed, this.#parts.trajectory.step));
    if (findings.length > 0) this.#distrust(findings);
    this.#control.advance();
  }

  /** Bans whoever computed wrong, and goes back to a state that has nothing of theirs. */
  #distrust(findings: readonly Finding[]): void {
    const { roster, trajectory, reporter } = this.#parts;
    const { step } = trajectory;
    const wrong = new Map(
      findings.flatMap(({ microBatch, opinions }) =>
        opinions.map((o) => [o.workerId, { ...o, microBatch }]),
      ),
    );
    this.#control.abandon();
    for (const { workerId, rank, microBatch } of wrong.values()) {
      const reason =
        `two other workers agree on another gradient of micro-batch ${microBatch} than it ` +
        'computed';
      reporter.event({ kind: 'worker-distrusted', rank, workerId, step, microBatch, reason });
      roster.ban(workerId, `it computed wrong gradients in this run: ${reason}`);
    }
    this.#undo([...wrong.keys()]);
    for (const member of roster.members())
      if (wrong.has(member.workerId)) roster.evict(member, 'it computed wrong gradients');
  }

  #undo(workerIds: readonly string[]): void {
    const { clock, listeners, states } = this.#parts;
    const rollback = states.undo(workerIds);
    if (rollback === undefined) return;
    const nowMs = clock.now();
    for (const listener of listeners) listener.undone?.({ ...rollback, nowMs });
  }
}

function disputeError({ microBatch, opinions }: Finding, step: number): RuntimeError {
  const ranks = opinions.map(({ rank }) => rank);
  return new RuntimeError(
    `step ${step}, micro-batch ${microBatch}: ranks ${ranks.join(' and ')} compute different ` +
      'gradients, and no other worker is there to tell who is right. Nothing of this step was ' +
      'applied. Add a worker, or find out which machine is broken.',
    { step, microBatch, ranks },
  );
}
