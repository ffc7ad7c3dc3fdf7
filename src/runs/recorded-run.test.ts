import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { RuntimeError } from '../base/errors.ts';
import { parseTrainConfig } from '../config/parse-train-config.ts';
import { initialSnapshot } from '../coordinator/steps/trajectory.ts';
import { dataPlaces, datasetSpecOf, loadRunData } from '../job/data-source.ts';
import { makePlan } from '../job/make-plan.ts';
import { makeInitialState } from '../state/initial-state.ts';
import { RecordedRun } from './recorded-run.ts';
import { RunFiles } from './run-files.ts';

/** A small run in a folder of its own, which nobody computes. */
async function startRun(t: TestContext, signal: AbortSignal): Promise<[RecordedRun, RunFiles]> {
  const outDir = mkdtempSync(join(tmpdir(), 'lockstep-run-'));
  t.after(() => rmSync(outDir, { recursive: true }));
  const flags = { dataset: 'synthetic_image', imageSize: '8', samples: '400', model: 'mlp' };
  const { config } = parseTrainConfig([], flags);
  const data = await loadRunData(datasetSpecOf(config), dataPlaces(undefined, {}));
  const planned = makePlan(config, data, { runId: 'test', minWorkers: 1 });
  const files = new RunFiles(outDir, 'test');
  const of = { config, name: 'test', planned, files };
  const given = { ...of, sinks: [], onPhase: () => {}, startedMs: 0, signal };
  const initial = initialSnapshot(makeInitialState(planned.plan, planned.bytes.given));
  return [new RecordedRun({ ...given, software: '1.0.0' }, initial), files];
}

describe('RecordedRun', () => {
  test('writes no model that nobody has trained, and says why', async (t) => {
    const stopping = new AbortController();
    const [run, { folder }] = await startRun(t, stopping.signal);

    stopping.abort();
    const summary = await run.finished();
    run.observe({ kind: 'run-waiting', step: 0, reason: 'too late to tell' });

    const noModel = 'no state later than the initial one was fetched from a worker yet';
    assert.deepEqual([summary.modelStep, summary.noModel], [undefined, noModel]);
    assert.deepEqual(readdirSync(folder).sort(), ['logs', 'metrics.jsonl', 'summary.json']);
    const lines = readFileSync(join(folder, 'metrics.jsonl'), 'utf8').trim().split('\n');
    const { time: _, ...last } = JSON.parse(lines.at(-1)!) as Record<string, unknown>;
    assert.deepEqual(last, { kind: 'run-unfinished', step: 0, noModel });
  });

  test('leaves nothing at a signal that outlives it', async (t) => {
    const { signal } = new AbortController();
    const [run] = await startRun(t, signal);
    const finished = run.finished();
    assert.equal(getEventListeners(signal, 'abort').length, 1);

    run.fail(new RuntimeError('no more'));

    await assert.rejects(finished, { message: 'no more' });
    assert.deepEqual(getEventListeners(signal, 'abort'), []);
  });
});
