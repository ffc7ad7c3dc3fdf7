/** The parts of a run that the coordinator ties together; none of them knows it. */
import type { Clock } from '../base/clock.ts';
import type { Member, MemberPhase } from '../membership/member.ts';
import { Roster } from '../membership/roster.ts';
import type { RosterHandlers } from '../membership/roster-handlers.ts';
import { Auditor } from './auditor.ts';
import { dataLimitsOf } from './check-contribution.ts';
import type { CoordinatorOptions } from './coordinator-options.ts';
import { Followers } from './followers.ts';
import { Granting } from './granting.ts';
import { LeaseDesk } from './lease-desk.ts';
import type { PassListener } from './pass-listener.ts';
import { EventReporter, type Reporter } from './reporter.ts';
import type { RunPlan } from '../plan/run-plan.ts';
import { Replicas } from './replicas.ts';
import { StateKeeper } from './state-keeper.ts';
import type { StepControl } from './step-control.ts';
import { StepTimes } from './step-times.ts';
import { Sums } from './sums.ts';
import { Tallies } from './tallies.ts';
import { Trajectory } from './trajectory.ts';

/** What the coordinator does about members; the rest of what membership tells is reported. */
export type MemberHandlers = Omit<RosterHandlers, 'payloadTarget' | 'onRejected' | 'onClockJumped'>;

/** Every mutable field of a run has its owner here. */
export interface RunParts {
  readonly plan: RunPlan;
  readonly clock: Clock;
  readonly roster: Roster;
  readonly trajectory: Trajectory;
  readonly states: StateKeeper;
  readonly followers: Followers;
  readonly sums: Sums;
  readonly auditor: Auditor;
  readonly granting: Granting;
  readonly desk: LeaseDesk;
  readonly tallies: Tallies;
  readonly times: StepTimes;
  readonly reporter: Reporter;
  /** Those who hear what happens to passes, in the order in which they are told. */
  readonly listeners: readonly PassListener[];
}

/** Makes the parts of a run. */
export function createRunParts(
  options: CoordinatorOptions,
  handlers: MemberHandlers,
  control: StepControl,
  initialState?: Uint8Array,
): RunParts {
  const { plan, bytes, clock, onEvent } = options;
  const trajectory = new Trajectory(plan, bytes, initialState);
  const desk = new LeaseDesk(clock, plan);
  const times = new StepTimes();
  const tallies = new Tallies();
  const sums = new Sums(plan.sumElements);
  const reporter = options.reporter ?? new EventReporter({ plan, times, emit: onEvent });
  const roster = createRoster(options, {
    ...handlers,
    payloadTarget: (member, kind, byteLength) => {
      if (kind === 'state') states.beginTaking(member);
      return sums.targetFor(member, kind, byteLength);
    },
    onRejected: (rejection) => reporter.rejected(rejection),
    onClockJumped: ({ rank, workerId }, jumpMs) => {
      const { step } = trajectory;
      reporter.event({ kind: 'clock-jumped', rank, workerId, step, jumpMs });
    },
  });
  const auditor = new Auditor({
    clock,
    rate: plan.auditRate,
    seed: plan.job.seed,
    totalSteps: plan.totalSteps,
    active: () => roster.membersIn('active'),
  });
  const replicas = new Replicas();
  const world = { roster, trajectory, desk, reporter, sums, replicas };
  const followers = createFollowers(options, world, control);
  const states = createStateKeeper(options, { ...world, followers });
  // The times hear everything before the reporter does, which reads them. Between the others the
  // order does not matter: none looks at what another has made of a fact.
  const listeners = [states, sums, auditor, desk, tallies, times, reporter];
  const parts = { plan, clock, roster, trajectory, states, followers, sums, auditor, desk };
  const membersIn = (phase: MemberPhase): readonly Member[] => roster.membersIn(phase);
  const granting = new Granting({
    plan,
    clock,
    trajectory,
    times,
    states,
    followers,
    sums,
    membersIn,
  });
  return { ...parts, granting, tallies, times, reporter, listeners };
}

function createRoster(
  { plan, bytes, clock, timing, newSession }: CoordinatorOptions,
  handlers: RosterHandlers,
): Roster {
  const { job } = plan;
  const { jobFiles } = bytes;
  const dataLimits = dataLimitsOf(plan);
  return new Roster({ clock, timing, job, jobFiles, dataLimits, newSession }, handlers);
}

/** Who says which state it has. */
interface Compared {
  readonly replicas: Replicas;
}

function createFollowers(
  { clock }: CoordinatorOptions,
  parts: Pick<RunParts, 'roster' | 'trajectory' | 'desk' | 'reporter' | 'sums'> & Compared,
  control: StepControl,
): Followers {
  const { roster, trajectory, desk, reporter, sums, replicas } = parts;
  return new Followers({
    clock,
    sums,
    standing: () => trajectory,
    membersIn: (phase) => roster.membersIn(phase),
    isFree: (member) => desk.isFree(member),
    onGiven: (member, step) => replicas.given(member, step),
    onActive: (member) => {
      const pass = control.pass();
      if (pass !== undefined) desk.admit(pass, member, roster.membersIn('active'));
      reporter.joined(member, trajectory.step, roster.membersIn('active'));
    },
    onRead: () => {
      if (control.pass() === undefined) control.advance();
    },
  });
}

function createStateKeeper(
  { plan, clock }: CoordinatorOptions,
  parts: Pick<RunParts, 'roster' | 'trajectory' | 'followers' | 'reporter'> & Compared,
): StateKeeper {
  const { roster, trajectory, followers, reporter, replicas } = parts;
  return new StateKeeper({
    plan,
    clock,
    trajectory,
    followers,
    replicas,
    membersIn: (phase) => roster.membersIn(phase),
    onRolledBack: (rollback) =>
      reporter.event({ kind: 'rolled-back', ...rollback, reason: 'lost' }),
  });
}
