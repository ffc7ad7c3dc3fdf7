/** What the ways in which a group may add up are called. */

/** Ways in which the ranks of one ring of connections may add up. */
export const RING_BODY_NAMES = ['shm', 'ring'] as const;
/** One of `RING_BODY_NAMES`. */
export type RingBodyName = (typeof RING_BODY_NAMES)[number];

/** Ways in which a group may add up: in one ring of all, or on each host and then between hosts. */
export const BODY_NAMES = [...RING_BODY_NAMES, 'hosts'] as const;
/** One of `BODY_NAMES`. */
export type BodyName = (typeof BODY_NAMES)[number];

/** Ways in which gradient sums may travel; `auto` leaves the choice to the run. */
export const COLLECTIVE_CHOICES = ['auto', ...RING_BODY_NAMES, 'star'] as const;
/** One of `COLLECTIVE_CHOICES`. */
export type CollectiveChoice = (typeof COLLECTIVE_CHOICES)[number];
