/**
 * What was measured in every step, in bounded room: when there are too many stretches, each two
 * neighbours become one of twice the length, which has their means.
 */

/** Stretches that are kept at most; an even number. */
const MAX_STRETCHES = 600;

/** Columns of means by stretch, as plain data. What no step of a stretch had is null in it. */
export interface History {
  /** Steps of a stretch. */
  stride: number;
  /** The last step of every stretch. */
  readonly steps: number[];
  /** Steps in the last stretch, which may not be whole. */
  lastCount: number;
  readonly columns: Record<string, (number | null)[]>;
}

/** A history of nothing yet. */
export function makeHistory(names: readonly string[]): History {
  const columns = Object.fromEntries(names.map((name) => [name, []]));
  return { stride: 1, steps: [], lastCount: 0, columns };
}

/** Adds a step. A step that is before the last one takes the place of what was there from it on. */
export function addToHistory(
  history: History,
  step: number,
  values: Readonly<Record<string, number | undefined>>,
): void {
  if (step <= (history.steps.at(-1) ?? -1)) cutHistory(history, step - 1);
  if (history.steps.length === 0 || history.lastCount >= history.stride) beginStretch(history);
  const last = history.steps.length - 1;
  history.steps[last] = step;
  history.lastCount++;
  for (const [name, column] of Object.entries(history.columns)) {
    const value = values[name];
    if (value === undefined || !Number.isFinite(value)) continue;
    const before = column[last] ?? null;
    column[last] = before === null ? value : before + (value - before) / history.lastCount;
  }
}

/** Forgets what came after a step; of a stretch that goes beyond it nothing is left. */
export function cutHistory(history: History, step: number): void {
  while ((history.steps.at(-1) ?? -1) > step) {
    history.steps.pop();
    for (const column of Object.values(history.columns)) column.pop();
    history.lastCount = history.stride;
  }
}

function beginStretch(history: History): void {
  if (history.steps.length >= MAX_STRETCHES) halve(history);
  history.steps.push(0);
  for (const column of Object.values(history.columns)) column.push(null);
  history.lastCount = 0;
}

function halve(history: History): void {
  const { steps, columns } = history;
  const half = steps.length >> 1;
  for (let i = 0; i < half; i++) {
    steps[i] = steps[2 * i + 1] ?? 0;
    for (const column of Object.values(columns))
      column[i] = meanOf(column[2 * i] ?? null, column[2 * i + 1] ?? null);
  }
  steps.length = half;
  for (const column of Object.values(columns)) column.length = half;
  history.stride *= 2;
}

function meanOf(a: number | null, b: number | null): number | null {
  if (a === null || b === null) return a ?? b;
  return (a + b) / 2;
}
