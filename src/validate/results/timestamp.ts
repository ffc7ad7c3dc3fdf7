/**
 * Milliseconds since 1970 as ISO 8601, as TrackIQ reads it: Python before 3.11 takes `+00:00` and no
 * `Z`.
 */
export function isoOf(wallMs: number): string {
  return new Date(wallMs).toISOString().replace('Z', '+00:00');
}
