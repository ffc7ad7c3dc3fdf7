import { ProtocolError } from '../base/errors.ts';

/** Memory that the messages of all peers at a door may take together. */
export class MemoryBudget {
  readonly #mostBytes: number;
  #bytes = 0;

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  /** Bytes that are taken at the moment. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes memory until it is given back. Throws: ProtocolError when there is too little left. */
  take(bytes: number): void {
    if (this.#bytes + bytes > this.#mostBytes)
      throw new ProtocolError(
        `receiving a message: the messages of all peers take ${this.#mostBytes >> 20} MiB ` +
          'already. Try again later.',
      );
    this.#bytes += bytes;
  }

  giveBack(bytes: number): void {
    this.#bytes -= bytes;
  }
}
