/** What happens to a run and when, drawn from a seed: a schedule can be run again by its seed. */
import { Choices } from '../simulation/choices.ts';
import type { CollectiveChoice } from '../../src/collectives/body-names.ts';
import { PROMISE } from './runs.ts';

/** Something that is done to a run. Workers are counted from 0 in the order of their start. */
export type Disturbance =
  | { readonly kind: 'kill' | 'leave' | 'reset'; readonly worker: number }
  | { readonly kind: 'freeze'; readonly worker: number; readonly forMs: number }
  | {
      readonly kind: 'partition';
      readonly worker: number;
      /** Which way nothing passes between worker and coordinator. */
      readonly lost: 'up' | 'down' | 'both';
      readonly forMs: number;
    }
  | { readonly kind: 'freeze-coordinator'; readonly forMs: number }
  | { readonly kind: 'join' };

/** The name of a disturbance. */
export type DisturbanceKind = Disturbance['kind'];

/** A disturbance and its time: when so many steps are done, or so long after the one before. */
export interface Timed {
  readonly step: number;
  readonly withinMs: number;
  readonly what: Disturbance;
}

/** A run and all that happens to it. */
export interface Schedule {
  readonly seed: number;
  /** With which it begins. */
  readonly workers: number;
  /** Of each worker. */
  readonly lanes: 1 | 2;
  readonly collective: CollectiveChoice;
  /** The coordinator leads every step: none is granted, since the run is to stop when it diverges. */
  readonly isLed: boolean;
  readonly isAudited: boolean;
  /** Workers come through a door that wants a key, and are known to each other by one. */
  readonly isSecured: boolean;
  readonly events: readonly Timed[];
}

/** What all of them train, disturbed or not: an evaluation in its midst, and one at the end. */
export const SCHEDULED: readonly string[] = [...PROMISE, '--eval-every', '120'];
/** The first and the last step before which something may happen, of 313. */
const STEPS = { first: 5, last: 250 } as const;
const EVENTS = { fewest: 3, most: 8 } as const;
const MOST_JOINS = 3;

/** How often each of them is drawn, of a hundred. */
const WEIGHTS: { readonly [Kind in DisturbanceKind]: number } = {
  kill: 20,
  freeze: 22,
  partition: 22,
  join: 14,
  leave: 8,
  reset: 8,
  'freeze-coordinator': 6,
};
/** All of them. */
export const KINDS = Object.keys(WEIGHTS) as readonly DisturbanceKind[];

/** Draws a schedule. Whoever is taken from the run, somebody is in it at the end, or joins. */
export function drawSchedule(seed: number): Schedule {
  const choices = new Choices(seed);
  const workers = oneOf(choices, [2, 2, 3, 3, 4]);
  const lanes = oneOf(choices, [1, 1, 1, 2] as const);
  // To compare takes three; what they compare goes through the coordinator.
  const isAudited = choices.chance(0.25) && workers > 2;
  const collective = isAudited
    ? 'auto'
    : oneOf(choices, ['auto', 'auto', 'auto', 'ring', 'ring', 'star'] as const);
  const isLed = choices.chance(0.25);
  const isSecured = choices.chance(0.25);
  const events = drawEvents(choices, workers);
  return { seed, workers, lanes, collective, isLed, isAudited, isSecured, events };
}

function drawEvents(choices: Choices, workers: number): readonly Timed[] {
  const count = EVENTS.fewest + choices.below(EVENTS.most - EVENTS.fewest + 1);
  const steps = Array.from({ length: count }, () => choices.between(STEPS.first, STEPS.last));
  const crew = new Crew(workers);
  return steps
    .map(Math.floor)
    .sort((a, b) => a - b)
    .map((step, index) => {
      const withinMs = Math.round(choices.magnitude(100, 4_000));
      const mayEmpty = index < count - 1;
      return { step, withinMs, what: drawDisturbance(choices, crew, mayEmpty) };
    });
}

/** Who was started and not taken away, as far as the schedule goes. */
class Crew {
  readonly present: number[];
  joins = 0;
  #started: number;

  constructor(workers: number) {
    this.present = Array.from({ length: workers }, (_, worker) => worker);
    this.#started = workers;
  }

  add(): void {
    this.present.push(this.#started++);
    this.joins++;
  }

  remove(worker: number): void {
    this.present.splice(this.present.indexOf(worker), 1);
  }
}

/** With nobody there somebody joins; `mayEmpty` the run if somebody can join later. */
function drawDisturbance(choices: Choices, crew: Crew, mayEmpty: boolean): Disturbance {
  const kind = drawKind(choices, crew, mayEmpty);
  if (kind === 'join') {
    crew.add();
    return { kind };
  }
  if (kind === 'freeze-coordinator') return { kind, forMs: drawMs(choices, 1_000, 4_000) };
  const worker = oneOf(choices, crew.present);
  if (kind === 'freeze') return { kind, worker, forMs: drawMs(choices, 300, 6_000) };
  if (kind === 'partition') {
    const lost = oneOf(choices, ['both', 'both', 'up', 'down'] as const);
    return { kind, worker, lost, forMs: drawMs(choices, 500, 8_000) };
  }
  if (kind !== 'reset') crew.remove(worker);
  return { kind, worker };
}

function drawKind(choices: Choices, crew: Crew, mayEmpty: boolean): DisturbanceKind {
  if (crew.present.length === 0) return 'join';
  const isLast = crew.present.length === 1 && !mayEmpty;
  const possible = KINDS.filter((kind) => {
    if (kind === 'join') return crew.joins < MOST_JOINS;
    return !isLast || (kind !== 'kill' && kind !== 'leave');
  });
  let left = choices.below(possible.reduce((sum, kind) => sum + WEIGHTS[kind], 0));
  return possible.find((kind) => (left -= WEIGHTS[kind]) < 0) ?? 'join';
}

function drawMs(choices: Choices, low: number, high: number): number {
  return Math.round(choices.magnitude(low, high));
}

function oneOf<T>(choices: Choices, among: readonly T[]): T {
  return among[choices.below(among.length)] as T;
}

/** A schedule in words, a line for each of its events. */
export function scheduleText(schedule: Schedule): string {
  const { seed, workers, lanes, collective, isLed, isAudited, isSecured, events } = schedule;
  const ways = [isLed && 'led', isAudited && 'audited', isSecured && 'with a key'].filter(Boolean);
  const head =
    `seed ${seed}: ${workers} workers, ${lanes} lane${lanes === 1 ? '' : 's'} each, collective ` +
    [collective, ...ways].join(', ');
  return [head, ...events.map(eventText)].join('\n');
}

function eventText({ step, withinMs, what }: Timed): string {
  const whom = 'worker' in what ? ` worker ${what.worker}` : '';
  const way = what.kind === 'partition' ? `, lost ${what.lost}` : '';
  const howLong = 'forMs' in what ? ` for ${what.forMs} ms` : '';
  return `  step ${step}, or after ${withinMs} ms: ${what.kind}${whom}${way}${howLong}`;
}
