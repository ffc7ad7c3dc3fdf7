/**
 * Workers whose links make steps longer than they would be without them stand by: they take no
 * part, and are there when others are lost. That it was right is measured afterwards, and whoever
 * stands by is tried again later.
 */
import type { Clock } from '../../base/clock.ts';
import { microBatchesOfStep } from '../../data/batches.ts';
import type { Member } from '../../membership/member.ts';
import type { RankStep, RunEvent } from '../../metrics/events.ts';
import type { RunPlan } from '../../plan/run-plan.ts';
import type { Capacity } from '../../plan/shares.ts';
import { type StepParty, worthLeavingOut } from '../../plan/worth.ts';
import type { Followers } from '../states/followers.ts';
import type { BegunPass, CompletedPass, Leaving, PassListener } from '../steps/pass-listener.ts';
import type { StepTimes } from '../steps/step-times.ts';
import type { PeerGroups } from './peer-groups.ts';

/** What steps take is the shortest of so many, which last so long together. */
const STEPS = 2;
const WINDOW_MS = 100;
/** Steps without those who stand by are at most so long, in proportion; else it was wrong. */
const BETTER = 0.95;
/** Who stands by is tried again after this, and after twice as long each time. */
const REST_MS = 60_000;
/** Or so many times what trying it has taken. */
const REST_SHARE = 20;
/** Where leaving out was wrong nobody is left out for so long, and for twice as long each time. */
const CALM_MS = 300_000;
const MAX_PAUSE_MS = 3_600_000;

/** What this needs to know, and whom it tells. */
export interface StandBysOptions {
  readonly clock: Clock;
  readonly plan: Pick<RunPlan, 'train' | 'units' | 'auditRate' | 'balance' | 'closing'>;
  readonly times: Pick<StepTimes, 'lastStep'>;
  /** What is known of the speeds of members. */
  readonly capacitiesOf: (members: readonly Member[]) => readonly Capacity[];
  readonly groups: Pick<PeerGroups, 'predictMs' | 'reachMs'>;
  readonly followers: Pick<Followers, 'leaveOut' | 'recall'>;
  readonly report: (event: RunEvent) => void;
}

type Party = StepParty & { readonly member: Member };

/** What is to be done once no pass is under way. */
type Decision =
  | {
      readonly kind: 'leave-out';
      readonly members: readonly Member[];
      readonly stepMs: number;
      readonly predictedMs: number;
    }
  | { readonly kind: 'recall' };

/** Decides who stands by. */
export class StandBys implements PassListener {
  readonly #options: StandBysOptions;
  readonly #isOn: boolean;
  /** Who takes part in the steps, and what each of the last ones took. */
  #members: readonly Member[] = [];
  #steps: { readonly stepMs: number; readonly ranks: readonly RankStep[] }[] = [];
  #decision: Decision | undefined;
  /** Who stands by. */
  readonly #standing = new Set<Member>();
  /** What steps took with those who stand by, as long as it is not known what they take without. */
  #beforeMs: number | undefined;
  #calm = { untilMs: 0, pauseMs: CALM_MS };
  readonly #rests = new WeakMap<Member, { readonly untilMs: number; readonly pauseMs: number }>();

  constructor(options: StandBysOptions) {
    this.#options = options;
    const { auditRate, units, balance, closing } = options.plan;
    this.#isOn =
      balance?.policy === 'adaptive' &&
      !balance.keepsAll &&
      auditRate === 0 &&
      closing === undefined &&
      units.lanesPerPart === 'one';
  }

  /** Whether `act` would do something. */
  get isDue(): boolean {
    return this.#decision !== undefined;
  }

  begun({ pass, members, nowMs }: BegunPass): void {
    if (pass.spec.work !== 'train') return;
    const isSame =
      members.length === this.#members.length && members.every((m) => this.#members.includes(m));
    if (isSame) return;
    // Steps of more workers than were left do not tell whether that was right.
    if (members.length > this.#members.length) this.#beforeMs = undefined;
    this.#members = members;
    this.#startAnew();
    const back = members.filter((member) => this.#standing.delete(member));
    if (back.length === 0) return;
    for (const member of back) {
      const { pauseMs } = this.#rests.get(member) ?? { pauseMs: REST_MS };
      this.#rests.set(member, { untilMs: nowMs, pauseMs });
    }
    this.#options.report({
      kind: 'workers-taken-back',
      step: pass.spec.step,
      ranks: ranksOf(back),
    });
  }

  completed({ outcome, nowMs }: CompletedPass): void {
    if (!this.#isOn || outcome.kind !== 'commit' || this.#decision !== undefined) return;
    const { stepMs, ranks } = this.#options.times.lastStep;
    this.#steps.push({ stepMs, ranks });
    const elapsedMs = this.#steps.reduce((sum, step) => sum + step.stepMs, 0);
    if (this.#steps.length < STEPS || elapsedMs < WINDOW_MS) return;
    this.#decision = this.#decide(nowMs);
    this.#steps = [];
  }

  /** Who is lost may be why others stand by: all are asked back. */
  left({ member }: Leaving): void {
    this.#standing.delete(member);
    if (this.#members.includes(member)) this.#recall();
  }

  undone(): void {
    this.#startAnew();
  }

  /** Does what was decided; to be called between two passes. */
  act(step: number): void {
    const decision = this.#decision;
    if (decision === undefined) return;
    this.#startAnew();
    if (decision.kind === 'recall') this.#recall();
    else this.#leaveOut(decision, step);
  }

  #decide(nowMs: number): Decision | undefined {
    const stepMs = Math.min(...this.#steps.map((step) => step.stepMs));
    if (this.#beforeMs !== undefined) {
      const isBetter = stepMs <= BETTER * this.#beforeMs;
      this.#beforeMs = undefined;
      if (isBetter) return undefined;
      const { pauseMs } = this.#calm;
      this.#calm = { untilMs: nowMs + pauseMs, pauseMs: Math.min(MAX_PAUSE_MS, 2 * pauseMs) };
      return { kind: 'recall' };
    }
    if (nowMs < this.#calm.untilMs) return undefined;
    const { plan, groups } = this.#options;
    const saving = worthLeavingOut(
      stepMs,
      microBatchesOfStep(plan.train, 0).microBatchCount,
      this.#parties(),
      {
        sumMs: (parties) => groups.predictMs(parties.map(({ member }) => member)),
        reachMs: (parties) => groups.reachMs(parties.map(({ member }) => member)),
      },
    );
    if (saving === undefined) return undefined;
    const members = saving.leftOut.map(({ member }) => member);
    return { kind: 'leave-out', members, stepMs, predictedMs: saving.predictedMs };
  }

  #parties(): Party[] {
    const capacities = this.#options.capacitiesOf(this.#members);
    return this.#members.map((member, i) => {
      const capacity = capacities[i] ?? { lanes: 1, microBatchMs: undefined };
      const { lanes, microBatchMs = 0 } = capacity;
      const besides = this.#steps.flatMap(({ ranks }) => {
        const part = ranks.find(({ rank }) => rank === member.rank);
        if (part === undefined) return [];
        return [part.computeMs - Math.ceil(part.microBatches / Math.max(1, lanes)) * microBatchMs];
      });
      const stepFixedMs = besides.length === 0 ? 0 : Math.max(0, Math.min(...besides));
      return { ...capacity, host: member.hello.host, stepFixedMs, member };
    });
  }

  #leaveOut({ members, ...times }: Decision & { readonly kind: 'leave-out' }, step: number): void {
    const { clock, followers, report } = this.#options;
    const there = members.filter(({ phase }) => phase === 'active');
    if (there.length < members.length) return;
    const nowMs = clock.now();
    let retryMs = 0;
    for (const member of members) {
      const pauseMs = this.#restOf(member, nowMs);
      retryMs = Math.max(retryMs, pauseMs);
      this.#rests.set(member, {
        untilMs: nowMs + pauseMs,
        pauseMs: Math.min(MAX_PAUSE_MS, 2 * pauseMs),
      });
      this.#standing.add(member);
      followers.leaveOut(member, nowMs + pauseMs);
    }
    this.#beforeMs = times.stepMs;
    const { stepMs, predictedMs } = times;
    report({
      kind: 'workers-left-out',
      step,
      ranks: ranksOf(members),
      stepMs,
      predictedMs,
      retryMs,
    });
  }

  /** How long `member`, who was tried since it last stood by, is to stand by now. */
  #restOf(member: Member, nowMs: number): number {
    const { untilMs, pauseMs } = this.#rests.get(member) ?? {
      untilMs: member.welcomedMs,
      pauseMs: REST_MS,
    };
    return Math.min(MAX_PAUSE_MS, Math.max(pauseMs, REST_SHARE * (nowMs - untilMs)));
  }

  #recall(): void {
    for (const member of this.#standing) this.#options.followers.recall(member);
  }

  #startAnew(): void {
    this.#steps = [];
    this.#decision = undefined;
  }
}

function ranksOf(members: readonly Member[]): number[] {
  return members.map(({ rank }) => rank).sort((a, b) => a - b);
}
