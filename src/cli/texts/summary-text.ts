import type { RunSummary } from '../../runs/run-summary.ts';
import { bytes, duration, grouped, type paint, rate } from '../shell/terminal.ts';

/** The summary of a run as a person reads it. */
export function summaryText(summary: RunSummary, colours: ReturnType<typeof paint>): string {
  const { bold, dim, green, yellow } = colours;
  const { ledger, events, timeSplit } = summary;
  const isFinished = summary.status === 'finished';
  // A sequence's loss has a plainer form: among how many tokens, equally likely, the model is left
  // to choose.
  const lossText = (loss: number | undefined): string | undefined =>
    loss === undefined || summary.task !== 'sequence'
      ? loss?.toFixed(4)
      : `${loss.toFixed(4)}, perplexity ${Math.exp(loss).toFixed(2)}`;
  const percent = (value: number): string => `${(value * 100).toFixed(2)} %`;
  const rows: [string, string | undefined][] = [
    [
      'test accuracy',
      summary.testAccuracy === undefined ? undefined : bold(percent(summary.testAccuracy)),
    ],
    ['test loss', lossText(summary.testLoss)],
    [
      'validation accuracy',
      summary.validationAccuracy === undefined
        ? undefined
        : bold(percent(summary.validationAccuracy)),
    ],
    ['validation loss', lossText(summary.validationLoss)],
    [
      summary.rounds === undefined ? 'steps' : 'rounds',
      `${grouped(summary.steps)} in ` +
        `${duration(summary.wallSeconds * 1_000)}${summary.samplesPerSecond === undefined ? '' : `, ${rate(summary.samplesPerSecond)} samples/s`}`,
    ],
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
        `${events.microBatchesReissued} ` +
        `${summary.rounds === undefined ? 'micro-batches' : 'shards'} re-issued`,
    ],
    [
      'audits',
      summary.microBatchesAudited === undefined
        ? undefined
        : `${grouped(summary.microBatchesAudited)} computed twice and compared, ` +
          `${events.workersDistrusted} workers put out`,
    ],
    [
      'time',
      `${timeSplit.compute} s computing, ${timeSplit.communicate} s communicating, ` +
        `${timeSplit.wait} s waiting, ${timeSplit.other} s other`,
    ],
    ['traffic', bytes(summary.bytesSent)],
    ['state digest', summary.stateDigest],
    ['files', summary.folder],
  ];
  const title = isFinished
    ? green('finished')
    : yellow(`${summary.status}: ${summary.reason ?? ''}`);
  const shown = rows.filter((row): row is [string, string] => row[1] !== undefined);
  return [title, ...shown.map(([name, value]) => `  ${dim(name.padEnd(20))}${value}`)].join('\n');
}
