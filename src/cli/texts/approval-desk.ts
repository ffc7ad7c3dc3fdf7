/** Lets newcomers in at a terminal: a person types the digits that a newcomer's screen shows. */
import type { Approver, Newcomer } from '../../access/approvals.ts';
import { codeText } from '../../access/comparison.ts';
import type { Colours, Question, Terminal } from '../shell/terminal.ts';

const PROMPT = 'let in by code: ';
const HELP = 'type the six digits that its screen shows to let it in, or no to turn it away';

interface Waiting {
  readonly newcomer: Newcomer;
  readonly answer: (isWelcome: boolean) => void;
}

/** Asks about newcomers, any number at a time. */
export class ApprovalDesk implements Approver {
  readonly #terminal: Pick<Terminal, 'line' | 'ask'>;
  readonly #colours: Colours;
  readonly #waiting = new Map<string, Waiting>();
  #question: Question | undefined;

  constructor(terminal: Pick<Terminal, 'line' | 'ask'>, colours: Colours) {
    this.#terminal = terminal;
    this.#colours = colours;
  }

  ask(newcomer: Newcomer, answer: (isWelcome: boolean) => void): () => void {
    const { yellow, bold } = this.#colours;
    const { code } = newcomer;
    this.#waiting.set(code, { newcomer, answer });
    this.#terminal.line(
      `${yellow('?')} ${nameOf(newcomer)} asks to join, with the code ` +
        `${bold(codeText(code))}: ${HELP}`,
    );
    this.#question ??= this.#terminal.ask(
      PROMPT,
      (line) => this.#hear(line),
      () => this.#turnAwayAll(),
    );
    return () => this.#takeBack(code);
  }

  #takeBack(code: string): void {
    this.#waiting.delete(code);
    if (this.#waiting.size > 0) return;
    this.#question?.close();
    this.#question = undefined;
  }

  /** Digits, with or without a space, `no` before them or alone. */
  #hear(line: string): void {
    const [, no, digits = ''] = /^(no?\b)?((?:\d| )*)$/i.exec(line.trim()) ?? [];
    const code = digits.replaceAll(' ', '');
    const one = this.#waiting.get(code);
    if (one !== undefined) return one.answer(no === undefined);
    if (code !== '') return this.#explain(`nobody who waits has the code ${codeText(code)}`);
    if (no === undefined) return this.#explain(HELP);
    const [first, ...others] = this.#waiting.values();
    if (others.length === 0) return first?.answer(false);
    this.#explain(`${others.length + 1} wait: type no and the code of the one that is meant`);
  }

  #explain(text: string): void {
    this.#terminal.line(this.#colours.dim(text));
  }

  /** Nobody can type any more. */
  #turnAwayAll(): void {
    this.#question = undefined;
    for (const { answer } of [...this.#waiting.values()]) answer(false);
  }
}

function nameOf({ holder, peer }: Newcomer): string {
  return `${holder} (${peer.slice(0, peer.lastIndexOf(':')).replace(/^::ffff:/, '')})`;
}
