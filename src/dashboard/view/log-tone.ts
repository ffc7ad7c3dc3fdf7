import type { FeedEvent } from './feed-record.ts';

/** What a colour says of a line: something came back, is to be looked at, or is wrong. */
export type LogTone = 'good' | 'warn' | 'bad' | 'plain';

const TONES: { readonly [K in FeedEvent['kind']]?: LogTone } = {
  'worker-joined': 'good',
  'workers-taken-back': 'good',
  'worker-lost': 'bad',
  'worker-given-up': 'bad',
  'worker-distrusted': 'bad',
  'replicas-differ': 'bad',
  'result-not-repeated': 'bad',
  'file-failed': 'bad',
  diverged: 'bad',
  'rolled-back': 'bad',
  'worker-stalled': 'warn',
  'worker-restarting': 'warn',
  'worker-refused': 'warn',
  'worker-slow': 'warn',
  'micro-batches-reissued': 'warn',
  'numerics-differ': 'warn',
  'workers-left-out': 'warn',
  'worker-overtaken': 'warn',
  'exchange-bound': 'warn',
  'run-waiting': 'warn',
  'run-unfinished': 'warn',
  'lines-damaged': 'warn',
};

/** The tone of an event. */
export function toneOf(event: FeedEvent): LogTone {
  if (event.kind === 'run-ended') return event.status === 'finished' ? 'good' : 'bad';
  return TONES[event.kind] ?? 'plain';
}
