import type { ToCoordinator } from '../protocol/messages.ts';

/** The way to the coordinator for the parts of a worker; once that is over it leads nowhere. */
export interface CoordinatorLink {
  /** Sends on the control connection. */
  send(message: ToCoordinator): void;
  /** Sends on the data connection; `payload` must stay unchanged until `onFlushed`. */
  sendData(message: ToCoordinator, payload?: Uint8Array, onFlushed?: () => void): void;
  /** Sends there a little later, together with others, and before whatever is sent after it. */
  sendSoon(message: ToCoordinator): void;
}
