import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertTrackIqResult } from '../../../test/validate/trackiq-records.ts';
import type { StepCommitted } from '../../metrics/events.ts';
import { canonicalResult } from './canonical-result.ts';
import type { PowerProfile } from './power-meter.ts';
import { resultSchema, trainingPayloadSchema } from '../results/result.ts';
import { StepRecorder } from './step-recorder.ts';
import { type RunFacts, trainingPayload } from './training-payload.ts';
import { DEFAULT_WORKLOAD } from './workloads.ts';

const WALL_MS = Date.UTC(2026, 0, 2);
const OPTIONS = { ...DEFAULT_WORKLOAD, steps: 4 };

/** Four steps of 10, 20, 30 and 40 ms: 100 ms in all. */
function recorded(): StepRecorder {
  const recorder = new StepRecorder();
  let ms = 500;
  for (const [i, stepMs] of [10, 20, 30, 40].entries()) {
    ms += stepMs;
    const event: StepCommitted = {
      kind: 'step',
      step: i + 1,
      epoch: 0,
      sampleCount: 32,
      lossMean: 4 - i,
      learningRate: 0.01,
      stepMs,
      computeMs: 0.5 * stepMs,
      communicateMs: 0.25 * stepMs,
      waitMs: 0.125 * stepMs,
      otherMs: 0.125 * stepMs,
      ranks: [],
    };
    recorder.add(event, { ms, wallMs: WALL_MS + ms });
  }
  return recorder;
}

const POWER: PowerProfile = {
  reader: 'rapl',
  source: 'a test',
  isEstimate: false,
  began: { ms: 500, wallMs: WALL_MS },
  ended: { ms: 600, wallMs: WALL_MS + 100 },
  readings: [{ step: 4, wallMs: WALL_MS + 100, watts: 50, celsius: 40 }],
  joules: 5,
  meanWatts: 50,
  meanCelsius: 40,
};

function payloadOf(facts: Partial<RunFacts> = {}): ReturnType<typeof trainingPayload> {
  return trainingPayload(recorded(), { options: OPTIONS, ...facts });
}

describe('trainingPayload', () => {
  test('has the totals of the steps, and times really taken', () => {
    const payload = payloadOf();

    assert.equal(payload.total_time_sec, 0.1);
    assert.deepEqual([payload.total_compute_time_ms, payload.total_allreduce_time_ms], [50, 25]);
    assert.deepEqual([payload.total_wait_time_ms, payload.total_other_time_ms], [12.5, 12.5]);
    assert.equal(payload.average_throughput_samples_per_sec, 1280);
    assert.deepEqual([payload.average_loss, payload.final_loss], [2.5, 1]);
    assert.equal(payload.start_timestamp, '2026-01-02T00:00:00.500+00:00');
    assert.equal(payload.end_timestamp, '2026-01-02T00:00:00.600+00:00');
    assert.deepEqual([payload.p50_allreduce_ms, payload.max_allreduce_ms], [6.25, 10]);
  });

  test('has the keys of the original’s configuration', () => {
    const { config } = payloadOf({ tdpWatts: 95, baselineThroughput: 800 });

    assert.deepEqual(Object.keys(config ?? {}).slice(0, 15), [
      ...[
        'num_steps',
        'learning_rate',
        'batch_size',
        'hidden_size',
        'num_layers',
        'input_size',
        'output_size',
      ],
      ...['loss_tolerance', 'num_processes', 'regression_threshold', 'seed', 'tdp_watts'],
      ...['collective_backend', 'baseline_throughput', 'workload'],
    ]);
    assert.deepEqual([config?.['tdp_watts'], config?.['baseline_throughput']], [95, 800]);
  });

  test('compares throughput with as many workers at the baseline’s speed', () => {
    assert.equal(payloadOf({ baselineThroughput: 800 }).scaling_efficiency_pct, 80);
    assert.equal(payloadOf().scaling_efficiency_pct, null);
  });

  test('says of power whether it is an estimate, and null when nothing was measured', () => {
    const { power_metrics: measured, power_tool_payload: profile } = payloadOf({ power: POWER });

    assert.deepEqual(measured, {
      power_consumption_watts: 50,
      energy_joules: 5,
      energy_per_step_joules: 1.25,
      performance_per_watt: 25.6,
      temperature_celsius: 40,
      estimated: false,
      source: 'a test',
    });
    assert.deepEqual((profile as { power_profile: { summary: unknown } }).power_profile.summary, {
      mean_power_watts: 50,
      max_power_watts: 50,
      peak_power_watts: 50,
      elapsed_seconds: 0.1,
      performance_per_watt: 25.6,
      total_energy_joules: 5,
      mean_temperature_celsius: 40,
    });
    assert.equal(payloadOf().power_metrics, null);
  });

  test('is a training payload by the schema', () => {
    const payload = payloadOf({ power: POWER, weightsDigest: 'aa', stateDigest: 'bb' });

    assert.deepEqual(trainingPayloadSchema.parse(JSON.parse(JSON.stringify(payload))), payload);
  });
});

describe('canonicalResult', () => {
  const facts = { batchSize: 32, memoryPercent: 12.5, timestamp: '2026-01-02T00:00:01.000+00:00' };

  test('is a result by the schema, with nothing in it that was not measured', () => {
    const result = canonicalResult(payloadOf(), facts);

    assert.deepEqual(resultSchema.parse(JSON.parse(JSON.stringify(result))), result);
    const { metrics } = result;
    assert.deepEqual(
      [metrics.latency_p50_ms, metrics.latency_p95_ms, metrics.memory_utilization_percent],
      [25, 38.5, 12.5],
    );
    assert.equal(metrics.communication_overhead_percent, (25 / 75) * 100);
    const unmeasured = Object.entries(metrics).filter(([, value]) => value === null);
    assert.deepEqual(
      unmeasured.map(([name]) => name),
      [
        ...[
          'power_consumption_watts',
          'energy_per_step_joules',
          'performance_per_watt',
          'temperature_celsius',
        ],
        ...['scaling_efficiency_pct', 'ttft_ms', 'tokens_per_sec', 'decode_tpt_ms'],
      ],
    );
  });

  test('is what TrackIQ’s own records take, with power and without', () => {
    for (const power of [undefined, POWER])
      assertTrackIqResult(canonicalResult(payloadOf({ power }), { ...facts, power }));
  });

  test('has power where it was measured', () => {
    const { metrics } = canonicalResult(payloadOf({ power: POWER }), { ...facts, power: POWER });

    assert.deepEqual(
      [
        metrics.power_consumption_watts,
        metrics.energy_per_step_joules,
        metrics.performance_per_watt,
      ],
      [50, 1.25, 25.6],
    );
  });
});
