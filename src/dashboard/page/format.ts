/** Numbers for people. */
import { formatNumber } from '../../charts/html.ts';

/** A number, or a dash for what was not measured. */
export function numberText(value: number | null | undefined): string {
  return value === null || value === undefined ? '–' : formatNumber(value);
}

/** A share as per cent. */
export function percentText(share: number | null | undefined, digits = 1): string {
  return share === null || share === undefined ? '–' : `${(share * 100).toFixed(digits)} %`;
}

/** Milliseconds as 850 ms, 12.3 s, 4 min 05 s, 3 h 07 min. */
export function durationText(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return '–';
  if (ms < 1_000) return `${Number(ms.toPrecision(3))} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  const [minutes, hours] = [Math.floor(seconds / 60), Math.floor(seconds / 3600)];
  return hours > 0
    ? `${hours} h ${padded(minutes % 60)} min`
    : `${minutes} min ${padded(seconds % 60)} s`;
}

/** The time of day of a moment. */
export function timeText(timeMs: number): string {
  const time = new Date(timeMs);
  return [time.getHours(), time.getMinutes(), time.getSeconds()].map(padded).join(':');
}

function padded(value: number): string {
  return String(value).padStart(2, '0');
}
