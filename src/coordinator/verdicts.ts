/**
 * What follows from audits: who computed wrong is banned, and where audits are on, the steps that it
 * had a part in are undone. A worker that is alone and wrong is told of, and computes the step again.
 */
import { RuntimeError } from '../base/errors.ts';
import type { Member } from '../membership/member.ts';
import { isFiniteRecord } from '../plan/gradient-outliers.ts';
import type { RunEvent } from '../metrics/events.ts';
import type { MicroBatchRecord } from '../protocol/messages.ts';
import type { Finding } from './audit-case.ts';
import type { UndoneSteps } from './steps/pass-listener.ts';
import type { Split } from './states/replicas.ts';
import type { RunParts } from './run-parts.ts';
import type { Rollback } from './states/state-keeper.ts';
import type { StepControl } from './step-control.ts';

/** A worker that is alone may get another result than before so often in one step. */
const MAX_UNREPEATED = 3;

/** Replicas may differ so often, with nobody to tell who is wrong, before the run gets any further. */
const MAX_SPLITS = 3;

/** Acts on what the auditor finds, and on replicas that differ. */
export class Verdicts {
  readonly #parts: RunParts;
  readonly #control: StepControl;
  /** Results that a worker that was alone did not get again, in the step that they were of. */
  #unrepeated = { step: -1, count: 0 };
  /** How often replicas differed, up to the farthest step at which they last did. */
  #splits = { step: -1, count: 0 };

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
    this.actOrAdvance();
  }

  /** Acts on what was found, or begins or finishes whatever can be now. */
  actOrAdvance(): void {
    if (!this.act()) this.#control.advance();
  }

  /** Acts on what was found; whether anything was. */
  act(): boolean {
    if (this.#control.isOver()) return true;
    const { auditor, states } = this.#parts;
    const findings = auditor.takeFindings();
    if (findings.length > 0) {
      this.#consider(findings);
      return true;
    }
    const split = states.compare();
    if (split !== undefined) this.#reunite(split);
    return split !== undefined;
  }

  #consider(findings: readonly Finding[]): void {
    const disputed = findings.find(({ kind }) => kind === 'disputed');
    if (disputed !== undefined)
      return this.#control.fail(disputeError(disputed, this.#parts.trajectory.step));
    const unrepeated = findings.find(({ kind }) => kind === 'unrepeated');
    if (unrepeated !== undefined) return this.#computeAgain(unrepeated);
    this.#distrust(findings);
    this.#control.advance();
  }

  /**
   * Replicas differ: the steps since they were equal are computed again, without those who have
   * another state than most. Where nobody is most, everyone gets the state of then.
   */
  #reunite({ wrong, all, agreedStep }: Split): void {
    const { trajectory, reporter, states } = this.#parts;
    const { step } = trajectory;
    this.#control.abandon();
    if (wrong.length > 0) {
      const others = all.length - wrong.length;
      const reason =
        `after step ${step} it has other weights than ${others} others, who agree: its memory ` +
        'is broken, or it missed an update';
      for (const { workerId, rank } of wrong) this.#ban({ workerId, rank, step, reason });
      this.#tell(states.undo(agreedStep), 'distrusted');
      for (const member of wrong) this.#parts.roster.evict(member, 'it has other weights');
      return this.#control.advance();
    }
    const ranks = all.map(({ rank }) => rank);
    const count = step <= this.#splits.step ? this.#splits.count + 1 : 1;
    this.#splits = { step, count };
    if (count > MAX_SPLITS) return this.#control.fail(splitError(ranks, step));
    reporter.event({ kind: 'replicas-differ', step, ranks });
    this.#tell(states.giveAnew(agreedStep), 'differing');
    this.#control.advance();
  }

  /** Nobody could take the place of who computed wrong: the step is computed anew. */
  #computeAgain(finding: Finding): void {
    const { trajectory, reporter, states } = this.#parts;
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
    states.undo(step);
    this.#control.advance();
  }

  /** Bans whoever computed wrong, and goes back to a state that has nothing of theirs. */
  #distrust(findings: readonly Finding[]): void {
    const { roster, trajectory, auditor, states } = this.#parts;
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
      this.#ban({ workerId, rank, step, microBatch, reason });
    }
    // Without audits nobody has promised anything of earlier steps, and nothing speaks against them.
    const trusted = auditor.isOn ? states.trustedStep([...wrong.keys()]) : step;
    this.#tell(states.undo(trusted), 'distrusted');
    for (const member of roster.members())
      if (wrong.has(member.workerId)) roster.evict(member, 'it computed wrong gradients');
  }

  #ban(distrusted: Omit<Extract<RunEvent, { kind: 'worker-distrusted' }>, 'kind'>): void {
    const { roster, reporter } = this.#parts;
    reporter.event({ kind: 'worker-distrusted', ...distrusted });
    roster.ban(distrusted.workerId, `it computed wrong in this run: ${distrusted.reason}`);
  }

  #tell(rollback: Rollback | undefined, reason: UndoneSteps['reason']): void {
    const { clock, listeners } = this.#parts;
    if (rollback === undefined) return;
    const nowMs = clock.now();
    for (const listener of listeners) listener.undone?.({ ...rollback, reason, nowMs });
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

function splitError(ranks: readonly number[], step: number): RuntimeError {
  return new RuntimeError(
    `step ${step}: ranks ${ranks.join(' and ')} have different weights after the same updates, ` +
      `${MAX_SPLITS + 1} times in a row, and no other worker is there to tell who is right. Add a ` +
      'worker, or find out which machine is broken.',
    { step, ranks },
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
