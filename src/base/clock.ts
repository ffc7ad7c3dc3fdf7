/** A pending timer; `cancel` is idempotent. */
export interface Timer {
  cancel(): void;
}

/** Where time comes from. Nothing else in the project asks the operating system for it. */
export interface Clock {
  /** Milliseconds since an arbitrary start; never goes backwards. */
  now(): number;
  /** Calls `action` once, `delayMs` from now. */
  after(delayMs: number, action: () => void): Timer;
}

/** The machine's monotonic clock. Pending timers keep the process alive. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after(delayMs, action) {
    const handle = setTimeout(action, delayMs);
    return { cancel: () => clearTimeout(handle) };
  },
};

interface PendingTimer {
  readonly dueMs: number;
  readonly order: number;
  readonly action: () => void;
}

/**
 * Virtual time: it moves only when told to, and fires timers in order of due time, then of
 * creation. The simulation runs whole clusters on one of these.
 */
export class ManualClock implements Clock {
  #nowMs = 0;
  #created = 0;
  // A binary heap by (dueMs, order): a simulation has a timer per frame and per computation.
  readonly #heap: PendingTimer[] = [];
  readonly #cancelled = new Set<PendingTimer>();

  now(): number {
    return this.#nowMs;
  }

  after(delayMs: number, action: () => void): Timer {
    const timer: PendingTimer = {
      dueMs: this.#nowMs + Math.max(0, delayMs),
      order: this.#created++,
      action,
    };
    pushHeap(this.#heap, timer);
    return { cancel: () => void this.#cancelled.add(timer) };
  }

  /** Timers that would still fire. */
  pendingCount(): number {
    return this.#heap.filter((timer) => !this.#cancelled.has(timer)).length;
  }

  /** Moves to the next timer and fires it; false when none is left or it lies beyond `untilMs`. */
  step(untilMs: number = Infinity): boolean {
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.dueMs > untilMs) return false;
      popHeap(this.#heap);
      if (this.#cancelled.delete(next)) continue;
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.action();
      return true;
    }
  }

  /** Lets `durationMs` pass, firing everything that falls due. */
  advance(durationMs: number): void {
    const untilMs = this.#nowMs + durationMs;
    while (this.step(untilMs));
    this.#nowMs = untilMs;
  }
}

function isBefore(a: PendingTimer, b: PendingTimer): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
}

function pushHeap(heap: PendingTimer[], timer: PendingTimer): void {
  let hole = heap.length;
  heap.push(timer);
  while (hole > 0) {
    const parent = (hole - 1) >> 1;
    const above = heap[parent];
    if (above === undefined || !isBefore(timer, above)) break;
    heap[hole] = above;
    hole = parent;
  }
  heap[hole] = timer;
}

function popHeap(heap: PendingTimer[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let hole = 0;
  for (;;) {
    const left = heap[2 * hole + 1];
    const right = heap[2 * hole + 2];
    if (left === undefined) break;
    const goRight = right !== undefined && isBefore(right, left);
    const smaller = goRight ? right : left;
    if (!isBefore(smaller, last)) break;
    heap[hole] = smaller;
    hole = 2 * hole + (goRight ? 2 : 1);
  }
  heap[hole] = last;
}
