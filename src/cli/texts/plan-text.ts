import type { TrainConfig } from '../../config/train-config.ts';
import type { StepProfile } from '../../job/step-profile.ts';
import type { PlanChoice, Prediction, SumPath, TrainingShape } from '../../plan/predict.ts';
import { bytes, grouped } from '../shell/terminal.ts';

/** With which workers train by themselves between two exchanges. */
export const LOCAL_STRATEGY = 'local-sgd';

/** What predictions were made from. */
export interface PlanAbout {
  readonly config: Pick<TrainConfig, 'model' | 'dataset' | 'workers'>;
  readonly shape: TrainingShape;
  readonly measured: readonly {
    readonly machine: { readonly hostname: string; readonly cores: number };
    readonly step: StepProfile;
  }[];
  readonly choice: PlanChoice;
}

/** How `--collective` calls the ways; `hosts` is what `auto` makes of several workers a host. */
const PATHS: Readonly<Record<SumPath, string>> = {
  alone: '-',
  shm: 'shm',
  ring: 'ring',
  hosts: 'auto',
  star: 'star',
};

/** So many times faster is worth a word. */
const WORTH = 1.1;

/** What was measured, a table of the predictions, and what follows from them. */
export function planText(predictions: readonly Prediction[], about: PlanAbout): string {
  const { choice } = about;
  const rows = predictions.map((one) => [
    one === choice.exact ? '*' : '',
    ranksText(one.workers),
    strategyText(one),
    PATHS[one.path],
    msText(one.stepMs),
    msText(one.computeMs),
    msText(one.exchangeMs),
    grouped(Math.round(one.samplesPerSecond)),
    timesText(one, choice.alone),
  ]);
  const heads = ['', 'ranks', 'strategy', 'sums', 'ms/step', 'compute', 'exchange', 'samples/s'];
  const lines = [...headLines(about), '', ...tableOf([...heads, 'x one'], rows), ''];
  return [...lines, ...adviceOf(about), ''].join('\n');
}

function headLines({ config, shape, measured }: PlanAbout): readonly string[] {
  const { microBatches, microBatch, sumBytes } = shape;
  return [
    `${config.model} on ${config.dataset}: ${microBatches} x ${microBatch} samples a step, ` +
      `${bytes(sumBytes)} to add up`,
    ...measured.map(
      ({ machine, step }) =>
        `${machine.hostname}: ${msText(step.micro_batch_ms)} ms a micro-batch on each of ` +
        `${step.lanes} lane${step.lanes === 1 ? '' : 's'} (${step.device}), and ` +
        `${msText(step.step_fixed_ms)} ms a step`,
    ),
  ];
}

/** What to do, in lines; the first says which is fastest. */
function adviceOf({ config, choice }: PlanAbout): readonly string[] {
  const { alone, asked, exact, local } = choice;
  const best =
    exact.workers.length === 1
      ? `one worker, rank ${exact.workers.join()}`
      : `ranks ${ranksText(exact.workers)} with --collective ${PATHS[exact.path]}`;
  const lines = [`* fastest with the model of one machine, bit for bit: ${best}`];
  const where = asked.path === 'shm' ? ' on this machine' : ' over these links';
  if (asked.samplesPerSecond < alone.samplesPerSecond)
    lines.push(
      `! ${config.workers} workers${where}: ${timesText(asked, alone)} of one. ` +
        `Use --workers ${exact.workers.length}`,
    );
  if (local !== undefined && local.samplesPerSecond > WORTH * exact.samplesPerSecond)
    lines.push(
      `  --strategy ${LOCAL_STRATEGY} --replicas ${local.local?.shards} with ranks ` +
        `${ranksText(local.workers)}: predicted ${timesText(local, alone)} of one, ` +
        `an exchange every ${local.local?.localSteps} steps; ` +
        'not the same model',
    );
  return lines;
}

function strategyText({ local }: Prediction): string {
  return local === undefined ? 'sync' : `${LOCAL_STRATEGY}, ${local.localSteps} steps`;
}

/** `0-3`, or `0,2`. */
function ranksText(ranks: readonly number[]): string {
  const [first = 0] = ranks;
  const last = ranks.at(-1) ?? first;
  const isRange = ranks.length > 2 && last - first === ranks.length - 1;
  return isRange ? `${first}-${last}` : ranks.join(',');
}

function timesText(one: Prediction, alone: Prediction): string {
  return `${(one.samplesPerSecond / alone.samplesPerSecond).toFixed(2)}x`;
}

function msText(ms: number): string {
  return ms >= 100 ? ms.toFixed(0) : ms >= 10 ? ms.toFixed(1) : ms.toFixed(2);
}

/** Words to the left, numbers to the right. */
function tableOf(heads: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = heads.map((head, i) =>
    Math.max(head.length, ...rows.map((row) => row[i]?.length ?? 0)),
  );
  const isText = (i: number): boolean => i < 4;
  return [heads, ...rows].map((row) =>
    row
      .map((cell, i) => (isText(i) ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}
