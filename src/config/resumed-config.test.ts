import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { FlagValues } from './parse-train-config.ts';
import { parseTrainConfig } from './parse-train-config.ts';
import { resumedConfig } from './resumed-config.ts';
import type { TrainConfig } from './train-config.ts';

const { config: RECORDED } = parseTrainConfig([], { dataset: 'digits', seed: '7', lr: '0.01' });

/** The settings with which such a run goes on when these are given. */
function resumedWith(flags: FlagValues, text = ''): TrainConfig {
  const recorded = JSON.parse(JSON.stringify(RECORDED)) as Record<string, unknown>;
  const sources = text === '' ? [] : [{ file: 'more.yaml', text }];
  return resumedConfig({ recorded, place: 'run/step_9', sources, flags, isForOthers: false })
    .config;
}

describe('resumedConfig', () => {
  test('gives the settings of the run, whatever the defaults are', () => {
    assert.deepEqual(resumedWith({}), RECORDED);
  });

  test('lets workers, lanes and the end be others, and what makes the same model', () => {
    const given = { workers: '5', lanes: '1', steps: '90', seed: '7' };

    assert.deepEqual(resumedWith(given), { ...RECORDED, workers: 5, lanes: 1, steps: 90 });
  });

  test('refuses what makes another model, by flag or file, and names both values', () => {
    assert.throws(() => resumedWith({ seed: '8', hidden: '32' }, 'dataset: mnist\n'), {
      name: 'ConfigError',
      message:
        'going on from run/step_9: these settings make another model. Leave them out, begin a run ' +
        'of another --name, or train on from there with them, as a run of its own: `lockstep ' +
        'fork`.\n' +
        '--hidden: the run has [256,512], and [32] was given\n' +
        '--dataset: the run has "digits", and "mnist" was given\n' +
        '--seed: the run has 7, and 8 was given',
    });
  });
});
