/**
 * Connections that pass nothing while heartbeats, which have one of their own, go on: both ends count
 * frames, and each heartbeat says what the other end has counted.
 */
import type { FrameCount } from '../protocol/messages.ts';
import type { Connection } from '../transport/connection.ts';

/** Frames of one member over the connections that are not for heartbeats, as one end counts them. */
export interface FrameCounts {
  readonly control: FrameCount;
  readonly data: FrameCount;
}

/** The same of our end, with the bytes of data that have come, also of what is not whole yet. */
export interface OwnCounts extends FrameCounts {
  readonly dataBytes: number;
}

type Channel = keyof FrameCounts;

/** What one end of `connection` has counted; nothing before there is one. */
export function framesOf(connection: Connection | undefined): FrameCount {
  return { sent: connection?.framesSent ?? 0, received: connection?.framesReceived ?? 0 };
}

/** What is known at one heartbeat. */
interface Look {
  readonly ours: OwnCounts;
  readonly theirs: FrameCounts;
  /** Bytes of data that have reached it, from other workers too. */
  readonly receivedBytes: number;
  /** It computes: nothing is held against it. */
  readonly isAtWork: boolean;
  /** Since the last heartbeat, as far as it counts. */
  readonly beatMs: number;
}

/** Something is on its way over a connection, down to the member or up to us, and has not come. */
export class Blockages {
  readonly #sinceMs = { control: { down: 0, up: 0 }, data: { down: 0, up: 0 } };
  #last: Look | undefined;

  /** For how long nothing has come over the worst of them, although something was sent. */
  get longestMs(): number {
    const { control, data } = this.#sinceMs;
    return Math.max(control.down, control.up, data.down, data.up);
  }

  note(look: Look): void {
    const { ours, theirs, receivedBytes, isAtWork, beatMs } = look;
    const before = this.#last;
    this.#last = look;
    if (before === undefined) return;
    const isUnderWay = (channel: Channel) => ({
      down: ours[channel].sent > theirs[channel].received,
      up: theirs[channel].sent > ours[channel].received,
    });
    const data = isUnderWay('data');
    // On a link that is full of data a word may be long on its way.
    const isFull = {
      down: data.down && receivedBytes > before.receivedBytes,
      up: data.up && ours.dataBytes > before.ours.dataBytes,
    };
    for (const channel of ['control', 'data'] as const) {
      const waits = isUnderWay(channel);
      const comes = {
        down: theirs[channel].received > before.theirs[channel].received,
        up: ours[channel].received > before.ours[channel].received,
      };
      const sinceMs = this.#sinceMs[channel];
      for (const way of ['down', 'up'] as const) {
        const isBlocked = waits[way] && !comes[way] && !isFull[way] && !isAtWork;
        sinceMs[way] = isBlocked ? sinceMs[way] + beatMs : 0;
      }
    }
  }
}
