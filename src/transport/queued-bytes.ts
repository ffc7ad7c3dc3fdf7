import type { Socket } from 'node:net';

/** The part of a socket's handle that tells how far the write under way has come. */
interface Handle {
  readonly writeQueueSize?: number;
}

/**
 * What waits to leave `socket`: zero once all has left, and less with every byte that leaves, also
 * in the middle of one large write. Up to twice the bytes themselves: those of the write under way
 * are in both terms.
 *
 * Source: `socket.setTimeout` of Node.js 20, which tells a slow write from a dead one by the same
 *         number of the handle; without it only whole writes show.
 */
export function queuedBytesOf(socket: Socket): number {
  const { _handle: handle } = socket as { readonly _handle?: Handle | null };
  return socket.writableLength + (handle?.writeQueueSize ?? 0);
}
