/**
 * What workers say to each other.
 *
 * To form a ring of a group a worker dials the door of the one before it, says `hello`, and hears
 * `welcome` once that one has been told of the same group. It may do so at several doors, and measures
 * the way through each with `probe`; to one of them it says `chosen`. Then the word that all are
 * `connected` goes around the ring from its first member, and after it the word to `begin`: only then
 * is everybody ready for sums, which the connection carries from there on (`collectives/`).
 *
 * To get a state a worker dials the door of one that keeps it, says `hello` on channel `state`, and
 * hears it piece by piece, in order, or `refused`.
 */
import * as z from 'zod';
import type { FrameLimits } from '../transport/connection.ts';
import {
  HELLO_KEYS,
  parseMessage,
  type Protocol,
  refusedSchema,
  token,
  words,
} from './greeting.ts';

/** Doors that a worker may have. */
export const MAX_DOORS = 8;

/** Bytes that a worker may ask for at once to measure a connection. */
export const MAX_PROBE_BYTES: number = 1 << 20;
/** So many are asked for on one connection at most. */
export const MAX_PROBES = 32;
/** What a connection carries until sums come. */
export const PEER_LIMITS: FrameLimits = {
  maxHeaderBytes: 4 << 10,
  maxPayloadBytes: MAX_PROBE_BYTES,
};

/** Where a worker accepts connections of other workers. */
export const door: z.ZodType<Door> = z.object({
  host: words(255),
  port: z.int().min(1).max(65_535),
});
/** Where a worker accepts connections of other workers. */
export interface Door {
  readonly host: string;
  readonly port: number;
}

/** First on a connection between workers, from the one that dials. */
const peerHello = z.object({
  ...HELLO_KEYS,
  channel: z.literal('peer'),
  generation: z.int().min(0),
  /** The one of the group. */
  secret: token,
  /** The dialler's place in the group. */
  index: z.int().min(0),
});
/** Who dials, and for which group. */
export type PeerHello = z.infer<typeof peerHello>;

/** First on a connection between workers, from one that is to get a state. */
const stateHello = z.object({
  ...HELLO_KEYS,
  channel: z.literal('state'),
  /** Good for one state, and once. */
  secret: token,
  /** Updates in the state. */
  step: z.int().min(0),
});
/** Who dials, and for which state. */
export type StateHello = z.infer<typeof stateHello>;

/** Whoever knocks at a worker's door. */
export type VisitorHello = PeerHello | StateHello;
const visitorHello = z.discriminatedUnion('channel', [peerHello, stateHello]);

/** Most bytes of a piece of a state. */
export const MAX_PIECE_BYTES: number = 1 << 20;
/** The answer: the payload holds the bytes of the state from `offset` on. */
const statePiece = z.object({ kind: z.literal('piece'), offset: z.int().min(0) });
const stateAnswer = z.discriminatedUnion('kind', [statePiece, refusedSchema]);
/** What a worker hears that is to get a state. */
export type StateAnswer = z.infer<typeof stateAnswer>;

/** From the one that dials, once it is welcome: asks for `probed` with so many bytes. */
const peerProbe = z.object({
  kind: z.literal('probe'),
  bytes: z.int().min(0).max(MAX_PROBE_BYTES),
});
/** From the one that dials, after the last answer: sums are to come on this connection. */
const peerChosen = z.object({ kind: z.literal('chosen') });
const peerRequest = z.discriminatedUnion('kind', [peerProbe, peerChosen]);
/** What a worker hears from the one after it. */
export type PeerRequest = z.infer<typeof peerRequest>;

/** The answer: the other is in the same group. */
const peerWelcome = z.object({ kind: z.literal('welcome'), generation: z.int().min(0) });
/** The answer to `probe`; its payload has the bytes, which mean nothing. */
const peerProbed = z.object({ kind: z.literal('probed') });
/** From the first member to the sender all are connected to both neighbours. */
const peerConnected = z.object({ kind: z.literal('connected') });
/** All are; sums may come after this. */
const peerBegin = z.object({ kind: z.literal('begin') });
const peerAnswer = z.discriminatedUnion('kind', [
  peerWelcome,
  refusedSchema,
  peerProbed,
  peerConnected,
  peerBegin,
]);
/** What a worker hears from the one before it until sums come. */
export type PeerAnswer = z.infer<typeof peerAnswer>;

/** The version of what workers say to each other. */
export const PEER_PROTOCOL: Protocol<VisitorHello> = {
  version: 3,
  describeMismatch: ({ protocol }) =>
    `protocol versions of workers differ: expected ${PEER_PROTOCOL.version}, got ${protocol}. ` +
    'Install the same version of Lockstep on both machines.',
};

/** A hello from another worker, or ProtocolError. */
export function parseVisitorHello(header: unknown, peer: string): VisitorHello {
  return parseMessage(visitorHello, header, peer);
}

/** What a worker says that keeps a state for this one, or ProtocolError. */
export function parseStateAnswer(header: unknown, peer: string): StateAnswer {
  return parseMessage(stateAnswer, header, peer);
}

/** What the worker says that has dialled our door, or ProtocolError. */
export function parsePeerRequest(header: unknown, peer: string): PeerRequest {
  return parseMessage(peerRequest, header, peer);
}

/** What the worker says whose door we dialled, or ProtocolError. */
export function parsePeerAnswer(header: unknown, peer: string): PeerAnswer {
  return parseMessage(peerAnswer, header, peer);
}
