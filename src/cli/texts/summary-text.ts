import type { RunSummary } from '../../runs/run-summary.ts';
import { type Colours, bytes, duration, grouped, rate } from '../shell/terminal.ts';

type Row = readonly [name: string, value: string | undefined];

/** The summary of a run as a person reads it. */
export function summaryText(summary: RunSummary, colours: Colours): string {
  const { dim, green, red, yellow } = colours;
  const finished =
    summary.diverged === undefined ? green('finished') : yellow('finished, but it has diverged');
  const title =
    summary.status === 'finished' ? finished : yellow(`${summary.status}: ${summary.reason ?? ''}`);
  const rows: readonly Row[] = [
    ...qualityRows(summary, colours),
    ...workRows(summary),
    ['model', summary.status === 'finished' ? undefined : modelText(summary)],
    ['traffic', bytes(summary.bytesSent)],
    ['state digest', summary.stateDigest],
    ['files', summary.folder],
    ['model', summary.modelFolder],
    ...(summary.fileFailures ?? []).map(({ file, consequence }): Row => [
      'not as asked',
      red(`${file}: ${consequence}`),
    ]),
  ];
  const lines = rows.flatMap(([name, value]) =>
    value === undefined ? [] : [`  ${dim(name.padEnd(20))}${value}`],
  );
  return [title, ...lines].join('\n');
}

function modelText({ modelStep, noModel, rounds }: RunSummary): string {
  const unit = rounds === undefined ? 'step' : 'round';
  return modelStep === undefined ? `none: ${noModel}` : `of ${unit} ${modelStep}`;
}

/** How good the model is. */
function qualityRows(summary: RunSummary, { bold }: Colours): Row[] {
  const percent = (value: number | undefined): string | undefined =>
    value === undefined ? undefined : bold(`${(value * 100).toFixed(2)} %`);
  // A sequence's loss has a plainer form: the model is left to choose among so many equally likely
  // tokens.
  const lossText = (loss: number | undefined): string | undefined =>
    loss === undefined || summary.task !== 'sequence'
      ? loss?.toFixed(4)
      : `${loss.toFixed(4)}, perplexity ${Math.exp(loss).toFixed(2)}`;
  return [
    ['test accuracy', percent(summary.testAccuracy)],
    ['test loss', lossText(summary.testLoss)],
    ['validation accuracy', percent(summary.validationAccuracy)],
    ['validation loss', lossText(summary.validationLoss)],
  ];
}

/** What was done, by whom, and where the time went. */
function workRows(summary: RunSummary): Row[] {
  const { ledger, events, samplesPerSecond, microBatchesAudited, rounds } = summary;
  // Of the steps alone, as the speed is.
  const speed =
    samplesPerSecond === undefined || summary.resumedAtStep !== undefined
      ? ''
      : ` in ${secondsText(ledger.counted / samplesPerSecond)}, ${rate(samplesPerSecond)} samples/s`;
  return [
    ['from step', summary.resumedAtStep === undefined ? undefined : grouped(summary.resumedAtStep)],
    [rounds === undefined ? 'steps' : 'rounds', `${grouped(summary.steps)}${speed}`],
    [
      'samples',
      `${grouped(ledger.counted)} of ${grouped(ledger.expected)} counted, ${ledger.dropped} ` +
        `dropped, ${ledger.duplicated} twice`,
    ],
    [
      'workers',
      summary.workers
        .map(({ rank, samples }) => `rank ${rank}: ${grouped(samples)} samples`)
        .join(', '),
    ],
    [
      'events',
      `${events.workersJoined} joined, ${events.workersLost} lost, ` +
        `${events.microBatchesReissued} ${rounds === undefined ? 'micro-batches' : 'shards'} ` +
        're-issued',
    ],
    [
      'audits',
      microBatchesAudited === undefined
        ? undefined
        : `${grouped(microBatchesAudited)} computed twice and compared, ` +
          `${events.workersDistrusted} workers put out`,
    ],
    ['late gradients', summary.late && lateText(summary.late)],
    ['time', timeText(summary)],
  ];
}

/** What became of gradients that steps did not wait for. */
function lateText(late: NonNullable<RunSummary['late']>): string {
  const { addedSamples, addedAs, leftOutSamples, lostSamples, staleness } = late;
  const steps = Object.entries(staleness).map(([age, count]) => ({ age: Number(age), count }));
  const gradients = steps.reduce((sum, { count }) => sum + count, 0);
  const mean = steps.reduce((sum, { age, count }) => sum + age * count, 0) / gradients;
  const oldest = Math.max(...steps.map(({ age }) => age));
  const age =
    gradients === 0
      ? ''
      : ` (counted as ${grouped(addedAs)}; ${mean.toFixed(1)} steps old, at most ${oldest})`;
  const waited =
    late.boundSteps === 0
      ? ''
      : `, ${grouped(late.boundSteps)} steps waited ${duration(late.boundMs)} for them`;
  return (
    `${grouped(addedSamples)} samples added later${age}, ${grouped(leftOutSamples)} left out, ` +
    `${grouped(lostSamples)} lost${waited}; the result depends on when they came`
  );
}

/** The whole time of the command, in parts that add up to it. */
function timeText({ wallSeconds, timeSplit }: RunSummary): string {
  const { compute, communicate, wait, other } = timeSplit;
  const rest = Math.max(0, wallSeconds - compute - communicate - wait - other);
  const parts: readonly (readonly [number, string])[] = [
    [compute, 'computing'],
    [communicate, 'communicating'],
    [wait, 'waiting'],
    [other, 'other'],
    [rest, 'starting and ending'],
  ];
  const text = parts.map(([seconds, what]) => `${secondsText(seconds)} ${what}`).join(', ');
  return `${secondsText(wallSeconds)}: ${text}`;
}

function secondsText(seconds: number): string {
  return duration(seconds * 1_000);
}
