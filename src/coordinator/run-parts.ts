/** The parts of a run that the coordinator ties together; none of them knows it. */
import type { Clock } from '../base/clock.ts';
import { microBatchesOfStep } from '../data/batches.ts';
import type { Member, MemberPhase } from '../membership/member.ts';
import { Roster } from '../membership/roster.ts';
import type { RosterHandlers } from '../membership/roster-handlers.ts';
import { Auditor } from './auditor.ts';
import { dataLimitsOf } from './steps/check-contribution.ts';
import type { Reach } from '../protocol/messages.ts';
import type { CoordinatorOptions } from './coordinator-options.ts';
import { DataGiver } from './data-giver.ts';
import { Followers } from './states/followers.ts';
import { HandOvers } from './states/hand-overs.ts';
import { Granting } from './groups/granting.ts';
import { LateGradients } from './late-gradients.ts';
import { LeaseDesk } from './lease-desk.ts';
import type { RunEvent } from '../metrics/events.ts';
import type { PassListener } from './steps/pass-listener.ts';
import { EventReporter, type Reporter } from './reporter.ts';
import { PeerGroups } from './groups/peer-groups.ts';
import type { RunPlan } from '../plan/run-plan.ts';
import { Returning } from './states/returning.ts';
import { Replicas } from './states/replicas.ts';
import { StateKeeper } from './states/state-keeper.ts';
import { StandBys } from './groups/stand-bys.ts';
import type { StepControl } from './step-control.ts';
import { StepTimes } from './steps/step-times.ts';
import { Sums } from './steps/sums.ts';
import { Tallies } from './tallies.ts';
import { type Snapshot, Trajectory } from './steps/trajectory.ts';

/** What the coordinator does about members; the rest of what membership tells is reported. */
export type MemberHandlers = Omit<
  RosterHandlers,
  'payloadTarget' | 'onRejected' | 'onDataReceived' | 'onClockJumped'
>;

/** Every mutable field of a run has its owner here. */
export interface RunParts {
  readonly plan: RunPlan;
  readonly clock: Clock;
  readonly roster: Roster;
  /** Present where the run may go on from what workers have. */
  readonly returning: Returning | undefined;
  readonly dataGiver: DataGiver;
  readonly trajectory: Trajectory;
  readonly states: StateKeeper;
  readonly followers: Followers;
  readonly handOvers: HandOvers;
  readonly sums: Sums;
  readonly auditor: Auditor;
  readonly granting: Granting;
  readonly groups: PeerGroups;
  readonly standBys: StandBys;
  readonly desk: LeaseDesk;
  readonly late: LateGradients;
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
  beginning?: Snapshot,
): RunParts {
  const { plan, bytes, clock, onEvent } = options;
  const trajectory = new Trajectory(plan, bytes, beginning);
  const desk = new LeaseDesk(clock, plan, (event) => reporter.event(event));
  const times = new StepTimes();
  const tallies = new Tallies();
  const sums = new Sums(plan.sumElements, plan.packsSums);
  const reporter = options.reporter ?? new EventReporter({ plan, times, emit: onEvent });
  const known = (): number | undefined => returning?.known;
  const roster = createRoster(options, known, {
    ...handlers,
    payloadTarget: (member, kind, byteLength) =>
      kind === 'state'
        ? states.targetFor(member, byteLength)
        : sums.targetFor(member, kind, byteLength),
    onRejected: (rejection) => reporter.rejected(rejection),
    onDataReceived: ({ rank, workerId }, received) =>
      reporter.event({ kind: 'data-received', rank, workerId, ...received }),
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
  const membersIn = (phase: MemberPhase): readonly Member[] => roster.membersIn(phase);
  const handOvers = new HandOvers({ clock, plan, membersIn, newSecret: options.newSession });
  const report = (event: RunEvent): void => reporter.event(event);
  const late = new LateGradients({
    ...{ clock, plan, desk, sums, tallies, membersIn, report },
    followers: () => followers,
    onDue: () => control.advance(),
  });
  const world = { roster, trajectory, desk, late, reporter, sums, replicas, handOvers };
  const followers = createFollowers(options, world, control);
  const states = createStateKeeper(options, { ...world, followers });
  const groups = new PeerGroups({ clock, plan, followers, newSecret: options.newSession, report });
  const standBys = new StandBys({
    clock,
    plan,
    times,
    capacitiesOf: (members) => desk.capacitiesOf(members),
    groups,
    followers,
    report,
  });
  // The times hear everything before those who read them: the reporter, and who decides about
  // stand-bys. Between the others the order does not matter: none looks at what another has made of
  // a fact.
  const accounts = [states, handOvers, groups, sums, auditor, late, desk, tallies, times];
  const listeners = [...accounts, reporter, standBys];
  const ofStates = { trajectory, states, followers, handOvers, sums };
  const evict = (member: Member, reason: string): void => roster.evict(member, reason);
  const { recollection } = options;
  const returning =
    recollection &&
    new Returning({
      ...{ clock, recollection, snapshotStep: trajectory.step, totalSteps: plan.totalSteps },
      members: () => roster.members(),
    });
  const dataGiver = new DataGiver({ clock, source: options.data, evict });
  const parts = { plan, clock, roster, returning, dataGiver, ...ofStates, auditor, desk, late };
  const { microBatchCount } = microBatchesOfStep(plan.train, 0);
  const granting = new Granting({
    plan,
    clock,
    trajectory,
    times,
    states,
    followers,
    sums,
    isAwaited: () => standBys.isDue,
    sharesOf: (members, step) => desk.sharesOf(members, microBatchCount, step),
    membersIn,
  });
  return { ...parts, granting, groups, standBys, tallies, times, reporter, listeners };
}

/** Workers of one machine, whose doors nobody else reaches. */
const NEARBY: Reach = { isOpen: false, key: null };

function createRoster(
  { plan, bytes, clock, timing, newSession, reach = NEARBY, data }: CoordinatorOptions,
  known: () => number | undefined,
  handlers: RosterHandlers,
): Roster {
  const { job } = plan;
  const { jobFiles } = bytes;
  const dataLimits = dataLimitsOf(plan);
  const offer = data && { offer: data.offer };
  const about = { clock, timing, job, jobFiles, dataLimits, newSession, reach, ...offer, known };
  return new Roster(about, handlers);
}

/** Who says which state it has. */
interface Compared {
  readonly replicas: Replicas;
}

type OfFollowers = 'roster' | 'trajectory' | 'desk' | 'late' | 'reporter' | 'sums' | 'handOvers';

function createFollowers(
  { clock }: CoordinatorOptions,
  parts: Pick<RunParts, OfFollowers> & Compared,
  control: StepControl,
): Followers {
  const { roster, trajectory, desk, late, reporter, sums, handOvers, replicas } = parts;
  return new Followers({
    clock,
    sums,
    handOvers,
    standing: () => trajectory,
    membersIn: (phase) => roster.membersIn(phase),
    isFree: (member) => desk.isFree(member) && !late.owes(member),
    onGiven: (member, step) => replicas.given(member, step),
    onGivenBy: (member, donor) => replicas.givenBy(member, donor),
    onActive: (member, giver) => {
      late.giveUp(member);
      const pass = control.pass();
      if (pass !== undefined) desk.admit(pass, member, roster.membersIn('active'));
      reporter.joined(member, trajectory.step, roster.membersIn('active'), giver);
    },
    onOvertaken: ({ rank }, triedMs, retryMs) => {
      const { step } = trajectory;
      reporter.event({ kind: 'worker-overtaken', step, rank, triedMs, retryMs });
    },
    onRead: () => {
      if (control.pass() === undefined) control.advance();
    },
  });
}

function createStateKeeper(
  { plan, clock, onAsked, onKept }: CoordinatorOptions,
  parts: Pick<RunParts, 'roster' | 'trajectory' | 'followers' | 'reporter'> & Compared,
): StateKeeper {
  const { roster, trajectory, followers, reporter, replicas } = parts;
  return new StateKeeper({
    plan,
    clock,
    trajectory,
    followers,
    replicas,
    onAsked,
    onKept,
    membersIn: (phase) => roster.membersIn(phase),
    onRolledBack: (rollback) =>
      reporter.event({ kind: 'rolled-back', ...rollback, reason: 'lost' }),
  });
}
