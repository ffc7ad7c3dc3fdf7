/** A door that programs of other machines open with a key only, and those of this one without. */
import type { Socket } from 'node:net';
import { systemClock } from '../base/clock.ts';
import type { DoorGuard } from './door-guard.ts';
import { encodeFrameHead, FIRST_FRAME_BYTE, NO_PAYLOAD } from './frame.ts';
import { isLoopback } from './loopback.ts';
import { acceptTls, FIRST_TLS_BYTE, type KeyOf } from './tls.ts';

/** How long a connection that may be somebody else's may say nothing, and a handshake may take. */
const STRANGER_TIMEOUT_MS = 5_000;
/** How long somebody who was turned away may take to hear why. */
const DISMISS_MS = 2_000;

/** What is said to a program that speaks without encryption at a door that wants it. */
const NO_KEY =
  'this door opens with a key only. Join with the link that the coordinator has printed: ' +
  '`lockstep join <link>`';

/** Whose keys open the door. */
export interface SecuredDoor {
  readonly keyOf: KeyOf;
  /** Told of everyone who was not let in. */
  readonly onStranger: (peer: string, reason: string) => void;
}

/** A stranger at a secured door. */
interface Stranger {
  readonly peer: string;
  readonly guard: DoorGuard;
  readonly secured: SecuredDoor;
  /** It is a program of this machine, which needs no key. */
  readonly accept: () => void;
}

/** Lets in who shows a key, or comes from this machine and needs none. */
export function admit(
  raw: Socket,
  { peer, guard, secured, accept }: Stranger,
  enter: (socket: Socket, identity: string) => void,
): void {
  const host = raw.remoteAddress ?? '';
  if (!guard.admit(host)) return void raw.destroy();
  let isSettled = false;
  const settle = (isWelcome: boolean): void => {
    if (!isSettled) guard.settle(host, isWelcome);
    isSettled = true;
  };
  const refuse = (reason: string): void => {
    if (!isSettled) secured.onStranger(peer, reason);
    settle(false);
  };
  raw.once('close', () => refuse('it went without a word'));
  tellApart(raw, (firstByte) => {
    if (firstByte === FIRST_FRAME_BYTE && isOfThisMachine(raw)) {
      settle(true);
      return accept();
    }
    if (firstByte !== FIRST_TLS_BYTE) {
      refuse('it came without a key');
      return dismiss(raw, encodeFrameHead({ failed: NO_KEY }, NO_PAYLOAD, 'link'));
    }
    const deadline = systemClock.after(STRANGER_TIMEOUT_MS, () => raw.destroy());
    acceptTls(raw, secured.keyOf)
      .then(
        ({ socket, identity }) => {
          settle(true);
          enter(socket, identity);
        },
        () => {
          refuse('its key is not one of ours');
          raw.destroy();
        },
      )
      .finally(() => deadline.cancel());
  });
}

/** Says a last word, and hangs up soon, whatever the other end says or leaves unread. */
function dismiss(socket: Socket, word: Uint8Array): void {
  const deadline = systemClock.after(DISMISS_MS, () => socket.destroy());
  socket.once('close', () => deadline.cancel());
  // It has gone without hearing it.
  socket.on('error', () => {});
  socket.end(word);
  socket.resume();
}

/** Calls back with the first byte, which is still to be read then. */
export function tellApart(socket: Socket, found: (firstByte: number | undefined) => void): void {
  const timer = systemClock.after(STRANGER_TIMEOUT_MS, () => socket.destroy());
  // Broken before it said anything: nobody is there to be told.
  const ignore = (): void => {};
  socket.on('error', ignore);
  socket.once('close', () => timer.cancel());
  socket.once('data', (bytes: Buffer) => {
    timer.cancel();
    socket.pause();
    socket.unshift(bytes);
    socket.removeListener('error', ignore);
    found(bytes[0]);
  });
}

/** Nobody else's packets can have an address of this machine on both ends. */
export function isOfThisMachine({ remoteAddress, localAddress }: Socket): boolean {
  return isLoopback(remoteAddress ?? '') || remoteAddress === localAddress;
}
