/** Notices workers that are much slower than the others for some time. */

/** What one worker's part in a step took. */
export interface Pace {
  readonly rank: number;
  /** Milliseconds of computing per micro-batch, with what a step costs it besides. */
  readonly computeMs: number;
  /** Milliseconds that what it was told and what it sent were on their way, in the whole step. */
  readonly linkMs: number;
}

/** A worker that is slower than the others, and in what. */
export interface Outlier {
  readonly rank: number;
  readonly where: 'compute' | 'link';
  readonly ms: number;
  readonly othersMs: number;
}

/** A slow worker takes more than this times what the others do: less may be noise. */
const FACTOR = 3;
/** A slow worker takes at least so much more than the others, whatever the factor. */
const FLOOR_MS = 20;
/** A worker is reported that was slow in step after step of its own until it was so late. */
const LATE_MS = 300;
/** A step counts for a third of that at most: one or two hiccups, however long, do not matter. */
const MAX_LATE_MS_PER_STEP = 100;
/** Steps of its own in which it must not be slow before it can be reported again. */
const CALM_STEPS = 8;
/** What is usual for a worker is the median of so many of its steps. */
const MEMORY = 9;

/** What is known of one worker in one respect. */
interface Track {
  readonly recent: number[];
  lateMs: number;
  calmSteps: number;
  isReported: boolean;
}

/** Watches one of the two respects. */
class Watch {
  readonly #where: Outlier['where'];
  readonly #tracks = new Map<number, Track>();

  constructor(where: Outlier['where']) {
    this.#where = where;
  }

  step(times: ReadonlyMap<number, number>): Outlier[] {
    const found: Outlier[] = [];
    for (const [rank, ms] of times) {
      const track = this.#tracks.get(rank);
      if (track === undefined) continue; // the first step of all warms up
      // Whatever others take, less than that makes nobody slow.
      const othersMs = ms < FLOOR_MS ? 0 : this.#othersMs(rank, times);
      if (othersMs === undefined) continue;
      if (judge(track, ms, othersMs)) found.push({ rank, where: this.#where, ms, othersMs });
    }
    for (const [rank, ms] of times) this.#remember(rank, ms);
    return found;
  }

  forget(rank: number): void {
    this.#tracks.delete(rank);
  }

  /** What the others take, now or usually, whichever is more: a burden on all makes none slow. */
  #othersMs(rank: number, times: ReadonlyMap<number, number>): number | undefined {
    const now = [...times].filter(([other]) => other !== rank).map(([, ms]) => ms);
    const usual = [...this.#tracks]
      .filter(([other, { recent }]) => other !== rank && recent.length > 0)
      .map(([, { recent }]) => median(recent));
    return now.length + usual.length === 0 ? undefined : Math.max(median(now), median(usual));
  }

  #remember(rank: number, ms: number): void {
    const track = this.#tracks.get(rank);
    if (track === undefined) {
      this.#tracks.set(rank, { recent: [], lateMs: 0, calmSteps: 0, isReported: false });
      return;
    }
    track.recent.push(ms);
    if (track.recent.length > MEMORY) track.recent.shift();
  }
}

/** Whether the worker is to be reported now. */
function judge(track: Track, ms: number, othersMs: number): boolean {
  const lateMs = ms - othersMs;
  if (lateMs < FLOOR_MS || ms < FACTOR * othersMs) {
    track.lateMs = 0;
    if (++track.calmSteps >= CALM_STEPS) track.isReported = false;
    return false;
  }
  track.calmSteps = 0;
  track.lateMs = Math.min(LATE_MS, track.lateMs + Math.min(lateMs, MAX_LATE_MS_PER_STEP));
  if (track.lateMs < LATE_MS || track.isReported) return false;
  track.isReported = true;
  return true;
}

/** The middle one; of an even number the larger of the two; 0 of none. */
function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}

/** Compares the workers of a run with each other, step by step. */
export class Outliers {
  readonly #watches = { compute: new Watch('compute'), link: new Watch('link') };

  /** Workers that have now been slow for some time, each once until it has kept up for a while. */
  step(paces: readonly Pace[]): Outlier[] {
    const { compute, link } = this.#watches;
    return [
      ...compute.step(new Map(paces.map(({ rank, computeMs }) => [rank, computeMs]))),
      ...link.step(new Map(paces.map(({ rank, linkMs }) => [rank, linkMs]))),
    ];
  }

  /** `rank` is gone; who has it next begins anew. */
  forget(rank: number): void {
    this.#watches.compute.forget(rank);
    this.#watches.link.forget(rank);
  }
}
