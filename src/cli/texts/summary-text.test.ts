import assert from 'node:assert/strict';
import { test } from 'node:test';
import pc from 'picocolors';
import type { RunSummary } from '../../runs/run-summary.ts';
import { summaryText } from './summary-text.ts';

const SUMMARY = {
  status: 'finished',
  task: 'classification',
  steps: 60,
  samplesPerSecond: 960,
  wallSeconds: 5.4,
  timeSplit: { compute: 0.4, communicate: 0.5, wait: 0.2, other: 0.6 },
  ledger: { expected: 1440, counted: 1440, dropped: 0, duplicated: 0 },
  workers: [{ rank: 0, samples: 1464 }],
  events: { workersJoined: 1, workersLost: 0, microBatchesReissued: 0 },
  bytesSent: 0,
  stateDigest: 'd',
  folder: 'f',
} as unknown as RunSummary;

test('a summary says of one span how long steps took and how fast, and of the whole time all parts', () => {
  const text = summaryText(SUMMARY, pc.createColors(false));

  assert.match(text, /^ {2}steps +60 in 1\.5 s, 960 samples\/s$/m);
  assert.match(
    text,
    /^ {2}time +5\.4 s: 400 ms computing, 500 ms communicating, 200 ms waiting, 600 ms other, 3\.7 s starting and ending$/m,
  );
});
