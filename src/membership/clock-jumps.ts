/** Between two heartbeats a clock that is only being corrected moves less. */
const CLOCK_JUMP_MS = 2_000;

/**
 * Notices that the wall clock of a worker's machine was set, or that the machine was suspended: its
 * wall clock and its monotonic one run alike otherwise.
 */
export class ClockJumps {
  /** By how much the wall clock was ahead of the monotonic one, at the last heartbeat of each. */
  readonly #aheadMs = new WeakMap<object, number>();

  /** By how much the wall clock of `machine` has jumped since it was last compared, if it has. */
  compare(
    machine: object,
    { wallMs, upMs }: { readonly wallMs?: number | undefined; readonly upMs?: number | undefined },
  ): number | undefined {
    if (wallMs === undefined || upMs === undefined) return undefined;
    const jumpMs = wallMs - upMs - (this.#aheadMs.get(machine) ?? wallMs - upMs);
    this.#aheadMs.set(machine, wallMs - upMs);
    return Math.abs(jumpMs) > CLOCK_JUMP_MS ? Math.round(jumpMs) : undefined;
  }
}
