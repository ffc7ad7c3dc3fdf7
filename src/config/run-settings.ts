/** The settings of group `run`: what a run follows from, what it records, and where. */
import type { OptionTable } from '../options/option-table.ts';
import { FILE_PATH, MAX_COUNT } from '../options/option-types.ts';

/** What a run records, and where; each setting is explained in `RUN_OPTIONS`. */
export interface RunSettings {
  readonly seed: number;
  readonly evalEvery: number | 'epoch' | 'never';
  /** All when undefined. */
  readonly evalSamples: number | undefined;
  readonly trackGradients: boolean;
  readonly audit: number;
  readonly stopOnDivergence: boolean;
  /** Steps; or seconds, as `60s`. */
  readonly checkpointEvery: number | string;
  readonly keep: number;
  readonly name: string | undefined;
  readonly outDir: string;
}

/** The one description of these settings. */
export const RUN_OPTIONS: OptionTable<RunSettings, 'strategy'> = {
  seed: {
    type: { kind: 'integer', min: 0, max: 4_294_967_295 },
    default: 42,
    help: 'Initial weights, order of samples and splits follow from it',
    isEveryday: true,
  },
  evalEvery: {
    type: { kind: 'integer', min: 1, max: MAX_COUNT, words: ['epoch', 'never'] },
    default: 'epoch',
    unit: 'steps',
    help:
      'Evaluate on the test samples every so many steps, and after the last; epoch: after each ' +
      'epoch; never: not even at the end',
    isEveryday: true,
  },
  evalSamples: {
    type: { kind: 'integer', min: 1, max: MAX_COUNT },
    default: undefined,
    unit: 'samples',
    help:
      'Evaluate on so many of the test samples, the same every time, chosen by seed; not given: ' +
      'on all',
  },
  trackGradients: {
    type: { kind: 'boolean' },
    default: false,
    help: 'Record the L2 norm of every gradient tensor',
    onlyWith: { key: 'strategy', values: ['sync', 'parameter-server', 'async'] },
  },
  audit: {
    type: { kind: 'number', min: 0, max: 1 },
    default: 0,
    unit: 'fraction',
    help:
      'Part of the steps in which a micro-batch of every worker is computed by another one ' +
      'too; a worker whose bits differ is put out and its steps are computed again (needs ' +
      'three workers that compute the same bits)',
  },
  stopOnDivergence: {
    type: { kind: 'boolean' },
    default: false,
    help:
      'End the run when its training has diverged, instead of only telling: the loss is ten ' +
      'times that of the first step for ten steps, or ten thousand times',
  },
  checkpointEvery: {
    type: { kind: 'integer', min: 1, max: MAX_COUNT, words: ['never'], takesSeconds: true },
    default: '60s',
    unit: 'steps, or seconds as 60s',
    help:
      'Write down the state every so many steps, or so often, and at the end, so that the run ' +
      'can go on from there with --resume; never: not even at the end',
    isEveryday: true,
  },
  keep: {
    type: { kind: 'integer', min: 1, max: 1_000 },
    default: 3,
    unit: 'checkpoints',
    help: 'Keep the newest so many checkpoints, and the best by the test samples',
  },
  name: {
    type: {
      kind: 'text',
      pattern: /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/,
      expected:
        'a folder name of letters, digits, ".", "_" and "-" (at most 100, beginning with a ' +
        'letter or digit)',
    },
    default: undefined,
    help: 'Name of the run and of its folder; not given: model, data set and time',
    isEveryday: true,
  },
  outDir: {
    type: FILE_PATH,
    default: 'experiments',
    help: "Folder in which the run's folder is made",
    isEveryday: true,
  },
};
