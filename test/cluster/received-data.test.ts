/** Workers that lack the data of a run. */
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { type Program, startProgram, REPOSITORY, temporaryFolder } from './processes.ts';
import { assertSameModel, referenceOf, type Run, startRun } from './runs.ts';

/** Samples of three kinds that can be learnt. */
function table(): string {
  const row = (i: number): string =>
    [Math.sin(i * 1.7) + (i % 3), Math.cos(i * 0.3), ((i * 37) % 11) / 11, i % 3].join(',');
  return Array.from({ length: 900 }, (_, i) => row(i)).join('\n');
}

/** A worker on a machine whose cache is `cache`, and that has no folder of data. */
async function startBareWorker(
  t: TestContext,
  run: Run,
  cache: string,
  ...more: readonly string[]
): Promise<Program> {
  const args = ['worker', '--join', await run.address(), '--lanes', '1', ...more];
  const bin = join(REPOSITORY, 'bin/lockstep.js');
  return startProgram(t, 'env', [`XDG_CACHE_HOME=${cache}`, process.execPath, bin, ...args]);
}

describe('a worker without the data of a run', () => {
  test('gets them once from its coordinator, whatever its own are, and makes the same model', async (t) => {
    const folder = temporaryFolder(t);
    const path = join(folder, 'table.csv');
    writeFileSync(path, table());
    const settings = ['--dataset', path, '--seed', '5', '--steps', '40', '--micro-batch', '8'];
    const reference = await referenceOf(t, settings);
    const cache = temporaryFolder(t);

    const run = startRun(t, [...settings, '--workers', '2'], 'coordinator');
    const other = temporaryFolder(t);
    writeFileSync(join(other, 'table.csv'), table().replace('0', '1'));
    const bare = await startBareWorker(t, run, cache);
    const misled = await startBareWorker(t, run, temporaryFolder(t), '--data-dir', other);
    assertSameModel(await run.outcome(), reference);

    const received = run.eventsOf('data-received');
    assert.deepEqual(new Set(received.map(({ rank }) => rank)), new Set([0, 1]));
    for (const { bytes, wireBytes } of received) {
      assert.equal(bytes, 900 * 4 * 4);
      assert.ok(wireBytes < bytes, `${wireBytes} bytes`);
    }
    for (const worker of [bare, misled]) assert.equal((await worker.end()).status, 0);
    assert.match(
      bare.stderr,
      /^[^\n]* got the data \.\/table\.csv from the coordinator: 14400 bytes/m,
    );
    assert.match(
      misled.stderr,
      / the data \.\/table\.csv of this machine are not those of the run; the coordinator's are taken\n/,
    );
    const kept = readdirSync(join(cache, 'lockstep', 'received'));
    assert.deepEqual(
      kept.map((name) => name.replace(/^[\da-f]{64}/, '')),
      ['.samples', '.samples'],
    );

    const second = startRun(t, [...settings, '--workers', '1'], 'coordinator');
    const worker = await startBareWorker(t, second, cache);
    assertSameModel(await second.outcome(), reference);
    assert.deepEqual(second.eventsOf('data-received'), []);
    assert.equal((await worker.end()).status, 0);
  });
});
