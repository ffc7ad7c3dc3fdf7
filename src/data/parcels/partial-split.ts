/** A split that comes from the coordinator piece by piece, and is continued where it broke off. */
import { DataError, invariant, ProtocolError } from '../../base/errors.ts';
import type { Dataset } from '../dataset.ts';
import { datasetDigest } from '../dataset-digest.ts';
import { sharedBytes } from '../shared-memory.ts';
import { partBytes, type SplitOffer, targetOf } from './offer.ts';
import { unpackPiece } from './packing.ts';
import { type AskForPiece, PIECE_BYTES, type PieceRequest } from './piece.ts';

/** Pieces that are asked for before the first of them is here. */
const ASKED_AT_ONCE = 4;

/** Memory for the samples of a split. */
export interface SplitBytes {
  readonly x: Uint8Array<SharedArrayBuffer>;
  readonly y: Uint8Array<SharedArrayBuffer>;
}

/** Takes memory for a split, which is zero. Throws DataError or ShortageError when that is too much. */
export function memoryFor(offer: SplitOffer, what: string): SplitBytes {
  return {
    x: sharedBytes(partBytes(offer, 'x'), what),
    y: sharedBytes(partBytes(offer, 'y'), what),
  };
}

/** The split that is offered, in memory that may hold other bytes, or not all of them yet. */
function splitIn(offer: SplitOffer, { x, y }: SplitBytes, name: string): Dataset {
  const { sampleCount, features, vocabulary, normalisation, augmentation, digest } = offer;
  return {
    ...{ name, sampleCount, features, target: targetOf(offer), normalisation, digest },
    ...(vocabulary !== undefined && { vocabulary }),
    ...(augmentation !== undefined && { augmentation }),
    x: offer.x === 'uint8' ? x : wordsOf(x, offer.x),
    y: wordsOf(y, offer.y),
  };
}

/** The split that was offered, of these bytes. Throws DataError when they are others. */
export function splitOf(offer: SplitOffer, bytes: SplitBytes, name: string): Dataset {
  const split = splitIn(offer, bytes, name);
  checkBytes(split);
  return split;
}

/** Throws unless the samples of a split are those of its digest. */
function checkBytes(split: Dataset): void {
  const { name, digest } = split;
  const found = datasetDigest(split);
  if (found !== digest)
    throw new DataError(
      `${name}: expected samples with SHA-256 ${digest}, got ${found}: what the ` +
        'coordinator sent is not what it offered. Start the worker again; nothing of it was kept.',
    );
  checkIds(split);
}

function wordsOf({ buffer }: Uint8Array<SharedArrayBuffer>, type: SplitOffer['y']): Dataset['y'] {
  return type === 'int32' ? new Int32Array(buffer) : new Float32Array(buffer);
}

/** The bytes of a split as it is in memory. */
export function bytesOf({ x, y }: Dataset): SplitBytes {
  return {
    x: new Uint8Array(x.buffer, x.byteOffset, x.byteLength),
    y: new Uint8Array(y.buffer, y.byteOffset, y.byteLength),
  };
}

/** One split on its way. */
export class PartialSplit {
  /** Its memory; not all samples are in it before they are received. */
  readonly split: Dataset;
  readonly #bytes: SplitBytes;
  readonly #pieces: readonly PieceRequest[];
  /** Pieces that are here, in order. */
  #here = 0;
  #wireBytes = 0;

  /** Throws as `memoryFor`. */
  constructor(offer: SplitOffer, name: string) {
    this.#bytes = memoryFor(offer, name);
    this.split = splitIn(offer, this.#bytes, name);
    this.#pieces = [...piecesOf(offer, 'x'), ...piecesOf(offer, 'y')];
  }

  /** Bytes that came for it so far, packed as they were. */
  get wireBytes(): number {
    return this.#wireBytes;
  }

  /** Bytes of its samples. */
  get byteLength(): number {
    return this.#bytes.x.length + this.#bytes.y.length;
  }

  /**
   * Gets the pieces that are not here yet; what came stays if that fails.
   *
   * Throws: what `ask` rejects with; ProtocolError for bytes that are no pieces; DataError when the
   *         whole is not what was offered.
   */
  async receive(ask: AskForPiece): Promise<void> {
    const coming: Promise<Uint8Array>[] = [];
    const missing = this.#pieces.slice(this.#here);
    const ahead = missing[Symbol.iterator]();
    const askNext = (): void => {
      const { value: piece } = ahead.next();
      if (piece !== undefined) coming.push(this.#get(piece, ask));
    };
    for (let i = 0; i < ASKED_AT_ONCE; i++) askNext();
    for (const { part, offset } of missing) {
      const bytes = await coming.shift();
      invariant(bytes !== undefined, 'every piece was asked for');
      askNext();
      this.#bytes[part].set(bytes, offset);
      this.#here++;
    }
    checkBytes(this.split);
  }

  #get(request: PieceRequest, ask: AskForPiece): Promise<Uint8Array> {
    const coming = ask(request).then((piece) => {
      this.#wireBytes += piece.bytes.length;
      return unpackPiece(piece, request.byteLength);
    });
    // Of several that fail together the first is heard of.
    coming.catch(() => {});
    return coming;
  }
}

function piecesOf(offer: SplitOffer, part: PieceRequest['part']): PieceRequest[] {
  const byteLength = partBytes(offer, part);
  return Array.from({ length: Math.ceil(byteLength / PIECE_BYTES) }, (_, index) => {
    const offset = index * PIECE_BYTES;
    return {
      split: offer.digest,
      part,
      offset,
      byteLength: Math.min(PIECE_BYTES, byteLength - offset),
    };
  });
}

/** Labels and tokens are indices into tables of memory: no reader of files has looked at these. */
function checkIds({ name, x, y, vocabulary, target }: Dataset): void {
  if ('classes' in target) {
    const most = target.classes - (target.kind === 'classification' ? 1 : 0);
    checkRange(y, most, `${name}: labels`);
  }
  if (vocabulary !== undefined) checkRange(x, vocabulary - 1, `${name}: tokens`);
}

function checkRange(values: Dataset['x'] | Dataset['y'], most: number, what: string): void {
  for (const value of values)
    if (value < 0 || value > most)
      throw new ProtocolError(`${what}: expected 0 to ${most}, got ${value}`);
}
