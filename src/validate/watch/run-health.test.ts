import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { RankStep, RunEvent } from '../../metrics/events.ts';
import { healthSchema } from '../results/result.ts';
import { RunHealth } from './run-health.ts';

const WALL_MS = Date.UTC(2026, 0, 2);

function joined(rank: number, step = 0): RunEvent {
  const place = {
    host: 'here',
    processId: 100 + rank,
    device: 'cpu',
    lanes: 1,
    numericsClass: 'a',
    stateFrom: 'coordinator',
  };
  return { kind: 'worker-joined', rank, workerId: `worker-${rank}`, step, ...place };
}

/**
 * A step of 32 samples in 8 micro-batches; what is not said of a rank is as for an even, fast one.
 */
function stepOf(step: number, ranks: readonly (Partial<RankStep> & { rank: number })[]): RunEvent {
  return {
    kind: 'step',
    step,
    epoch: 0,
    sampleCount: 32,
    lossMean: 1 / step,
    learningRate: 0.01,
    stepMs: 10,
    computeMs: 8,
    communicateMs: 2,
    waitMs: 0,
    otherMs: 0,
    ranks: ranks.map((rank) => ({
      samples: 16,
      microBatches: 4,
      computeMs: 8,
      communicateMs: 2,
      waitMs: 0,
      ...rank,
    })),
  };
}

function healthAfter(...events: readonly RunEvent[]): RunHealth {
  const health = new RunHealth('a-run', 100);
  for (const event of events) health.add(event, WALL_MS);
  return health;
}

function statuses(health: RunHealth): string[] {
  return health.snapshots().map(({ status }) => status);
}

const SLOW: RunEvent = {
  kind: 'worker-slow',
  rank: 1,
  workerId: 'worker-1',
  step: 3,
  where: 'compute',
  ms: 500,
  othersMs: 2,
};

describe('RunHealth', () => {
  test('is a health file by the schema, before and after the first step', () => {
    for (const health of [healthAfter(), healthAfter(joined(0), stepOf(1, [{ rank: 0 }]))]) {
      const file = health.file(WALL_MS, false);
      assert.deepEqual(healthSchema.parse(JSON.parse(JSON.stringify(file))), file);
    }
  });

  test('tells how far the run is, and how fast every worker is while it has work', () => {
    const health = healthAfter(
      joined(0),
      joined(1),
      stepOf(1, [{ rank: 0 }, { rank: 1, computeMs: 14 }]),
    );

    const { completed_steps, total_steps, workers, is_complete } = health.file(WALL_MS + 5, true);
    assert.deepEqual([completed_steps, total_steps, is_complete], [1, 100, true]);
    assert.deepEqual(
      workers.map((worker) => [worker.worker_id, worker.step, worker.throughput_samples_per_sec]),
      [
        [0, 1, 1600],
        [1, 1, 1000],
      ],
    );
  });

  test('does not call a worker slow that has less work than another', () => {
    const uneven = [
      { rank: 0, samples: 20, microBatches: 5, computeMs: 10, communicateMs: 0 },
      { rank: 1, samples: 4, microBatches: 1, computeMs: 2, communicateMs: 0 },
    ];
    const health = healthAfter(joined(0), joined(1), stepOf(1, uneven));

    const speeds = health.snapshots().map((worker) => worker.throughput_samples_per_sec);
    assert.deepEqual(speeds, [2000, 2000]);
  });

  test('shows means over some steps, not the last one', () => {
    const health = healthAfter(joined(0));
    for (let step = 1; step <= 40; step++)
      health.add(stepOf(step, [{ rank: 0, computeMs: step === 40 ? 208 : 8 }]), WALL_MS);

    assert.equal(health.snapshots()[0]?.compute_time_ms, 18);
  });

  test('calls a worker failed when it is lost, put out or stalled', () => {
    const who = { rank: 1, workerId: 'worker-1', step: 1, reason: 'a test' };
    const ends: readonly RunEvent[] = [
      { kind: 'worker-lost', ...who },
      { kind: 'worker-stalled', silentMs: 2000, ...who },
      { kind: 'worker-distrusted', microBatch: 0, ...who },
    ];
    for (const end of ends) {
      const health = healthAfter(joined(0), joined(1), stepOf(1, [{ rank: 0 }, { rank: 1 }]), end);
      health.add(stepOf(2, [{ rank: 0 }]), WALL_MS);

      assert.deepEqual(statuses(health), ['healthy', 'failed'], end.kind);
      const [alive, gone] = health.snapshots();
      assert.deepEqual([alive?.step, gone?.step, gone?.throughput_samples_per_sec], [2, 1, 0]);
    }
  });

  test('calls a worker healthy again when it has joined again or contributed', () => {
    const stalled: RunEvent = {
      kind: 'worker-stalled',
      rank: 1,
      workerId: 'worker-1',
      step: 1,
      silentMs: 2000,
      reason: '',
    };
    const lost: RunEvent = {
      kind: 'worker-lost',
      rank: 1,
      workerId: 'worker-1',
      step: 1,
      reason: '',
    };
    const both = stepOf(1, [{ rank: 0 }, { rank: 1 }]);

    assert.deepEqual(statuses(healthAfter(joined(0), joined(1), both, lost, joined(1, 1))), [
      'healthy',
      'healthy',
    ]);
    assert.deepEqual(statuses(healthAfter(joined(0), joined(1), stalled, both)), [
      'healthy',
      'healthy',
    ]);
  });

  test('calls a worker that left failed, though what it contributed before still counts', () => {
    const left: RunEvent = {
      kind: 'worker-lost',
      rank: 1,
      workerId: 'worker-1',
      step: 0,
      reason: 'it was interrupted',
    };
    const both = stepOf(1, [{ rank: 0 }, { rank: 1 }]);

    assert.deepEqual(statuses(healthAfter(joined(0), joined(1), left, both)), [
      'healthy',
      'failed',
    ]);
  });

  test('calls a worker slow from the report until it is as fast as the others', () => {
    const health = healthAfter(joined(0), joined(1), SLOW);
    for (let step = 1; step <= 3; step++)
      health.add(stepOf(step, [{ rank: 0 }, { rank: 1, computeMs: 500 }]), WALL_MS);
    assert.deepEqual(statuses(health), ['healthy', 'slow']);

    for (let step = 4; step <= 150; step++)
      health.add(stepOf(step, [{ rank: 0 }, { rank: 1 }]), WALL_MS);
    assert.deepEqual(statuses(health), ['healthy', 'healthy']);
  });

  test('goes back with the run', () => {
    const health = healthAfter(joined(0), stepOf(1, [{ rank: 0 }]), stepOf(2, [{ rank: 0 }]), {
      kind: 'rolled-back',
      fromStep: 2,
      toStep: 0,
      reason: 'distrusted',
    });

    assert.equal(health.file(WALL_MS, false).completed_steps, 0);
  });

  test('has a worker without work in the run, at the step of its replica', () => {
    const health = healthAfter(
      joined(0),
      joined(1),
      stepOf(1, [{ rank: 0 }]),
      stepOf(2, [{ rank: 0 }]),
    );

    assert.deepEqual(
      health
        .snapshots()
        .map((worker) => [worker.status, worker.step, worker.throughput_samples_per_sec > 0]),
      [
        ['healthy', 2, true],
        ['healthy', 2, false],
      ],
    );
  });
});
