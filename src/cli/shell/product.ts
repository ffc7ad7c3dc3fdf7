/** What a command is there for, in the words that a person reads. */
import { writeNote, writeResult } from './output.ts';
import { type Colours, paint } from './terminal.ts';

/**
 * The text of a result: on stdout, where it can be piped; on stderr where a document with --json is
 * on stdout.
 */
export class Product {
  readonly colours: Colours;
  readonly #isBeside: boolean;

  constructor(environment: NodeJS.ProcessEnv, { json }: { readonly json?: boolean }) {
    this.#isBeside = json === true;
    this.colours = paint(environment, this.#isBeside ? process.stderr : process.stdout);
  }

  line(text: string): void {
    const write = this.#isBeside ? writeNote : writeResult;
    write(`${text}\n`);
  }
}
