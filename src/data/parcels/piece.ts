/** Pieces in which data go from the coordinator to a worker that lacks them. */

/** Bytes of samples in a piece, before it is packed. */
export const PIECE_BYTES: number = 1 << 20;

/** Part of the samples of a split, by its digest: bytes of the features (x) or the targets (y). */
export interface PieceRequest {
  /** SHA-256 of the split. */
  readonly split: string;
  readonly part: 'x' | 'y';
  readonly offset: number;
  /** At most `PIECE_BYTES`. */
  readonly byteLength: number;
}

/** Whether both are about the same bytes. */
export function isSamePiece(one: PieceRequest, other: PieceRequest): boolean {
  return (
    one.split === other.split &&
    one.part === other.part &&
    one.offset === other.offset &&
    one.byteLength === other.byteLength
  );
}

/** The bytes that were asked for, as they travel: raw deflate if they are packed. */
export interface Piece {
  readonly bytes: Uint8Array;
  readonly isPacked: boolean;
}

/** Somebody who has pieces. Rejects when that one is gone, or does not answer. */
export type AskForPiece = (request: PieceRequest) => Promise<Piece>;
