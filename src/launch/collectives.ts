/** The ways in which the ranks of a ring can add up their sums. */
import type { RingBodyName } from '../collectives/body-names.ts';
import type { Collective, CollectiveBody, CollectiveOptions } from '../collectives/collective.ts';
import { Ring } from '../collectives/ring.ts';
import { makeShm } from '../collectives/shm/shm.ts';

/** Makes a rank's part; `onNote` gets a sentence if it must do so in another way. */
type NotingBody = (options: CollectiveOptions, onNote: (note: string) => void) => Collective;

const ring: CollectiveBody = (options) => new Ring(options);

/** Bodies by name. */
export const COLLECTIVES = {
  ring,
  shm: (options, onNote) => makeShm({ otherwise: ring, onUnavailable: onNote })(options),
} as const satisfies Readonly<Record<RingBodyName, NotingBody>>;
