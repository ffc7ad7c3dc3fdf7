/** Workers that add up among themselves, while all kinds of faults happen between them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { RunEvent } from '../../src/metrics/events.ts';
import type { MicroBatchRecord, ToCoordinator, ToWorker } from '../../src/protocol/messages.ts';
import { checkHistory } from './check-history.ts';
import { type GroupCounts, GroupRules, type Updates } from './group-rules.ts';
import type { FaultyCluster } from './peer-faults.ts';
import { type HistoryOptions, SimulatedCluster } from './simulated-cluster.ts';
import { digestOf } from './simulated-engine.ts';

const ONLY_SEED = process.env['LOCKSTEP_HISTORY'];

/** What happened in all histories together. */
type Sums = GroupCounts & Pick<Checked, 'steps' | 'fromNotes'>;

/** Tests `count` histories of faults that are drawn from the seeds from `first` on. */
export function testGroups(first: number, count: number): void {
  describe('workers that add up among themselves in a simulated cluster', () => {
    test('end with the undisturbed state in every history of faults between them', () => {
      const seeds = Array.from({ length: count }, (_, i) => first + i);
      if (ONLY_SEED !== undefined) {
        checkGroups(Number(ONLY_SEED));
        return;
      }
      const sums = sumsOf(seeds);
      const { reduces, grantedSteps, fencesWithTotal, fencesWithout, grantedFences } = sums;
      const { fromNotes, fencesApart, fencesInRedo, handOvers, failedHandOvers } = sums;
      for (const steps of [reduces, grantedSteps]) assert.ok(steps > count, showOf(sums));
      for (const often of [fencesWithout, grantedFences, handOvers])
        assert.ok(often > count / 80, showOf(sums));
      for (const rare of [fencesWithTotal, fromNotes, failedHandOvers])
        assert.ok(rare >= Math.max(1, Math.floor(count / 100)), showOf(sums));
      for (const seldom of [fencesApart, fencesInRedo])
        assert.ok(seldom >= Math.floor(count / 1_000), showOf(sums));
    });
  });
}

/** Tests what becomes of a group by faults that are aimed at it. */
export function testAimedFaults(first: number, count: number): void {
  const seeds = Array.from({ length: count }, (_, i) => first + i);

  describe('a group whose passes the coordinator leads, and a fault that is aimed at it', () => {
    testLedPasses(seeds);
  });
  describe('a group that is granted steps, and a fault that is aimed at it', () => {
    testGrantedSteps(seeds);
  });
  describe('workers that add up among themselves', () => {
    testForming(seeds);
  });
}

const CALM = { isDisturbed: false, peerFaults: 0 } as const;
const LED = { ...CALM, isLed: true } as const;
/** Short steps, most of which are granted. */
const GRANTED = { ...CALM, isLed: false, world: 'even' } as const;
const ON_ONE_MACHINE = { collective: 'shm', ranksPerHost: 1_000 } as const;

function testLedPasses(seeds: readonly number[]): void {
  test('adds up most steps when nothing goes wrong, and the coordinator none of them', () => {
    for (const seed of seeds) {
      const { rules, steps } = checkGroups(seed, LED);
      const { reduces, fencesWithTotal, fencesWithout, grantedSteps } = rules.counts;
      assert.ok(reduces > steps / 2, `seed ${seed}: ${reduces} of ${steps} steps`);
      assert.equal(fencesWithTotal + fencesWithout + grantedSteps, 0, `seed ${seed}`);
    }
  });

  test('counts a step of which some have the total when another freezes', () => {
    const sums = sumsOf(seeds, { ...LED, ...aimed('reduced', freezeAnother) });
    assert.ok(sums.fencesWithTotal > seeds.length / 4, showOf(sums));
  });

  test('adds up a step through the coordinator when one dies before anybody has the total', () => {
    const kill = (cluster: FaultyCluster, worker: string): void => cluster.kill(worker, 'heir');
    const sums = sumsOf(seeds, { ...LED, ...aimed('reduce', kill) });
    assert.ok(sums.fencesWithout > seeds.length / 4, showOf(sums));
  });

  test('loses nobody but one who is killed, whatever pass it dies in', () => {
    const kill = (cluster: FaultyCluster, worker: string): void => cluster.killForGood(worker);
    for (const seed of seeds) {
      const fault = aimed('plan', kill, 2 + (seed % 12));
      const { lost } = checkGroups(seed, { ...LED, workers: 2, ...fault });
      assert.equal(lost.length, 1, `seed ${seed}: ${lost.join()}`);
    }
  });
}

function testGrantedSteps(seeds: readonly number[]): void {
  test('commits most steps by itself when nothing goes wrong, and is not asked how far it came', () => {
    const sums = sumsOf(seeds, GRANTED);
    assert.ok(sums.grantedSteps > sums.steps / 2, showOf(sums));
    assert.deepEqual([sums.grantedFences, sums.fromNotes], [0, 0]);
  });

  test('adds up on each host and then between hosts where a host has several workers', () => {
    const hosts = { workers: 4, ranksPerHost: 2 } as const;
    for (const seed of seeds) {
      const { rules, steps, told } = checkGroups(seed, { ...GRANTED, ...hosts });
      assert.ok(rules.counts.grantedSteps > steps / 2, `seed ${seed}`);
      assert.deepEqual(told, ['hosts'], `seed ${seed}`);
    }
    const sums = sumsOf(seeds, { ...GRANTED, ...hosts, ...atGranted(cutSoon) });
    assert.ok(sums.grantedFences > seeds.length / 2, showOf(sums));
  });

  test('adds up in memory where all are on one machine, in engines that nobody asks', () => {
    // Steps of which a slow worker gets nothing are led.
    const all = { steps: 0, granted: 0 };
    for (const seed of seeds) {
      const { rules, steps, told } = checkGroups(seed, { ...GRANTED, ...ON_ONE_MACHINE });
      const { grantedSteps, ownUpdates } = rules.counts;
      all.steps += steps;
      all.granted += grantedSteps;
      assert.ok(ownUpdates >= 2 * grantedSteps, `seed ${seed}`);
      assert.deepEqual(told, ['shm'], `seed ${seed}`);
    }
    assert.ok(all.granted > all.steps / 2, JSON.stringify(all));
  });

  for (const [what, where] of [
    ['', {}],
    [' of one machine', ON_ONE_MACHINE],
  ] as const) {
    test(`goes on without a member${what} that freezes`, () => {
      const sums = sumsOf(seeds, { ...GRANTED, ...where, ...atGranted(freezeAnother) });
      assert.ok(sums.grantedFences > seeds.length / 2, showOf(sums));
    });

    test(`goes on when the connections of a member${what} end`, () => {
      const sums = sumsOf(seeds, { ...GRANTED, ...where, ...atGranted(cutSoon) });
      assert.ok(sums.grantedFences > seeds.length / 2, showOf(sums));
    });
  }

  test('goes on from where the first of its members is when it ends between their totals', () => {
    // On a host of its own each gets the total at a time of its own.
    const sums = sumsOf(seeds, { ...GRANTED, ranksPerHost: 1, ...atComputed(cutSoon) });
    assert.ok(sums.fencesApart > seeds.length / 8, showOf(sums));
  });

  test('ends between the totals of engines that add up in memory', () => {
    const sums = sumsOf(seeds, { ...GRANTED, ...ON_ONE_MACHINE, ...atGranted(cutNow) });
    assert.ok(sums.fencesApart > seeds.length / 8, showOf(sums));
  });

  test('loses no sample of a worker that dies before anything of it has arrived', () => {
    const silence = (cluster: FaultyCluster, worker: string): void => {
      cluster.holdCoordinator(worker, 5_000);
      cluster.at(20, `kill ${worker}`, () => cluster.kill(worker, 'heir'));
    };
    for (const where of [{}, ON_ONE_MACHINE]) {
      const sums = sumsOf(seeds, { ...GRANTED, ...where, ...atGranted(silence) });
      assert.ok(sums.fromNotes > seeds.length / 2, showOf(sums));
    }
  });

  test('ends between two attempts at a step as it does between two steps', () => {
    // So large that the grid is too narrow for them at first.
    const isLarge = (records: readonly MicroBatchRecord[]): boolean =>
      records.some(({ maxima }) => (maxima[0] ?? 0) > 100);
    const sums = sumsOf(seeds, { ...GRANTED, ...atComputed(cutSoon, 1, isLarge) });
    assert.ok(sums.fencesInRedo > seeds.length / 10, showOf(sums));
  });

  test('loses nobody but one who is killed, whatever pass it dies in', () => {
    const kill = (cluster: FaultyCluster, worker: string): void => cluster.killForGood(worker);
    for (const seed of seeds) {
      const fault = atGranted(kill, 1 + (seed % 12));
      const { lost } = checkGroups(seed, { ...GRANTED, workers: 2, ...fault });
      assert.equal(lost.length, 1, `seed ${seed}: ${lost.join()}`);
    }
  });
}

function testForming(seeds: readonly number[]): void {
  test('go through the coordinator if two never reach each other, which is told once', () => {
    for (const seed of seeds) {
      const severed = (cluster: FaultyCluster): void => cluster.severPair('worker-0', 'worker-1');
      // With more workers they may never be neighbours.
      const workers = 2 + (seed % 2);
      const { rules, told } = checkGroups(seed, { ...CALM, workers, onStart: severed });
      assert.equal(rules.counts.reduces + rules.counts.grantedSteps, 0, `seed ${seed}`);
      assert.deepEqual(told, ['star, with a reason'], `seed ${seed}`);
    }
  });

  test('form a group again some seconds after it was broken', () => {
    const cut = (cluster: FaultyCluster): void => cluster.cutPair('worker-0', 'worker-1');
    // These take long: a group is tried again after five seconds.
    const options = { world: 'lan', steps: 300, workers: 3, ranksPerHost: 1 } as const;
    for (const seed of seeds.slice(0, 4)) {
      const isLed = seed % 2 === 0;
      const fault = isLed ? aimed('reduce', cut) : atGranted(cut);
      const { rules, told } = checkGroups(seed, { ...CALM, isLed, ...options, ...fault });
      assert.equal(rules.counts.groups, 2, `seed ${seed}`);
      assert.deepEqual(told, ['ring', 'star, with a reason', 'ring'], `seed ${seed}`);
    }
  });
}

/** What is done to a cluster because of what `worker` was told, or says. */
type Fault = (cluster: FaultyCluster, worker: string) => void;

/** A message about a pass. */
type Meant = Extract<
  ToWorker | ToCoordinator,
  { kind: 'reduce' | 'reduced' | 'plan' | 'contribution' }
>;

/** Does something to a history once: at the first message of its kind about the `nth` pass. */
function aimed(
  kind: 'reduce' | 'reduced' | 'plan' | 'contribution',
  fault: Fault,
  nth = 5,
  isMeant: (message: Meant) => boolean = () => true,
): Partial<HistoryOptions> {
  let cluster: FaultyCluster | undefined;
  const passes = new Set<number>();
  const hear = (worker: string, message: ToWorker | ToCoordinator): void => {
    if (message.kind !== kind || passes.has(message.pass) || !isMeant(message)) return;
    passes.add(message.pass);
    if (cluster !== undefined && passes.size === nth) fault(cluster, worker);
  };
  return {
    onStart: (started) => {
      cluster = started;
      passes.clear();
    },
    onSentToWorker: hear,
    onSentToCoordinator: hear,
  };
}

/** The same, when a worker contributes to the `nth` granted pass of a group that is meant. */
function atGranted(
  fault: Fault,
  nth = 5,
  isMeant: (records: readonly MicroBatchRecord[]) => boolean = () => true,
): Partial<HistoryOptions> {
  const granted = new GrantedPasses();
  const isGranted = (message: Meant): boolean =>
    message.kind === 'contribution' && granted.has(message.pass) && isMeant(message.records);
  const { onStart, onSentToWorker, onSentToCoordinator } = aimed(
    'contribution',
    fault,
    nth,
    isGranted,
  );
  return {
    onStart: (cluster) => {
      granted.clear();
      onStart?.(cluster);
    },
    onSentToWorker: (worker, message, membership) => {
      granted.hear(message);
      onSentToWorker?.(worker, message, membership);
    },
    ...(onSentToCoordinator && { onSentToCoordinator }),
  };
}

/** The same, when a worker has computed its part, of which it tells later. */
function atComputed(
  fault: Fault,
  nth = 5,
  isMeant: (records: readonly MicroBatchRecord[]) => boolean = () => true,
): Partial<HistoryOptions> {
  const granted = new GrantedPasses();
  const passes = new Set<number>();
  let cluster: FaultyCluster | undefined;
  const hear = (worker: string, pass: number, records: readonly MicroBatchRecord[]): void => {
    if (!granted.has(pass) || passes.has(pass) || !isMeant(records)) return;
    passes.add(pass);
    if (cluster !== undefined && passes.size === nth) fault(cluster, worker);
  };
  return {
    onStart: (started) => {
      cluster = started;
      granted.clear();
      passes.clear();
    },
    onSentToWorker: (_, message) => granted.hear(message),
    wrapEngine: (create, handlers, worker) =>
      create({
        ...handlers,
        onDone: (pass, records, sum) => {
          hear(worker, pass, records);
          handlers.onDone(pass, records, sum);
        },
      }),
  };
}

/** Passes that were granted to groups of a history. */
class GrantedPasses {
  #first: number | undefined;
  /** Passes of the coordinator. */
  readonly #planned = new Set<number>();

  clear(): void {
    this.#first = undefined;
    this.#planned.clear();
  }

  hear(message: ToWorker): void {
    if (message.kind === 'plan') this.#planned.add(message.pass);
    else if (message.kind === 'grant' && message.start?.group !== undefined)
      this.#first ??= message.start.pass;
  }

  has(pass: number): boolean {
    return pass >= (this.#first ?? Infinity) && !this.#planned.has(pass);
  }
}

/** While the sum to which it contributes is under way, or a little later. */
function cutSoon(cluster: FaultyCluster, worker: string): void {
  cluster.at(8, `cut the connections of ${worker}`, () => cluster.cutConnections(worker));
}

/** When engines tell of what they did, they are between two totals. */
function cutNow(cluster: FaultyCluster, worker: string): void {
  cluster.cutConnections(worker);
}

function freezeAnother(cluster: FaultyCluster, worker: string): void {
  const other = cluster.names().find((name) => name !== worker);
  if (other !== undefined) cluster.freeze(other, 5_000);
}

function sumsOf(seeds: readonly number[], changes: Partial<HistoryOptions> = {}): Sums {
  return total(seeds.map((seed) => checkGroups(seed, changes)));
}

function total(histories: readonly Checked[]): Sums {
  const sums: Sums = { ...new GroupRules().counts, steps: 0, fromNotes: 0 };
  for (const { rules, steps, fromNotes } of histories) {
    const found: Sums = { ...rules.counts, steps, fromNotes };
    for (const key of Object.keys(found) as (keyof Sums)[]) sums[key] += found[key];
  }
  return sums;
}

function showOf(sums: Sums): string {
  return JSON.stringify(sums);
}

/** What a history without faults ends with, and what leads to it. */
interface Undisturbed {
  readonly digest: string;
  readonly updates: Updates;
  /** Of each step, what is told of it. */
  readonly losses: ReadonlyMap<number, string>;
}

/** By number of steps. */
const UNDISTURBED = new Map<number, Undisturbed>();

/** Of a run through the coordinator. */
function undisturbedRun(steps: number): Undisturbed {
  const known = UNDISTURBED.get(steps);
  if (known !== undefined) return known;
  const rules = new GroupRules();
  const options = { seed: 0, workers: 2, isDisturbed: false, collective: 'star' } as const;
  const { result, events } = new SimulatedCluster({ ...options, steps, ...rules.watch({}) }).run();
  const losses = new Map(lossesOf(events));
  const run = { digest: digestOf(result.state), updates: rules.updates, losses };
  UNDISTURBED.set(steps, run);
  return run;
}

/** What was seen in a history. */
interface Checked {
  readonly rules: GroupRules;
  /** How it was told that sums travel. */
  readonly told: readonly string[];
  readonly lost: readonly string[];
  steps: number;
  /** Steps of which a worker's part is known from what others tell of it. */
  fromNotes: number;
}

/** Throws unless history `seed` obeys all rules, and ends as if nothing had gone wrong. */
export function checkGroups(seed: number, changes: Partial<HistoryOptions> = {}): Checked {
  const isLed = changes.isLed ?? Math.floor(seed / 3) % 2 === 0;
  // Granted steps are quick: a fault in the middle of them needs more of them.
  const steps = changes.steps ?? (12 + ((7 * seed) % 29)) * (isLed ? 1 : 2);
  const { digest, updates, losses } = undisturbedRun(steps);
  const rules = new GroupRules(updates);
  const most = isLed ? 5 : 2;
  const worlds = isLed ? (['lan', 'quick'] as const) : (['quick', 'even', 'even'] as const);
  const ranksPerHost = changes.ranksPerHost ?? ([1, 2, 3, 4, 1, 1, 1, 1, 8, 8, 8][seed % 11] || 1);
  const isFree = seed % 7 === 0 && changes.isDisturbed === undefined;
  const options = {
    // Where links are late, the coordinator may be the better way; then there is no group to test.
    collective: isFree || ranksPerHost > 1 ? 'auto' : 'ring',
    workers: 2 + (seed % 5),
    steps,
    world: worlds[Math.floor(seed / 5) % worlds.length] ?? 'lan',
    peerFaults: seed % 4 === 0 ? 40 : most,
    isLed,
    isDisturbed: isLed ? seed % 3 !== 0 : seed % 3 === 0,
    ranksPerHost,
    ...changes,
  } as const;
  const { events } = checkHistory(seed, digest, { ...options, ...rules.watch(options) }, 'groups');
  for (const [step, loss] of lossesOf(events))
    assert.equal(loss, losses.get(step), `seed ${seed}: what is told of step ${step}`);
  const told = events.flatMap((event) => {
    if (event.kind !== 'collective-chosen') return [];
    return event.collective === 'star' ? ['star, with a reason'] : [event.collective];
  });
  const lost = events.flatMap((event) => (event.kind === 'worker-lost' ? [event.workerId] : []));
  const fromNotes = events.filter(isFromNotes).length;
  return { rules, told, lost, steps, fromNotes };
}

/** Whether contributions do not come to all samples of a step. */
function isFromNotes(event: RunEvent): boolean {
  if (event.kind !== 'step') return false;
  return event.ranks.reduce((sum, { samples }) => sum + samples, 0) < event.sampleCount;
}

/** What does not depend on who computed it: of each step its samples, and their losses. */
function lossesOf(events: readonly RunEvent[]): [number, string][] {
  return events.flatMap((event) =>
    event.kind === 'step' ? [[event.step, `${event.sampleCount} ${event.lossMean}`]] : [],
  );
}
