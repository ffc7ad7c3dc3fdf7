/** Turns run events into lines and a progress bar. */
import type { EventSink } from '../../metrics/event-sink.ts';
import type { Progressed, RoundSizes, RunEvent, StepCommitted } from '../../metrics/events.ts';
import type { Terminal } from '../shell/terminal.ts';
import { type Colours, duration, grouped, rate } from '../shell/terminal.ts';
import { eventText } from './event-text.ts';

/** Columns of the bar, where the line has room for it. */
const BAR_WIDTH = 24;
const REDRAW_MS = 80;
/** Without a terminal a line of progress is printed this often. */
const PLAIN_LINE_MS = 5_000;
/** What takes long is shown so often, and said again in a line without a terminal. */
const TICK_MS = 1_000;
const PLAIN_TICK_MS = 8_000;
/** What leaves no time for anything else is said at once after so long a silence. */
const QUIET_MS = 5_000;
/** Running means shown go over about so many steps, or all there were. */
const SMOOTHED_STEPS = 20;

/**
 * Shows a run on a terminal: lines for what happens, and a live line with bar, speed and time left.
 */
export class Progress implements EventSink {
  readonly #terminal: Terminal;
  readonly #colours: Colours;
  readonly #now: () => number;
  #steps = 0;
  #stepsPerEpoch = 1;
  #drawnMs = 0;
  /** When something was last said that stays. */
  #saidMs: number;
  /** What the run is busy with that takes long, and since when. */
  #busy: { readonly text: (elapsedMs: number) => string; readonly sinceMs: number } | undefined;
  readonly #ticker: NodeJS.Timeout;
  #loss: number | undefined;
  #accuracy: number | undefined;
  #stepMs: number | undefined;
  #seenSteps = 0;
  #samples: number | undefined;
  #samplesPerSecond: number | undefined;
  /** Set when steps are rounds. */
  #rounds: RoundSizes | undefined;

  constructor(terminal: Terminal, colours: Colours, now: () => number) {
    this.#terminal = terminal;
    this.#colours = colours;
    this.#now = now;
    this.#drawnMs = this.#saidMs = now();
    this.#ticker = setInterval(() => this.#showBusy(PLAIN_TICK_MS), TICK_MS).unref();
  }

  /** Something begins, in words, that may take long and leave no time for anything else. */
  phase(text: string): void {
    this.#busy = { text: (ms) => `${text}${since(ms)}`, sinceMs: this.#now() };
    this.#showBusy(QUIET_MS);
  }

  /** Shows nothing more. */
  close(): void {
    clearInterval(this.#ticker);
    this.#busy = undefined;
  }

  /** Shows what takes long; as a line, if nothing was said for `quietMs`. */
  #showBusy(quietMs: number): void {
    if (this.#busy === undefined) return;
    const nowMs = this.#now();
    const { text, sinceMs } = this.#busy;
    const line = this.#colours.dim(text(nowMs - sinceMs));
    if (this.#terminal.isLive) this.#terminal.live(line);
    else if (nowMs - this.#saidMs >= quietMs) this.#say(line);
  }

  #say(line: string): void {
    this.#saidMs = this.#now();
    this.#terminal.line(line);
  }

  /** Takes an event at the moment it happens. */
  onEvent(event: RunEvent): void {
    if (event.kind === 'progress') return this.#follow(event);
    if (event.kind === 'step' || event.kind === 'evaluation') this.#busy = undefined;
    if (event.kind === 'step') return this.#showStep(event);
    if (event.kind === 'run-started') {
      this.#steps = event.steps;
      this.#stepsPerEpoch = event.stepsPerEpoch;
      this.#rounds = event.rounds;
    }
    const [colours, unit] = [this.#colours, this.#unit];
    const [loss, samplesPerSecond] = [this.#loss, this.#samplesPerSecond];
    const line = eventText(event, { colours, unit, loss, samplesPerSecond });
    if (line !== undefined) this.#say(line);
  }

  #follow(event: Progressed): void {
    const sinceMs = this.#now() - event.elapsedMs;
    this.#busy = { text: (ms) => this.#progressText(event, ms), sinceMs };
    this.#showBusy(PLAIN_TICK_MS);
  }

  #progressText({ activity, step, done, of }: Progressed, elapsedMs: number): string {
    const [count, all] = [grouped(done), grouped(of)];
    const left = done === 0 ? '' : `  ETA ${duration((elapsedMs / done) * (of - done))}`;
    const next = grouped(Math.min(done + 1, of));
    const unit = `${this.#unit} ${step + 1}/${this.#steps}`;
    const part = this.#rounds === undefined ? 'micro-batch' : 'shard';
    const texts = {
      loading: `workers load data and model, and try it: ${count} of ${all} ready`,
      'handing-over': `workers get the weights: ${count} of ${all} have them`,
      measuring: `${unit}: measuring gradients on one ${part}`,
      training: `${unit}: ${part} ${next} of ${all}`,
      evaluating: `evaluating ${count} of ${all} samples${left}`,
      collecting: 'collecting the last state',
    };
    return `${texts[activity]}${since(elapsedMs)}`;
  }

  /** What a step is called. */
  get #unit(): 'step' | 'round' {
    return this.#rounds === undefined ? 'step' : 'round';
  }

  #showStep(event: StepCommitted): void {
    this.#seenSteps++;
    const part = this.#rounds === undefined ? 1 / Math.min(this.#seenSteps, SMOOTHED_STEPS) : 1;
    const mean = (before: number | undefined, value: number): number =>
      before === undefined ? value : before + part * (value - before);
    this.#loss = mean(this.#loss, event.lossMean);
    if (event.accuracy !== undefined) this.#accuracy = mean(this.#accuracy, event.accuracy);
    if (event.stepMs > 0) {
      this.#stepMs = mean(this.#stepMs, event.stepMs);
      // A mean of rates would be above that of the time they take.
      this.#samples = mean(this.#samples, event.sampleCount);
      this.#samplesPerSecond = (this.#samples / this.#stepMs) * 1_000;
    }
    const nowMs = this.#now();
    const interval = this.#terminal.isLive ? REDRAW_MS : PLAIN_LINE_MS;
    if (nowMs - this.#drawnMs < interval && event.step < this.#steps) return;
    this.#drawnMs = nowMs;
    const text = this.#statusLine(event);
    if (this.#terminal.isLive) this.#terminal.live(text);
    else this.#say(text);
  }

  #statusLine(event: StepCommitted): string {
    const accuracy =
      this.#accuracy === undefined ? '' : `  acc ${(this.#accuracy * 100).toFixed(1)} %`;
    const eta = duration((this.#stepMs ?? 0) * (this.#steps - event.step));
    const epochs = Math.ceil(this.#steps / this.#stepsPerEpoch) * (this.#rounds?.localEpochs ?? 1);
    const text =
      `epoch ${event.epoch + 1}/${epochs}  ${this.#unit} ${event.step}/${this.#steps}  loss ` +
      `${this.#loss?.toFixed(4) ?? ''}${accuracy}  ${rate(this.#samplesPerSecond ?? 0)} ` +
      `samples/s  ETA ${eta}`;
    if (!this.#terminal.isLive) return text;
    const width = Math.min(BAR_WIDTH, this.#terminal.columns - text.length - 2);
    if (width < 4) return text;
    const filled = Math.round((event.step / Math.max(1, this.#steps)) * width);
    return `${'█'.repeat(filled)}${'░'.repeat(width - filled)} ${text}`;
  }
}

/** How long something has lasted, once that is worth telling. */
function since(elapsedMs: number): string {
  return elapsedMs < 1_000 ? '' : `  (${duration(Math.floor(elapsedMs / 1_000) * 1_000)})`;
}
