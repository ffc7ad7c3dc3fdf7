/**
 * Frames that no honest worker sends: messages of every kind, changed in every way that we could
 * think of. A mutation that keeps the checksums right gets past them, to the parser, the schemas
 * and the rules of who may say what.
 */
import { crc32 } from 'node:zlib';
import { PROTOCOL_VERSION, type ToCoordinator } from '../../src/protocol/messages.ts';
import {
  encodeFrameHead,
  FRAME_PREFIX_BYTES,
  HEADER_CRC,
  payloadFactsOf,
  PREFIX_CRC,
} from '../../src/transport/frame.ts';
import type { Choices } from '../simulation/choices.ts';
import { hello } from './peer.ts';

const RECORD = {
  microBatch: 0,
  sampleCount: 32,
  lossSum: 1.5,
  correctSum: 3,
  maxima: [0.5, 0.25, null],
  checksum: 7,
  computeMs: 2,
};

/** What a worker says after its hello, about a pass that is long over. */
export const STALE: readonly ToCoordinator[] = [
  { kind: 'contribution', pass: 1, records: [RECORD], busyMs: 3 },
  { kind: 'contribution', pass: 0, records: [], busyMs: 0 },
  { kind: 'applied', step: 1, norms: [1, null] },
  { kind: 'digest', step: 1, ask: 0, weightsDigest: 'w', stateDigest: 's' },
  { kind: 'serving', secret: 's', stateDigest: 's' },
  { kind: 'fetched', serial: 1 },
  { kind: 'released', pass: 1, microBatches: [0, 1] },
  { kind: 'audited', pass: 1, records: [RECORD] },
  { kind: 'heartbeat', progress: 1, busyLanes: 1, wallMs: 1e12, upMs: 10 },
];

const SAYINGS: readonly object[] = [
  ...STALE,
  hello(),
  { kind: 'ready', dataDigest: 'd', numericsClass: 'n', loadMs: 1, trialMs: 1 },
  { kind: 'sendSamples', split: 'd', part: 'x', offset: 0, byteLength: 1024 },
  { kind: 'state', step: 1, offset: 0 },
  { kind: 'failed', reason: 'no reason' },
  // What the coordinator says, said to it.
  { kind: 'refused', reason: 'go away', isForNow: true },
  { kind: 'plan', pass: 1, work: 'train', step: 1, leases: [0], exponents: [], reduction: 'star' },
  { kind: 'lease', pass: 1, microBatches: [0] },
  { kind: 'release', pass: 1, count: 1 },
  { kind: 'commit', pass: 1, step: 1, exponents: [], update: { sampleCount: 1, scalars: {} } },
  { kind: 'sendState', step: 1 },
  { kind: 'serveState', step: 1, secret: 's' },
  { kind: 'sendDigest', step: 1, ask: 1 },
  { kind: 'goodbye', reason: 'over' },
];

const LINKS: readonly object[] = [
  { offer: { processId: process.pid, descriptor: 0, nonce: '00' } },
  { offer: { processId: 1, descriptor: 1, nonce: 'f'.repeat(64) } },
  { offer: { processId: -1, descriptor: 2 ** 53 - 1, nonce: '' } },
  { accepted: true },
  { free: 4096 },
  { free: -1 },
  { failed: 'I give up\u001b[2J' },
  { failed: 7 },
  [],
];

const ODD: readonly unknown[] = [
  ...[
    -1,
    0.5,
    2 ** 53,
    1e308,
    -0,
    65_536,
    null,
    true,
    '',
    'x',
    [],
    {},
    [[]],
    [null],
    'x'.repeat(900),
  ],
  '\u001b[2J\n::error::forged',
  '\ud800',
  { ['__proto__']: { kind: 'hello' }, constructor: 1 },
];

function pick<T>(choices: Choices, all: readonly T[]): T {
  return all[choices.below(all.length)]!;
}

function frameOf(choices: Choices, message: object = pick(choices, SAYINGS)): Uint8Array {
  return encodeFrameHead(message);
}

/** A frame around any bytes in place of the JSON. */
function frameAround(header: Uint8Array): Uint8Array {
  const frame = Buffer.concat([encodeFrameHead({}).subarray(0, FRAME_PREFIX_BYTES), header]);
  frame.writeUInt32LE(header.length, 8);
  return mended(frame);
}

/** The same with the checksums that it should have. */
function mended(frame: Uint8Array): Uint8Array {
  const view = Buffer.from(frame);
  view.writeUInt32LE(crc32(view.subarray(FRAME_PREFIX_BYTES)), HEADER_CRC);
  view.writeUInt32LE(crc32(view.subarray(0, PREFIX_CRC)), PREFIX_CRC);
  return view;
}

function flipBits(choices: Choices, frame: Uint8Array, from: number): Uint8Array {
  const bytes = Buffer.from(frame);
  for (let flips = 1 + choices.below(4); flips > 0; flips--)
    bytes[from + choices.below(bytes.length - from)]! ^= 1 << choices.below(8);
  return bytes;
}

/** A message with something odd in one place, somewhere. */
function changed(choices: Choices, message: object): object {
  const copy = structuredClone(message) as Record<string, unknown>;
  const key = pick(choices, Object.keys(copy));
  const value = copy[key];
  if (typeof value === 'object' && value !== null && Object.keys(value).length > 0)
    if (choices.chance(0.7)) return { ...copy, [key]: changed(choices, value) };
  if (choices.chance(0.15)) delete copy[key];
  else copy[key] = pick(choices, ODD);
  return copy;
}

/** Every way to make a frame that ends its connection, or has no effect. */
const MUTATIONS = {
  'bits flipped': (choices) => flipBits(choices, frameOf(choices), 0),
  'bits flipped, checksums right': (choices) =>
    mended(flipBits(choices, frameOf(choices), FRAME_PREFIX_BYTES)),
  'prefix changed, its checksum right': (choices) => {
    const frame = Buffer.from(frameOf(choices));
    const at = pick(choices, [4, 5, 6, 8, 9, 11, 12, 15, 16, 20]);
    frame[at] = choices.below(256);
    frame.writeUInt32LE(crc32(frame.subarray(0, PREFIX_CRC)), PREFIX_CRC);
    return frame;
  },
  'cut off': (choices) => {
    const frame = frameOf(choices);
    return frame.subarray(0, 1 + choices.below(frame.length - 1));
  },
  'bytes without order': (choices) =>
    Uint8Array.from({ length: 1 + choices.below(200) }, () => choices.below(256)),
  'odd values': (choices) => frameOf(choices, changed(choices, pick(choices, SAYINGS))),
  'odd greeting': (choices) => frameOf(choices, changed(choices, hello())),
  'deep JSON': (choices) => {
    const depth = 1 + choices.below(1_900);
    return frameAround(Buffer.from('['.repeat(depth) + ']'.repeat(depth)));
  },
  'not UTF-8': (choices) => frameAround(Buffer.from([0x22, 0x80 + choices.below(128), 0x22])),
  'long numbers': (choices) =>
    frameAround(Buffer.from(`{"kind":"applied","step":${'9'.repeat(1 + choices.below(3_000))}}`)),
  'greeting of another version': () => encodeFrameHead(hello({ protocol: PROTOCOL_VERSION + 1 })),
  'session that was guessed': (choices) =>
    encodeFrameHead(hello({ channel: 'data', session: String(choices.below(1e6)) })),
  'payload where none belongs': (choices) => {
    const payload = new Uint8Array(1 + choices.below(300));
    const message = pick(choices, SAYINGS);
    return Buffer.concat([encodeFrameHead(message, payloadFactsOf(payload)), payload]);
  },
  'payload that is promised': (choices) =>
    encodeFrameHead(pick(choices, SAYINGS), { byteLength: choices.below(2 ** 32), checksum: 0 }),
  'link message': (choices) => encodeFrameHead(pick(choices, LINKS), undefined, 'link'),
  'payload in a file': (choices) =>
    encodeFrameHead(
      { offset: pick(choices, [0, 4096, -1, 2 ** 53 - 1, 'x']), header: pick(choices, SAYINGS) },
      { byteLength: choices.below(1 << 20), checksum: 0 },
      'local',
    ),
} satisfies Record<string, (choices: Choices) => Uint8Array>;

/** The name of a way to change a frame. */
type Mutation = keyof typeof MUTATIONS;

const NAMES = Object.keys(MUTATIONS) as Mutation[];

/** A frame that is wrong, and what is wrong with it. */
export function mutatedFrame(choices: Choices): { mutation: Mutation; bytes: Uint8Array } {
  const mutation = pick(choices, NAMES);
  return { mutation, bytes: MUTATIONS[mutation](choices) };
}

/** A frame that its sender has no reason to send; it has no effect, and its connection goes on. */
export function staleFrame(choices: Choices, kinds: readonly ToCoordinator['kind'][]): Uint8Array {
  const message = pick(
    choices,
    STALE.filter(({ kind }) => kinds.includes(kind)),
  );
  if (message.kind !== 'heartbeat') return encodeFrameHead(message);
  const [progress, busyLanes] = [choices.below(2 ** 31), choices.below(1e6)];
  return encodeFrameHead({ ...message, progress, busyLanes, wallMs: choices.magnitude(1, 1e300) });
}
