/** What a person sees: on stderr, in colour on a terminal, as plain lines elsewhere. */
import { createInterface, type Interface } from 'node:readline';
import pc from 'picocolors';
import { paintedText } from './output.ts';

/** A question that stands at the end of the terminal. */
export interface Question {
  /** Takes it away. */
  readonly close: () => void;
}

/** What is too long is cut at the edge of the terminal, and is not. */
const NO_WRAP = '\u001b[?7l';
const WRAP = '\u001b[?7h';

/** A stream of lines with at most one live line, or a question, at its end. */
export class Terminal {
  readonly #stream: NodeJS.WriteStream;
  readonly isLive: boolean;
  #live = '';
  /** Rows that it takes. */
  #liveRows = 1;
  #reader: Interface | undefined;

  constructor(stream: NodeJS.WriteStream, environment: NodeJS.ProcessEnv) {
    this.#stream = stream;
    this.isLive =
      stream.isTTY && environment['NO_COLOR'] === undefined && environment['TERM'] !== 'dumb';
  }

  /** Characters of a line. */
  get columns(): number {
    return this.#stream.columns || 80;
  }

  /** Whether a person can be asked: what is typed and what is shown are of a terminal. */
  get canAsk(): boolean {
    return process.stdin.isTTY && this.#stream.isTTY;
  }

  /** A line that stays. */
  line(text: string): void {
    const live = this.#live;
    this.#erase();
    this.#stream.write(`${paintedText(text)}\n`);
    if (live !== '') this.live(live);
    this.#reader?.prompt(true);
  }

  /**
   * Asks a person to type lines, which `onLine` gets; there is no live line meanwhile, and one
   * question at a time. `onEnd` is told when nobody can type any more.
   */
  ask(question: string, onLine: (line: string) => void, onEnd: () => void): Question {
    this.#erase();
    const [input, output] = [process.stdin, this.#stream];
    const prompt = paintedText(question);
    const reader = createInterface({ input, output, prompt, historySize: 0 });
    const close = (): void => {
      if (this.#reader !== reader) return;
      this.#erase();
      this.#reader = undefined;
      reader.close();
    };
    this.#reader = reader;
    reader.on('line', (line) => {
      onLine(line);
      if (this.#reader === reader) reader.prompt();
    });
    // The terminal tells its programs of Ctrl-C by itself only as long as nobody edits a line.
    reader.on('SIGINT', () => process.kill(process.pid, 'SIGINT'));
    reader.on('close', () => {
      if (this.#reader !== reader) return;
      this.#reader = undefined;
      onEnd();
    });
    reader.prompt();
    return { close };
  }

  /** Replaces the live line; nothing without a terminal. */
  live(line: string): void {
    if (!this.isLive || this.#reader !== undefined) return;
    const text = paintedText(line);
    this.#erase();
    const { columns } = this;
    this.#live = text.length >= columns ? text.slice(0, columns - 1) : text;
    this.#stream.write(this.#live);
  }

  /** The same with several lines, of which as many are shown as there is room for. */
  liveLines(lines: readonly string[]): void {
    if (!this.isLive) return;
    this.#erase();
    // Each line ends where the terminal does, so that it takes one row of it, colours or not.
    const shown = lines.slice(0, this.#stream.rows - 1).map(paintedText);
    this.#live = shown.join('\n');
    this.#liveRows = shown.length;
    this.#stream.write(`${NO_WRAP}${this.#live}${WRAP}`);
  }

  /** Removes the live line for good. */
  end(): void {
    this.#erase();
  }

  #erase(): void {
    const hasLine = this.#live !== '' || this.#reader !== undefined;
    if (this.#liveRows > 1) this.#stream.write(`\r\u001b[${this.#liveRows - 1}A\u001b[J`);
    else if (hasLine) this.#stream.write('\r\u001b[2K');
    this.#live = '';
    this.#liveRows = 1;
  }
}

/** Functions that colour a text, or leave it as it is. */
export type Colours = ReturnType<typeof pc.createColors>;

/** Gives colours for `stream`: none when it is piped, or with NO_COLOR. */
export function paint(
  environment: NodeJS.ProcessEnv,
  stream: NodeJS.WriteStream = process.stderr,
): Colours {
  const isWanted =
    stream.isTTY && environment['NO_COLOR'] === undefined && environment['TERM'] !== 'dumb';
  return pc.createColors(isWanted || environment['FORCE_COLOR'] !== undefined);
}

/** Milliseconds as 850 ms, 12.3 s, 4 min 05 s. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`;
}

/** 12345678 as 12,345,678. */
export function grouped(count: number): string {
  // Not toLocaleString: loading the language data takes 100 ms.
  return String(Math.round(count)).replaceAll(/\B(?=(\d{3})+$)/g, ',');
}

/** A speed as 12,345, or below ten with a decimal. */
export function rate(perSecond: number): string {
  return perSecond < 9.95 ? perSecond.toFixed(1) : grouped(perSecond);
}

/** Bytes as 1.3 MB. */
export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = count;
  let unit = 0;
  for (; value >= 1_000 && unit < units.length - 1; unit++) value /= 1_000;
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit] ?? ''}`;
}
