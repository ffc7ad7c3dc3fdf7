/** Milliseconds as 850 ms, 12.3 s, 4 min 05 s, 3 h 07 min. */
export function durationText(ms: number): string {
  if (ms < 1_000) return `${Number(ms.toPrecision(3))} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  const [minutes, hours] = [Math.floor(seconds / 60), Math.floor(seconds / 3600)];
  const padded = (value: number): string => String(value).padStart(2, '0');
  return hours > 0
    ? `${hours} h ${padded(minutes % 60)} min`
    : `${minutes} min ${padded(seconds % 60)} s`;
}
