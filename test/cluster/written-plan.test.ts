/** A plan is data: it is written down, read by somebody else, and leads to the same model. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { parseTrainConfig } from '../../src/config/parse-train-config.ts';
import { Coordinator } from '../../src/coordinator/coordinator.ts';
import type { RunResult } from '../../src/coordinator/coordinator-options.ts';
import { DEFAULT_TIMING } from '../../src/membership/timing.ts';
import { dataPlaces, datasetSpecOf, loadRunData } from '../../src/job/data-source.ts';
import { makePlan } from '../../src/job/make-plan.ts';
import type { PlanBytes, RunPlan } from '../../src/plan/run-plan.ts';
import { digestsOf } from '../../src/state/digest.ts';
import { listen } from '../../src/transport/tcp.ts';
import { REPOSITORY, startLockstep, temporaryFolder } from './processes.ts';
import { startRun } from './runs.ts';

const NETWORK = join(REPOSITORY, 'test/fixtures/onnx/pretrained-13.onnx');

function elementCountOf({ shape }: RunPlan['job']['parameters'][number]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Plans a run and leaves nothing of it but files in a folder. */
async function writePlan(folder: string, flags: Readonly<Record<string, string>>): Promise<void> {
  const { config } = parseTrainConfig([], flags);
  const data = await loadRunData(datasetSpecOf(config), dataPlaces(undefined, process.env));
  const { plan, bytes } = makePlan(config, data, { runId: 'written', minWorkers: 2 });
  writeFileSync(join(folder, 'plan.json'), JSON.stringify(plan));
  writeFileSync(join(folder, 'job-files'), bytes.jobFiles);
  const given = bytes.given.map(({ buffer, byteOffset, byteLength }) =>
    Buffer.from(buffer, byteOffset, byteLength),
  );
  writeFileSync(join(folder, 'given'), Buffer.concat(given));
}

function readPlan(folder: string): { readonly plan: RunPlan; readonly bytes: PlanBytes } {
  const plan = JSON.parse(readFileSync(join(folder, 'plan.json'), 'utf8')) as RunPlan;
  const jobFiles = new Uint8Array(readFileSync(join(folder, 'job-files')));
  const values = new Float32Array(new Uint8Array(readFileSync(join(folder, 'given'))).buffer);
  let end = 0;
  const given = plan.job.parameters
    .filter((_, index) => plan.initial[index]?.kind === 'given')
    .map((parameter) => values.subarray(end, (end += elementCountOf(parameter))));
  return { plan, bytes: { jobFiles, given } };
}

/** Leads a run by the plan in `folder`, with two worker processes. */
async function runFrom(t: TestContext, folder: string): Promise<RunResult> {
  let sessions = 0;
  let settle: { resolve: (result: RunResult) => void; reject: (error: Error) => void };
  const finished = new Promise<RunResult>((resolve, reject) => (settle = { resolve, reject }));
  const coordinator = new Coordinator({
    ...readPlan(folder),
    clock: systemClock,
    timing: DEFAULT_TIMING,
    newSession: () => `session-${sessions++}`,
    onEvent: () => {},
    onFinished: (result) => settle.resolve(result),
    onFailed: (error) => settle.reject(error),
  });
  const accept = coordinator.accept.bind(coordinator);
  const listener = await listen({ host: '127.0.0.1', port: 0 }, accept, {
    onAcceptFailed: (error) => settle.reject(error),
  });
  t.after(async () => listener.close());
  const address = `127.0.0.1:${listener.address.port}`;
  const workers = [0, 1].map(() =>
    startLockstep(t, ['worker', '--join', address, '--lanes', '1', '--data-dir', folder]),
  );
  const result = await finished;
  for (const worker of workers) assert.equal((await worker.end()).status, 0, worker.stderr);
  return result;
}

describe('a plan that was written down', () => {
  const settings: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
    ['a model by name', { dataset: 'digits', model: 'mlp', steps: '12' }],
    [
      'an imported network, which begins with given weights',
      { dataset: 'mnist', model: NETWORK, steps: '6' },
    ],
    ['rounds', { dataset: 'digits', strategy: 'rounds', rounds: '2' }],
  ];
  for (const [what, given] of settings)
    test(`ends with the digest of the run that was planned: ${what}`, async (t) => {
      const flags = { dataset: 'digits', seed: '11', ...given };
      const folder = temporaryFolder(t);
      await writePlan(folder, flags);

      const result = await runFrom(t, folder);

      const named = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
      const { summary } = await startRun(t, named).outcome();
      const { plan } = readPlan(folder);
      const count = plan.job.parameters.reduce((sum, one) => sum + elementCountOf(one), 0);
      assert.equal(digestsOf(result.state, count).stateDigest, summary.stateDigest);
      assert.equal(result.steps, summary.steps);
    });
});
