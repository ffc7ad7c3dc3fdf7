/**
 * What follows from audits: who computed wrong is banned, and where audits are on, the steps that it
 * had a part in are undone. A worker that is alone and wrong is told of, and computes the step again.
 */
import { RuntimeError } from '../base/errors.ts';
import type { Member } from '../membership/member.ts';
import { isFiniteRecord } from '../plan/gradient-outliers.ts';
import type { MicroBatchRecord } from '../protocol/messages.ts';
import type { Finding } from './audit-case.ts';
import type { RunParts } from './run-parts.ts';
import type { StepControl } from './step-control.ts';

/** A worker that is alone may get another result than before so often in one step. */
const MAX_UNREPEATED = 3;

/** Acts on what the auditor finds. */
export class Verdicts {
  readonly #parts: RunParts;
  readonly #control: StepControl;
  /** Results that a worker that was alone did not get again, in the step that they were of. */
  #unrepeated = { step: -1, count: 0 };

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
    const unrepeated = findings.find(({ kind }) => kind === 'unrepeated');
    if (unrepeated !== undefined) return this.#computeAgain(unrepeated);
    if (findings.length > 0) this.#distrust(findings);
    this.#control.advance();
  }

  /** Nobody could take the place of who computed wrong: the step is computed anew. */
  #computeAgain(finding: Finding): void {
    const { trajectory, reporter } = this.#parts;
    const { step } = trajectory;
    const { microBatch } = finding;
    const count = this.#unrepeated.step === step ? this.#unrepeated.count + 1 : 1;
    this.#unrepeated = { step, count };
    if (count > MAX_UNREPEATED) return this.#control.fail(unrepeatedError(finding, step));
    for (const { workerId, rank } of finding.opinions) {
      const reason =
        `its result of micro-batch ${microBatch} was not a number, and when it computed it again ` +
        'it was one: that machine computes wrong now and then';
      reporter.event({ kind: 'result-not-repeated', rank, workerId, step, microBatch, reason });
    }
    this.#control.abandon();
    this.#undo([]);
    this.#control.advance();
  }

  /** Bans whoever computed wrong, and goes back to a state that has nothing of theirs. */
  #distrust(findings: readonly Finding[]): void {
    const { roster, trajectory, reporter, auditor } = this.#parts;
    const { step } = trajectory;
    const wrong = new Map(
      findings.flatMap(({ microBatch, opinions }) =>
        opinions.map((o) => [o.workerId, { ...o, microBatch }]),
      ),
    );
    this.#control.abandon();
    for (const { workerId, rank, microBatch, record } of wrong.values()) {
      const reason = isFiniteRecord(record)
        ? `two other workers agree on another gradient of micro-batch ${microBatch} than it ` +
          'computed'
        : `its result of micro-batch ${microBatch} was not a number, and another worker's was`;
      reporter.event({ kind: 'worker-distrusted', rank, workerId, step, microBatch, reason });
      roster.ban(workerId, `it computed wrong gradients in this run: ${reason}`);
    }
    // Without audits nobody has promised anything of earlier steps, and nothing speaks against them.
    this.#undo(auditor.isOn ? [...wrong.keys()] : []);
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

function unrepeatedError({ microBatch, opinions }: Finding, step: number): RuntimeError {
  const ranks = opinions.map(({ rank }) => rank);
  return new RuntimeError(
    `step ${step}, micro-batch ${microBatch}: rank ${ranks.join()} computed what is not a number, ` +
      `and numbers when it computed the same again, and so each time of ${MAX_UNREPEATED + 1}. ` +
      'Its machine is broken: check its memory and its cooling, or use another one.',
    { step, microBatch, ranks },
  );
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
