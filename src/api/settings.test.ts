import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { parseSettings, type TrainSettings } from './settings.ts';

const folder = mkdtempSync(join(tmpdir(), 'lockstep-settings-'));
after(() => rmSync(folder, { recursive: true }));

function fileWith(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

describe('parseSettings', () => {
  test('puts settings over files, later files over earlier, and files over defaults', () => {
    const files = [
      fileWith('first.yaml', 'lr: 0.5\nepochs: 3\nglobal_batch: 64\n'),
      fileWith('second.yaml', 'epochs: 4\n'),
    ];

    const { config } = parseSettings({ globalBatch: 96, seed: undefined }, files);

    assert.deepEqual([config.lr, config.epochs, config.globalBatch, config.seed], [0.5, 4, 96, 42]);
  });

  test('takes one item where a list is taken', () => {
    const { config } = parseSettings({ device: 'cpu', hidden: 16 }, []);

    assert.deepEqual([config.device, config.hidden], [['cpu'], [16]]);
  });

  test('calls a setting by its key, in messages and in the issues for programs', () => {
    assert.throws(() => parseSettings({ globalBatch: 100 }, []), {
      name: 'ConfigError',
      message: /^globalBatch: expected globalBatch to be a multiple of microBatch, got /,
      context: {
        issues: [
          {
            path: 'globalBatch',
            expected: 'globalBatch to be a multiple of microBatch',
            got: 'globalBatch 100 and microBatch 32',
          },
        ],
      },
    });
    assert.throws(() => parseSettings({ globalBtach: 96 } as TrainSettings, []), {
      message: 'globalBtach: unknown option; did you mean "globalBatch"?',
    });
  });

  test('calls a line of a file by file, line and the key that is written there', () => {
    const file = fileWith('wrong.yaml', 'micro_bach: 3\n');

    assert.throws(() => parseSettings({}, [file]), {
      message: `${file}:1:1 unknown key "micro_bach"; did you mean "micro_batch"?`,
    });
    assert.throws(() => parseSettings({}, [join(folder, 'none.yaml')]), {
      code: 'CONFIG_INVALID',
      message: /none\.yaml: there is no such file$/,
    });
  });

  test('tells how settings were read', () => {
    const steps = fileWith('steps.yaml', 'steps: 3\n');

    const { notes } = parseSettings({ epochs: 2, stepSize: 5 }, [steps]);

    assert.deepEqual(notes, [
      `${steps}:1: 3 is not used: epochs is given`,
      'stepSize: 5 has no effect with schedule constant; it needs schedule step',
    ]);
  });
});
