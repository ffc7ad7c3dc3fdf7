/** Turns run events into lines and a progress bar. */
import type { RoundSizes, RunEvent, RunStarted, StepCommitted } from '../../metrics/events.ts';
import type { Terminal } from '../shell/terminal.ts';
import { duration, grouped, type paint, rate } from '../shell/terminal.ts';

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
export class Progress {
  readonly #terminal: Terminal;
  readonly #colours: ReturnType<typeof paint>;
  readonly #now: () => number;
  #steps = 0;
  #stepsPerEpoch = 1;
  #startedMs = 0;
  #drawnMs = 0;
  #loss: number | undefined;
  #accuracy: number | undefined;
  #stepMs: number | undefined;
  #seenSteps = 0;
  #samplesPerSecond: number | undefined;
  /** Set when steps are rounds. */
  #rounds: RoundSizes | undefined;

  constructor(terminal: Terminal, colours: ReturnType<typeof paint>, now: () => number) {
    this.#terminal = terminal;
    this.#colours = colours;
    this.#now = now;
    this.#drawnMs = now();
  }

  show(event: RunEvent): void {
    const { dim, yellow, red, green, bold } = this.#colours;
    const line = (text: string): void => this.#terminal.line(text);
    switch (event.kind) {
      case 'run-started':
        this.#steps = event.steps;
        this.#stepsPerEpoch = event.stepsPerEpoch;
        this.#rounds = event.rounds;
        return line(dim(`${grouped(event.parameterCount)} parameters, ${sizesText(event)}`));
      case 'worker-joined':
        if (this.#startedMs === 0) this.#startedMs = this.#now();
        return line(
          `${green('+')} rank ${event.rank} joined at ${this.#unit} ${event.step}: ` +
            `${event.host}, process ${event.processId}, ${event.device}, ${event.lanes} ` +
            `lane${event.lanes === 1 ? '' : 's'}`,
        );
      case 'worker-lost':
        return line(
          `${red('-')} rank ${event.rank} lost at ${this.#unit} ${event.step}: ${event.reason}`,
        );
      case 'worker-stalled':
        return line(
          `${yellow('!')} rank ${event.rank} stalled at ${this.#unit} ${event.step}: ` +
            event.reason,
        );
      case 'micro-batches-reissued':
        return line(
          `${yellow('!')} ${this.#unit} ${event.step}: ${event.microBatches.length} ` +
            `${this.#rounds === undefined ? 'micro-batches' : 'shards'} of rank ` +
            `${event.fromRank} go to others`,
        );
      case 'numerics-differ':
        return line(
          `${yellow('!')} workers differ in the last bits of their gradients ` +
            `(${event.classes.map(({ ranks }) => `ranks ${ranks.join(', ')}`).join(' | ')}): ` +
            'the digest depends on who computes what',
        );
      case 'step-redone':
        if (event.reason === 'overflow')
          line(dim(`${this.#unit} ${event.step + 1} computed again: gradients outgrew their grid`));
        return;
      case 'rolled-back':
        return line(
          event.reason === 'lost'
            ? `${yellow('!')} no worker holds ${this.#unit} ${event.fromStep} any more: going ` +
                `on from ${this.#unit} ${event.toStep}`
            : `${yellow('!')} steps ${event.toStep + 1} to ${event.fromStep} are computed again ` +
                'without it',
        );
      case 'worker-distrusted':
        return line(
          `${red('x')} rank ${event.rank} is put out at ${this.#unit} ${event.step}: ` +
            event.reason,
        );
      case 'worker-slow': {
        const times = (event.ms / Math.max(event.othersMs, 1e-3)).toFixed(1);
        const what = event.where === 'compute' ? 'computes' : 'is connected';
        return line(
          `${yellow('!')} rank ${event.rank} ${what} ${times} times slower than the others ` +
            `(${this.#unit} ${event.step})`,
        );
      }
      case 'clock-jumped':
        return line(
          dim(
            `the clock of rank ${event.rank} jumped by ${duration(Math.abs(event.jumpMs))}; ` +
              'nothing depends on it',
          ),
        );
      case 'worker-refused':
        return line(`${yellow('!')} ${event.peer} was refused: ${event.reason}`);
      case 'run-waiting':
        return line(`${yellow('!')} ${this.#unit} ${event.step}: ${event.reason}`);
      case 'step':
        return this.#showStep(event);
      case 'evaluation': {
        const accuracy =
          event.accuracy === undefined
            ? ''
            : `  accuracy ${bold(`${(event.accuracy * 100).toFixed(2)} %`)}`;
        const speed =
          this.#samplesPerSecond === undefined
            ? ''
            : dim(`  ${rate(this.#samplesPerSecond)} samples/s`);
        const train = this.#loss === undefined ? '' : `  train loss ${this.#loss.toFixed(4)}`;
        return line(
          `epoch ${event.epoch + 1}  ${this.#unit} ${event.step}${train}  ${event.split} loss ` +
            `${event.lossMean.toFixed(4)}${accuracy}${speed}`,
        );
      }
      case 'gradient-norms':
        return;
      default:
        event satisfies never;
    }
  }

  /** What a step is called. */
  get #unit(): string {
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

/** How much there is to do, in words. */
function sizesText({ steps, globalBatch, microBatch, rounds }: RunStarted): string {
  const batches = `of ${globalBatch} samples in micro-batches of ${microBatch}`;
  if (rounds === undefined) return `${grouped(steps)} steps ${batches}`;
  const { shards, localSteps } = rounds;
  const each = `${grouped(localSteps)} step${localSteps === 1 ? '' : 's'} ${batches}`;
  return (
    `${grouped(steps)} round${steps === 1 ? '' : 's'} of ${shards} ` +
    `shard${shards === 1 ? '' : 's'}, each ${each}`
  );
}
