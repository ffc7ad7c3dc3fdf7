import type { LettersRows } from './letters-text.ts';

/** Makes inputs from what a file holds: (value - shift[i]) * factor[i] for feature i. */
export interface Scaling {
  readonly shift: readonly number[];
  readonly factor: readonly number[];
}

/** Gives the scaling to mean 0 and variance 1 over all rows; constant features become 0. */
export function measureScaling(files: readonly LettersRows[]): Scaling {
  const features = files[0]?.features ?? 0;
  const count = files.reduce((total, rows) => total + rows.count, 0);
  const mean = new Float64Array(features);
  for (const rows of files) addColumns(mean, rows, (value) => value / count);
  const variance = new Float64Array(features);
  for (const rows of files)
    addColumns(variance, rows, (value, i) => (value - (mean[i] ?? 0)) ** 2 / count);
  return { shift: [...mean], factor: [...variance].map((v) => (v > 0 ? 1 / Math.sqrt(v) : 0)) };
}

/** `rows` with scaled inputs, in memory of their own. */
export function scaleRows(rows: LettersRows, { shift, factor }: Scaling): LettersRows {
  const x = rows.x.map((value, at) => {
    const i = at % rows.features;
    return (value - (shift[i] ?? 0)) * (factor[i] ?? 0);
  });
  return { ...rows, x };
}

function addColumns(
  sums: Float64Array,
  { x, count, features }: LettersRows,
  of: (value: number, feature: number) => number,
): void {
  for (let row = 0; row < count; row++)
    for (let i = 0; i < features; i++) sums[i] = (sums[i] ?? 0) + of(x[row * features + i] ?? 0, i);
}
