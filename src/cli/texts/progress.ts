/** Turns run events into lines and a progress bar. */
import type { EventSink } from '../../metrics/event-sink.ts';
import type { RoundSizes, RunEvent, StepCommitted } from '../../metrics/events.ts';
import type { Terminal } from '../shell/terminal.ts';
import { type Colours, duration, rate } from '../shell/terminal.ts';
import { eventText } from './event-text.ts';

/** Columns of the bar, where the line has room for it. */
const BAR_WIDTH = 24;
const REDRAW_MS = 80;
/** Without a terminal a line of progress is printed this often. */
const PLAIN_LINE_MS = 5_000;
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
  #loss: number | undefined;
  #accuracy: number | undefined;
  #stepMs: number | undefined;
  #seenSteps = 0;
  #samplesPerSecond: number | undefined;
  /** Set when steps are rounds. */
  #rounds: RoundSizes | undefined;

  constructor(terminal: Terminal, colours: Colours, now: () => number) {
    this.#terminal = terminal;
    this.#colours = colours;
    this.#now = now;
    this.#drawnMs = now();
  }

  /** Takes an event at the moment it happens. */
  onEvent(event: RunEvent): void {
    if (event.kind === 'step') return this.#showStep(event);
    if (event.kind === 'run-started') {
      this.#steps = event.steps;
      this.#stepsPerEpoch = event.stepsPerEpoch;
      this.#rounds = event.rounds;
    }
    const [colours, unit] = [this.#colours, this.#unit];
    const [loss, samplesPerSecond] = [this.#loss, this.#samplesPerSecond];
    const line = eventText(event, { colours, unit, loss, samplesPerSecond });
    if (line !== undefined) this.#terminal.line(line);
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
      this.#samplesPerSecond = mean(
        this.#samplesPerSecond,
        (event.sampleCount / event.stepMs) * 1_000,
      );
    }
    const nowMs = this.#now();
    const interval = this.#terminal.isLive ? REDRAW_MS : PLAIN_LINE_MS;
    if (nowMs - this.#drawnMs < interval && event.step < this.#steps) return;
    this.#drawnMs = nowMs;
    const text = this.#statusLine(event);
    if (this.#terminal.isLive) this.#terminal.live(text);
    else this.#terminal.line(text);
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
