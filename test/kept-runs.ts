/** A small run that nobody computes, and what keeps its states. */
import { ManualClock } from '../src/base/clock.ts';
import type { CheckpointStore } from '../src/checkpoint/checkpoint-store.ts';
import type { RunHistory } from '../src/checkpoint/manifest.ts';
import { parseTrainConfig } from '../src/config/parse-train-config.ts';
import { initialSnapshot, type Snapshot } from '../src/coordinator/steps/trajectory.ts';
import { dataPlaces, datasetSpecOf, loadRunData } from '../src/job/data-source.ts';
import { makePlan, type PlannedRun } from '../src/job/make-plan.ts';
import { stateElementCountOf } from '../src/models/model.ts';
import { CheckpointKeeper } from '../src/runs/checkpoint-keeper.ts';
import { stepDigestOf } from '../src/runs/recorded-run.ts';
import { digestsOf } from '../src/state/digest.ts';
import { makeInitialState } from '../src/state/initial-state.ts';

const SETTINGS = {
  ...{ dataset: 'synthetic_image', imageSize: '8', samples: '400', model: 'mlp', steps: '40' },
  checkpointEvery: '10',
};

type Flags = Readonly<Record<string, string>>;

/** The plan of the run, with these settings changed. */
export async function planWith(flags: Flags = {}): Promise<PlannedRun> {
  const { config } = parseTrainConfig([], { ...SETTINGS, ...flags });
  const data = await loadRunData(datasetSpecOf(config), dataPlaces(undefined, {}));
  return makePlan(config, data, { runId: 'test', minWorkers: 1 });
}

/** What tells whether a checkpoint is of this program and step. */
export function programOf(planned: PlannedRun): { software: string; stepDigest: string } {
  return { software: '1.0.0', stepDigest: stepDigestOf(planned) };
}

/** The state of the run after `step` updates, as if it had not changed. */
export function snapshotOf(planned: PlannedRun, step: number): Snapshot {
  const initial = initialSnapshot(makeInitialState(planned.plan, planned.bytes.given));
  const digests = digestsOf(initial.bytes, stateElementCountOf(planned.model));
  return { ...initial, step, maxima: [0.5, 1e-9], digests };
}

/** What is told of the first `step` steps, if the model after them had this accuracy. */
export function historyOf(step: number, accuracy?: number): RunHistory {
  const history = { epoch: -1, epochLoss: 0, epochSteps: 0 };
  if (accuracy === undefined) return history;
  return { ...history, evaluation: { step, split: 'test', lossMean: 1, accuracy } };
}

/** Keeps states of the run in `store`; failures are told to `failures`. */
export function keeperOf(
  planned: PlannedRun,
  store: CheckpointStore,
  flags: Flags = {},
): { keeper: CheckpointKeeper; clock: ManualClock; failures: string[] } {
  const { config } = parseTrainConfig([], { ...SETTINGS, ...flags });
  const failures: string[] = [];
  const clock = new ManualClock();
  const keeper = new CheckpointKeeper(
    {
      ...{ config, name: 'run', plan: planned.plan, ...programOf(planned), store, clock },
      syncRecords: async () => {},
      onFailed: (reason, consequence) => void failures.push(`${reason}: ${consequence}`),
      onSaved: () => {},
    },
    0,
  );
  return { keeper, clock, failures };
}
