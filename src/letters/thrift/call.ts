/** The client's side of Thrift: one call on a stream of its own, and what the other end is. */
import type { Clock } from '../../base/clock.ts';
import { PeerLostError } from '../../base/errors.ts';
import type { ByteStream } from '../../transport/byte-stream.ts';
import { isIdentity, WHO_ARE_YOU } from './seed-interface.ts';
import { ThriftDecoder } from './thrift-decoder.ts';
import { encodeThrift } from './thrift-encoder.ts';
import type { ThriftMessage } from './thrift-values.ts';

/** A node of the seed system answers nobody while it works for another one. */
const ANSWER_MS = 5_000;

/** Whose program listens at an address. */
export type Dialect = 'lockstep' | 'seed';

/** How long a call may take, and who may give it up. */
export interface CallLimits {
  readonly clock: Clock;
  readonly withinMs: number;
  readonly signal?: AbortSignal;
}

/**
 * Sends `call`, gives the answer, and ends the stream; undefined when `signal` gave it up.
 *
 * Throws: PeerLostError when no answer comes in time (with `silentMs` in its context) or the stream
 *         ends before, ProtocolError when the answer is not Thrift.
 */
export async function callOnce(
  stream: ByteStream,
  call: Uint8Array,
  { clock, withinMs, signal }: CallLimits,
): Promise<ThriftMessage | undefined> {
  return new Promise((resolve, reject) => {
    const end = (settle: () => void): void => {
      timer.cancel();
      signal?.removeEventListener('abort', giveUp);
      stream.close();
      settle();
    };
    const giveUp = (): void => end(() => resolve(undefined));
    const lost = (what: string, context = {}): void =>
      reject(new PeerLostError(`${stream.peer}: ${what}`, context));
    const timer = clock.after(withinMs, () =>
      end(() => lost(`connected, but no answer for ${withinMs / 1000} s`, { silentMs: withinMs })),
    );
    signal?.addEventListener('abort', giveUp, { once: true });
    const decoder = new ThriftDecoder((message) => end(() => resolve(message)));
    stream.handlers = {
      onBytes: (bytes) => decoder.push(bytes),
      onClose: (error) =>
        end(() =>
          error === undefined ? lost('it closed the connection without an answer') : reject(error),
        ),
    };
    if (signal?.aborted === true) giveUp();
    else stream.write(call);
  });
}

/**
 * Asks what the other end of a fresh stream is. Throws: as `callOnce`.
 *
 * A program of the seed system says with an exception that it knows no such method.
 */
export async function askDialect(stream: ByteStream, clock: Clock): Promise<Dialect> {
  const question = encodeThrift('call', WHO_ARE_YOU, 1, {});
  const answer = await callOnce(stream, question, { clock, withinMs: ANSWER_MS });
  return answer !== undefined && isIdentity(answer) ? 'lockstep' : 'seed';
}
