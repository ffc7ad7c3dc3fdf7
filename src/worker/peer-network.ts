import type { RingBodyName } from '../collectives/body-names.ts';
import type { Collective, CollectiveOptions } from '../collectives/collective.ts';
import type { Door } from '../protocol/peer-messages.ts';
import type { Connection } from '../transport/connection.ts';

/** How a worker and its peers reach each other. */
export interface PeerNetwork {
  /** Where peers reach this worker; none: it takes no part in groups. */
  readonly doors: () => readonly Door[];
  /** Connects to a door; calls one of the two, once. */
  readonly connect: (
    door: Door,
    opened: (connection: Connection) => void,
    failed: (reason: string) => void,
  ) => void;
  /** Gives the connections that peers have made to `take`, from now on. */
  readonly onVisitor: (take: (connection: Connection) => void) => void;
  /** Hears which visitors were turned away, and why; absent: nobody wants to know. */
  readonly onRefused?: (peer: string, reason: string) => void;
  readonly makeCollective: (name: RingBodyName, options: CollectiveOptions) => Collective;
}
