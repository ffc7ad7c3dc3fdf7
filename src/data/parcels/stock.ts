/** The data of a run as its coordinator gives them: by digest, in pieces. */
import type { Dataset } from '../dataset.ts';
import { type DataOffer, offerOf } from './offer.ts';
import { packPiece } from './packing.ts';
import type { Piece, PieceRequest } from './piece.ts';

/** Where packing did not pay, so many pieces go as they are before it is tried again. */
const UNTRIED_PIECES = 15;

/** Bytes of packed pieces that are kept: several workers that come together ask for the same. */
const MAX_KEPT_BYTES = 64 << 20;
/** What each of them is counted for besides: somebody may ask for the smallest that there are. */
const ENTRY_BYTES = 1 << 10;

/** What is given, packed where that pays. */
export class DataStock {
  readonly offer: DataOffer;
  readonly #splits: ReadonlyMap<string, Dataset>;
  /** Packed pieces, and those that are being packed, oldest first. */
  readonly #kept = new Map<string, Promise<Piece>>();
  /** Of each that is packed. */
  readonly #keptBytes = new Map<string, number>();
  #totalBytes = 0;
  /** Pieces of each part that go unpacked before packing is tried. */
  readonly #untried = new Map<string, number>();

  constructor(data: { readonly train: Dataset; readonly evaluate: Dataset }) {
    this.offer = offerOf(data);
    this.#splits = new Map([data.train, data.evaluate].map((split) => [split.digest, split]));
  }

  /** Calls back with a piece, later; false when there are no such bytes. */
  read(request: PieceRequest, done: (piece: Piece) => void): boolean {
    const bytes = this.#bytesOf(request);
    if (bytes === undefined) return false;
    // What cannot be packed, for lack of memory, goes as it is.
    const asItIs = (): void => done({ bytes: bytes.slice(), isPacked: false });
    void this.#piece(request, bytes).then(done, asItIs);
    return true;
  }

  async #piece(
    { split, part, offset, byteLength }: PieceRequest,
    bytes: Uint8Array,
  ): Promise<Piece> {
    const key = [split, part, offset, byteLength].join(' ');
    const known = this.#kept.get(key);
    if (known !== undefined) return known;
    const packing = this.#pack(`${split} ${part}`, bytes);
    this.#kept.set(key, packing);
    try {
      const piece = await packing;
      this.#keep(key, piece);
      return piece;
    } catch (error) {
      this.#kept.delete(key);
      throw error;
    }
  }

  /** Only what took time to make is kept, and the oldest goes first. */
  #keep(key: string, { bytes, isPacked }: Piece): void {
    if (!isPacked) return void this.#kept.delete(key);
    const size = bytes.length + ENTRY_BYTES;
    this.#keptBytes.set(key, size);
    this.#totalBytes += size;
    for (const [oldest, oldBytes] of this.#keptBytes) {
      if (this.#totalBytes <= MAX_KEPT_BYTES) return;
      this.#keptBytes.delete(oldest);
      this.#kept.delete(oldest);
      this.#totalBytes -= oldBytes;
    }
  }

  #bytesOf({ split, part, offset, byteLength }: PieceRequest): Uint8Array | undefined {
    const values = this.#splits.get(split)?.[part];
    if (values === undefined || offset + byteLength > values.byteLength) return undefined;
    return new Uint8Array(values.buffer, values.byteOffset + offset, byteLength);
  }

  async #pack(key: string, bytes: Uint8Array): Promise<Piece> {
    const untried = this.#untried.get(key) ?? 0;
    if (untried > 0) {
      this.#untried.set(key, untried - 1);
      return { bytes: bytes.slice(), isPacked: false };
    }
    const piece = await packPiece(bytes);
    if (!piece.isPacked) this.#untried.set(key, UNTRIED_PIECES);
    return piece;
  }
}
