import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { FlagValues } from './parse-train-config.ts';
import { parseTrainConfig } from './parse-train-config.ts';
import { forkedConfig, resumedConfig } from './resumed-config.ts';
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

  test('names another model, whose settings are others, and nothing else', () => {
    assert.throws(() => resumedWith({ model: 'simple_cnn', dataset: 'mnist' }), {
      name: 'ConfigError',
      message: /`lockstep fork`\.\n--model: the run has "mlp", and "simple_cnn" was given$/,
    });
  });
});

describe('forkedConfig', () => {
  const request = {
    recorded: JSON.parse(JSON.stringify({ ...RECORDED, name: 'first', port: 29_500 })),
    ...{ place: 'run/step_9', sources: [], isForOthers: false },
  };

  test('gives the settings of the parent with others, names those, and joins elsewhere', () => {
    const { config, changed } = forkedConfig({ ...request, flags: { lr: '0.5', steps: '90' } });

    assert.deepEqual(config, { ...RECORDED, lr: 0.5, steps: 90 });
    assert.deepEqual(changed, { lr: { had: 0.01, has: 0.5 }, steps: { had: null, has: 90 } });
  });

  test('refuses another model, and says how weights go there', () => {
    assert.throws(() => forkedConfig({ ...request, flags: { model: 'simple_cnn' } }), {
      name: 'ConfigError',
      message: /checkpoint export.*\n--model: the run has "mlp", and "simple_cnn" was given$/,
    });
  });
});
