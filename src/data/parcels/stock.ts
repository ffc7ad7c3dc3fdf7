/** The data of a run as its coordinator gives them: by digest, in pieces. */
import type { Dataset } from '../dataset.ts';
import { type DataOffer, offerOf } from './offer.ts';
import { packPiece } from './packing.ts';
import type { Piece, PieceRequest } from './piece.ts';

/** Where packing did not pay, so many pieces go as they are before it is tried again. */
const UNTRIED_PIECES = 15;

/** What is given, packed where that pays. */
export class DataStock {
  readonly offer: DataOffer;
  readonly #splits: ReadonlyMap<string, Dataset>;
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
    void this.#pack(`${request.split} ${request.part}`, bytes).then(done, asItIs);
    return true;
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
