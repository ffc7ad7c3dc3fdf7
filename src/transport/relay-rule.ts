/** How good or bad one direction of a relay is (relay.ts). */

/** What happens to the bytes of one direction, of all connections together. */
export type Rule =
  | { readonly kind: 'pass' }
  /** Every byte arrives this much later, in order. */
  | { readonly kind: 'delay'; readonly ms: number }
  /**
   * All packets are lost: nothing arrives, neither bytes nor ends, and nothing is closed. When the
   * rule changes, what was sent in the meantime arrives after all, as TCP would send it again.
   */
  | { readonly kind: 'drop' }
  /** Flips bit `bit` (0 when absent) of the byte after `afterBytes` more; all else passes. */
  | { readonly kind: 'corrupt'; readonly afterBytes: number; readonly bit?: number }
  /** Each connection carries at most so many bytes in a second. */
  | { readonly kind: 'rate'; readonly bytesPerSecond: number };

/** State of one direction, shared by the pipes of all connections. */
export class Direction {
  rule: Rule = { kind: 'pass' };
  forwardedBytes = 0;
  /** Bytes that still pass before the one to corrupt; undefined when there is none (any more). */
  untilCorrupt: number | undefined;

  set(rule: Rule): void {
    this.rule = rule;
    this.untilCorrupt = rule.kind === 'corrupt' ? rule.afterBytes : undefined;
  }

  /** The bytes as they go on; if it is their turn, a bit is flipped in their own memory. */
  take(bytes: Uint8Array): Uint8Array {
    this.forwardedBytes += bytes.length;
    const at = this.untilCorrupt;
    if (at === undefined || this.rule.kind !== 'corrupt') return bytes;
    this.untilCorrupt = at >= bytes.length ? at - bytes.length : undefined;
    if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << (this.rule.bit ?? 0));
    return bytes;
  }
}
