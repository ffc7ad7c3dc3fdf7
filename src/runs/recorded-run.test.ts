import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { RuntimeError } from '../base/errors.ts';
import { parseTrainConfig } from '../config/parse-train-config.ts';
import { dataPlaces, datasetSpecOf, loadRunData } from '../job/data-source.ts';
import { makePlan } from '../job/make-plan.ts';
import { RecordedRun } from './recorded-run.ts';
import { RunFiles } from './run-files.ts';

describe('RecordedRun', () => {
  test('leaves nothing at a signal that outlives it', async (t) => {
    const outDir = mkdtempSync(join(tmpdir(), 'lockstep-run-'));
    t.after(() => rmSync(outDir, { recursive: true }));
    const flags = { dataset: 'synthetic_image', imageSize: '8', samples: '400', model: 'mlp' };
    const { config } = parseTrainConfig([], flags);
    const data = await loadRunData(datasetSpecOf(config), dataPlaces(undefined, {}));
    const planned = makePlan(config, data, { runId: 'test', minWorkers: 1 });
    const { signal } = new AbortController();
    const files = new RunFiles(outDir, 'test');
    const given = { config, name: 'test', planned, files, sinks: [], startedMs: 0, signal };
    const run = new RecordedRun(given);
    const finished = run.finished();
    assert.equal(getEventListeners(signal, 'abort').length, 1);

    run.fail(new RuntimeError('no more'));

    await assert.rejects(finished, { message: 'no more' });
    assert.deepEqual(getEventListeners(signal, 'abort'), []);
  });
});
