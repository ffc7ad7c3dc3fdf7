/** The events of a run as lines on a terminal. */
import type { RunEvent, RunStarted } from '../../metrics/events.ts';
import { bytes as bytesText, type Colours, duration, grouped, rate } from '../shell/terminal.ts';
import { LOCAL_STRATEGY } from './plan-text.ts';

/** What a line says beside what its event holds. */
export interface RunSoFar {
  readonly colours: Colours;
  /** What a step is called. */
  readonly unit: 'step' | 'round';
  /** Running mean of the training loss; undefined before the first step. */
  readonly loss: number | undefined;
  readonly samplesPerSecond: number | undefined;
}

type EventsByKind = { readonly [E in RunEvent as E['kind']]: E };
type Kind = keyof EventsByKind;
type LineOf<K extends Kind> = (event: EventsByKind[K], run: RunSoFar) => string | undefined;

/** How sums travel, in words. */
const SUM_WAYS = {
  shm: 'added up in memory that is shared',
  hosts: 'added up on each machine, and then between machines',
  ring: 'added up in a ring',
  star: 'added up by the coordinator',
} as const;

const LINES: { readonly [K in Kind]: LineOf<K> } = {
  'run-started': (event, { colours: { dim } }) =>
    dim(`${grouped(event.parameterCount)} parameters, ${sizesText(event)}${returnText(event)}`),
  'data-received': ({ rank, bytes, wireBytes, receiveMs }, { colours: { dim } }) =>
    dim(
      `rank ${rank} got the data from here: ${bytesText(bytes)}, ${bytesText(wireBytes)} on the ` +
        `way, in ${duration(receiveMs)}`,
    ),
  'worker-joined': ({ rank, step, host, processId, device, lanes }, { colours: { green }, unit }) =>
    `${green('+')} rank ${rank} joined at ${unit} ${step}: ${host}, process ${processId}, ` +
    `${device}, ${lanes} ${named(lanes, 'lane')}`,
  'worker-lost': ({ rank, step, reason }, { colours: { red }, unit }) =>
    `${red('-')} rank ${rank} lost at ${unit} ${step}: ${reason}`,
  'worker-stalled': ({ rank, step, reason }, { colours: { yellow }, unit }) =>
    `${yellow('!')} rank ${rank} stalled at ${unit} ${step}: ${reason}`,
  'worker-distrusted': ({ rank, step, reason }, { colours: { red }, unit }) =>
    `${red('x')} rank ${rank} is put out at ${unit} ${step}: ${reason}`,
  'replicas-differ': ({ step, ranks }, { colours: { red }, unit }) =>
    `${red('!')} after ${unit} ${step}, ranks ${ranks.join(' and ')} have different weights, and ` +
    'nobody can tell which are right: they go on from what they had in common',
  'result-not-repeated': ({ rank, step, reason }, { colours: { red }, unit }) =>
    `${red('!')} rank ${rank}, ${unit} ${step}: ${reason}. The ${unit} is computed again`,
  'worker-refused': ({ peer, reason }, { colours: { yellow } }) =>
    `${yellow('!')} ${peer} was refused: ${reason}`,
  // The question is on the terminal, and a note says what became of it.
  'approval-asked': () => undefined,
  'approval-ended': () => undefined,
  'worker-restarting': ({ rank, deaths, pauseMs, reason }, { colours: { yellow } }) =>
    `${yellow('!')} rank ${rank} is started again in ${duration(pauseMs)}: ` +
    `${reason}${timesText(deaths)}`,
  'worker-given-up': ({ rank, deaths, reason }, { colours: { red } }) =>
    `${red('x')} rank ${rank} is not started again: ${reason}${timesText(deaths)}`,
  'worker-slow': ({ rank, step, where, ms, othersMs }, { colours: { yellow }, unit }) => {
    const times = (ms / Math.max(othersMs, 1e-3)).toFixed(1);
    const what = where === 'compute' ? 'computes' : 'is connected';
    return (
      `${yellow('!')} rank ${rank} ${what} ${times} times slower than the others ` +
      `(${unit} ${step})`
    );
  },
  // Measured speeds move: what that comes to, the summary tells.
  rebalanced: ({ policy, step, shares, stragglers }, { colours: { dim }, unit }) => {
    if (policy === 'adaptive') return undefined;
    const parts = shares.map(({ rank, microBatches }) => `rank ${rank} ${microBatches}`);
    const slow = stragglers.map((rank) => `; rank ${rank} is a straggler`).join('');
    return dim(`${policy} shares from ${unit} ${step + 1} on: ${parts.join(', ')}${slow}`);
  },
  'clock-jumped': ({ rank, jumpMs }, { colours: { dim } }) =>
    dim(`the clock of rank ${rank} jumped by ${duration(Math.abs(jumpMs))}; nothing depends on it`),
  'numerics-differ': ({ classes }, { colours: { yellow } }) =>
    `${yellow('!')} workers differ in the last bits of their gradients ` +
    `(${classes.map(({ ranks }) => `ranks ${ranks.join(', ')}`).join(' | ')}): ` +
    'the digest depends on who computes what',
  'micro-batches-reissued': (event, { colours: { yellow }, unit }) =>
    `${yellow('!')} ${unit} ${event.step}: ${event.microBatches.length} ` +
    `${unit === 'step' ? 'micro-batches' : 'shards'} of rank ${event.fromRank} go to others`,
  // What is added is as it should be: the summary tells how much that was.
  'gradient-late': ({ rank, step, became, samples, lateMs }, { colours: { yellow } }) => {
    if (became === 'added') return undefined;
    const what = became === 'lost' ? 'is lost' : `is left out: it came ${duration(lateMs)} late`;
    const whose = `${samples} samples of rank ${rank}`;
    return `${yellow('!')} step ${step}: the gradient of ${whose} ${what}`;
  },
  'staleness-bound': ({ step, ranks, waitMs }, { colours: { dim } }) =>
    dim(
      `step ${step} waited ${duration(waitMs)} for ${ranks.length === 1 ? 'rank' : 'ranks'} ` +
        `${ranks.join(' and ')}, by --max-staleness`,
    ),
  'collective-chosen': (event, { colours: { dim, yellow } }) => {
    const { collective, ranks, reason, predictedMs } = event;
    if (reason !== undefined && predictedMs === undefined)
      return `${yellow('!')} sums of gradients go through the coordinator: ${reason}`;
    const why = reason === undefined ? '' : `: ${reason}`;
    return dim(`sums of ranks ${ranks.join(', ')} are ${SUM_WAYS[collective]}${why}`);
  },
  'workers-left-out': (event, { colours: { yellow }, unit }) => {
    const { ranks, stepMs, predictedMs, retryMs } = event;
    const [who, them] =
      ranks.length === 1
        ? [`rank ${ranks[0]} stands`, 'it']
        : [`ranks ${ranks.join(', ')} stand`, 'them'];
    return (
      `${yellow('!')} ${who} by: a ${unit} takes ${duration(stepMs)} with ${them}, since ` +
      `sums are so long on their way, and should take ${duration(predictedMs)} without; tried again after ` +
      `${duration(retryMs)}. For such links there is --strategy ${LOCAL_STRATEGY}`
    );
  },
  'workers-taken-back': ({ ranks, step }, { colours: { dim }, unit }) =>
    dim(
      ranks.length === 1
        ? `rank ${ranks[0]}, which stood by, takes part again from ${unit} ${step + 1} on`
        : `ranks ${ranks.join(', ')}, which stood by, take part again from ${unit} ${step + 1} on`,
    ),
  'worker-overtaken': ({ rank, step, triedMs, retryMs }, { colours: { yellow }, unit }) =>
    `${yellow('!')} rank ${rank} takes no part: after ${duration(triedMs)} the others were at ${unit} ` +
    `${step}, and the state on its way to it was too old; tried again after ${duration(retryMs)}. ` +
    `For such links there is --strategy ${LOCAL_STRATEGY}`,
  'step-redone': ({ step, reason }, { colours: { dim, yellow }, unit }) => {
    if (reason === 'calibration') return undefined;
    if (reason === 'overflow')
      return dim(`${unit} ${step + 1} computed again: gradients grew beyond what was expected`);
    return (
      `${yellow('!')} ${unit} ${step + 1} computed again: a gradient was far larger than it is ` +
      'when computed again. Is a machine broken? --audit 0.05 finds out which'
    );
  },
  'rolled-back': ({ reason, fromStep, toStep }, { colours: { yellow }, unit }) =>
    reason === 'lost'
      ? `${yellow('!')} no worker holds ${unit} ${fromStep} any more: going on from ` +
        `${unit} ${toStep}`
      : `${yellow('!')} ${unit}s ${toStep + 1} to ${fromStep} are computed again` +
        (reason === 'distrusted' ? ' without it' : ''),
  // There may be many, and they are no news.
  'checkpoint-written': () => undefined,
  'run-unfinished': (event, { colours: { yellow }, unit }) => {
    const { step, modelStep, modelFile, noModel, checkpointStep, resume } = event;
    const model =
      modelStep === undefined
        ? `there is no model, since ${noModel}`
        : `the model is that of ${unit} ${modelStep}`;
    const ways = [
      ...(resume === undefined ? [] : [`to go on from ${unit} ${checkpointStep}: ${resume}`]),
      ...(modelStep === undefined ? [] : [`to begin anew from it: --model ${modelFile}`]),
    ];
    const end = `the run ends at ${unit} ${step}, before its last`;
    return `${yellow('!')} ${end}: ${[model, ...ways].join('; ')}`;
  },
  'run-waiting': ({ step, reason }, { colours: { yellow }, unit }) =>
    `${yellow('!')} ${unit} ${step}: ${reason}`,
  'file-failed': ({ file, reason, consequence }, { colours: { red } }) =>
    `${red('!')} ${file}: ${reason}; ${consequence}`,
  diverged: ({ step, lossMean, firstLoss }, { colours: { red }, unit }) =>
    `${red('!')} ${unit} ${step}: the training has diverged: the loss is ` +
    `${lossMean.toPrecision(4)}, the first was ${firstLoss.toPrecision(4)}. Lower --lr, or clip ` +
    'gradients with --clip-norm',
  'exchange-bound': (event, { colours: { yellow }, unit }) => {
    const { steps, computeMs, communicateMs, waitMs, limit, rank, fewer } = event;
    const what = {
      link: `the connection of rank ${rank} limits`,
      worker: `the others wait for rank ${rank}`,
      exchange: 'the exchange limits',
    };
    const takenMs = computeMs + communicateMs + waitMs;
    const advice = [
      ...(fewer === undefined ? [] : [`--workers ${fewer.ranks.length}`]),
      ...(unit === 'step' ? [`--strategy ${LOCAL_STRATEGY}`] : []),
      'a larger --global-batch',
    ];
    return (
      `${yellow('!')} in each of the last ${steps} ${unit}s workers computed for ` +
      `${duration(computeMs)}, and exchanged and waited for ${duration(communicateMs + waitMs)}: ` +
      `${what[limit]}. ` +
      (fewer === undefined ? '' : fewerText(fewer, takenMs)) +
      `What may help: ${advice.join(', or ')}; lockstep plan predicts it`
    );
  },
  evaluation: (event, { colours: { bold, dim }, unit, loss, samplesPerSecond }) => {
    const { epoch, step, split, lossMean, accuracy } = event;
    const train = loss === undefined ? '' : `  train loss ${loss.toFixed(4)}`;
    const right =
      accuracy === undefined ? '' : `  accuracy ${bold(`${(accuracy * 100).toFixed(2)} %`)}`;
    const speed =
      samplesPerSecond === undefined ? '' : dim(`  ${rate(samplesPerSecond)} samples/s`);
    return (
      `epoch ${epoch + 1}  ${unit} ${step}${train}  ${split} loss ${lossMean.toFixed(4)}` +
      `${right}${speed}`
    );
  },
  // The bar tells of steps; norms are for the files.
  step: () => undefined,
  'gradient-norms': () => undefined,
  // Shown for as long as it lasts.
  progress: () => undefined,
};

/** Gives the line that tells of an event; undefined when none does. */
export function eventText(event: RunEvent, run: RunSoFar): string | undefined {
  const line = lineOf(event.kind, event, run);
  const leftOut = 'leftOut' in event ? event.leftOut : undefined;
  return line === undefined || leftOut === undefined
    ? line
    : `${line} (and ${grouped(leftOut)} more of this kind that are not shown)`;
}

function lineOf<K extends Kind>(
  kind: K,
  event: EventsByKind[K],
  run: RunSoFar,
): string | undefined {
  return LINES[kind](event, run);
}

/** How much there is to do, in words. */
function sizesText({ steps, globalBatch, microBatch, rounds }: RunStarted): string {
  const batches = `of ${globalBatch} samples in micro-batches of ${microBatch}`;
  if (rounds === undefined) return `${grouped(steps)} steps ${batches}`;
  const { shards, localSteps } = rounds;
  return (
    `${grouped(steps)} ${named(steps, 'round')} of ${shards} ${named(shards, 'shard')}, each ` +
    `${grouped(localSteps)} ${named(localSteps, 'step')} ${batches}`
  );
}

/** Where a run goes on whose coordinator was started again. */
function returnText({ resumedAtStep = 0, workersWithState: count, rounds }: RunStarted): string {
  if (count === undefined) return '';
  const unit = rounds === undefined ? 'step' : 'round';
  const who = `${count} ${named(count, 'worker')} ${count === 1 ? 'has' : 'have'} the state`;
  return `; going on from ${unit} ${grouped(resumedAtStep)}, of which ${who}`;
}

function timesText(deaths: number): string {
  return deaths > 1 ? ` (${deaths} times in a row)` : '';
}

/** The noun as it stands behind this number. */
function named(count: number, noun: string): string {
  return count === 1 ? noun : `${noun}s`;
}

function fewerText(
  { ranks, stepMs }: { readonly ranks: readonly number[]; readonly stepMs: number },
  takenMs: number,
): string {
  const [who, are] = ranks.length === 1 ? ['rank', 'is'] : ['ranks', 'are'];
  return (
    `${who[0]?.toUpperCase()}${who.slice(1)} ${ranks.join(', ')} alone ${are} predicted to be ` +
    `${(takenMs / stepMs).toFixed(1)} times as fast. `
  );
}
