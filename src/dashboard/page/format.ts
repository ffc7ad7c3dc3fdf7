/** Numbers for people. */
import { formatNumber } from '../../charts/html.ts';
import { durationText } from '../view/duration-text.ts';

/** A number, or a dash for what was not measured. */
export function numberText(value: number | null | undefined): string {
  return value === null || value === undefined ? '–' : formatNumber(value);
}

/** A share as per cent. */
export function percentText(share: number | null | undefined, digits = 1): string {
  return share === null || share === undefined ? '–' : `${(share * 100).toFixed(digits)} %`;
}

/** A duration, or a dash for what was not measured. */
export function timeSpanText(ms: number | null | undefined): string {
  return ms === null || ms === undefined ? '–' : durationText(ms);
}

/** The time of day of a moment. */
export function timeText(timeMs: number): string {
  const time = new Date(timeMs);
  return [time.getHours(), time.getMinutes(), time.getSeconds()].map(padded).join(':');
}

function padded(value: number): string {
  return String(value).padStart(2, '0');
}
