import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { joined, stepOf } from '../../test/dashboard-events.ts';
import { metricsText } from './prometheus.ts';
import { RunFeed } from './run-feed.ts';

describe('metricsText', () => {
  test('gives each family a line of help and type, and every sample its labels', () => {
    const feed = new RunFeed('night', () => undefined);
    for (const event of [joined(0), joined(1, { host: 'mini' }), stepOf(1), stepOf(2)])
      feed.onEvent(event);

    const lines = metricsText(feed.view).trim().split('\n');

    assert.ok(lines.includes('# TYPE lockstep_step gauge'));
    assert.ok(lines.includes('lockstep_step{run="night"} 2'));
    const up = 'lockstep_worker_up{run="night",rank="1",host="mini",device="cpu"} 1';
    assert.ok(lines.includes(up));
    assert.ok(lines.includes('lockstep_events_total{run="night",kind="worker-joined"} 2'));
    const named = lines.filter((line) => !line.startsWith('#')).map((line) => line.split('{')[0]);
    for (const name of new Set(named)) {
      assert.equal(lines.filter((line) => line.startsWith(`# HELP ${name} `)).length, 1, name);
      assert.equal(lines.filter((line) => line.startsWith(`# TYPE ${name} `)).length, 1, name);
    }
  });

  test('lets no name end its label', () => {
    const feed = new RunFeed('a"} 1\n# HELP x\\', () => undefined);
    feed.onEvent(stepOf(1));

    assert.match(metricsText(feed.view), /^lockstep_step\{run="a\\"\} 1\\n# HELP x\\\\"\} 1$/m);
  });

  test('leaves out what was not measured', () => {
    const text = metricsText(new RunFeed('a', () => undefined).view);

    assert.doesNotMatch(text, /lockstep_train_loss|NaN|null/);
  });
});
