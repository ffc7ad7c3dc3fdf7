/** The settings of group `data`: what is trained on. */
import type { OptionTable } from '../../options/option-table.ts';
import { FILE_PATH } from '../../options/option-types.ts';
import {
  AUGMENT_NAMES,
  BAD_ROW_ACTIONS,
  NORMALISE_NAMES,
  TOKEN_KINDS,
  type DatasetSettings,
} from '../dataset-settings.ts';
import { DATASET_NAMES, DATASETS } from './datasets.ts';

/** What is trained on; each setting is explained in `DATA_OPTIONS`. */
export interface DataSettings extends Required<DatasetSettings> {
  /** One of `DATASET_NAMES` or a path. */
  readonly dataset: string;
  readonly dataDir: string | undefined;
  /** 0: no validation samples. */
  readonly validationSplit: number;
}

/** The one description of these settings. */
export const DATA_OPTIONS: OptionTable<DataSettings> = {
  dataset: {
    type: {
      kind: 'choice',
      choices: DATASET_NAMES,
      orPath:
        'of a .npz, .csv or .txt file, or of a folder of .npy files or class-named images ' +
        '(./folder)',
    },
    default: 'mnist',
    help: 'Data set to train on; `lockstep data --list` says what each name is',
    isEveryday: true,
  },
  dataDir: {
    type: FILE_PATH,
    default: undefined,
    help:
      "Folder with the data set's files, searched before cache, installed packages and " +
      'download',
    isEveryday: true,
  },
  validationSplit: {
    type: { kind: 'fraction', whenTrue: 0.1 },
    default: 0,
    unit: 'fraction',
    help:
      'Part of the training samples set aside, at random by seed, for validation; true is ' +
      '0.1, false is 0',
  },
  samples: {
    type: { kind: 'integer', min: 1, max: 100_000_000 },
    default: 8192,
    unit: 'samples',
    help: 'Training samples of a synthetic set; a quarter as many are made for the test',
    onlyWith: { key: 'dataset', values: followersOf('samples') },
  },
  classes: {
    type: { kind: 'integer', min: 2, max: 65_536 },
    default: undefined,
    help:
      'Classes of a synthetic set (not given: 10 for images, 2 for text), or of labels in ' +
      '.npy files (not given: as many as occur)',
    onlyWith: { key: 'dataset', values: [...followersOf('classes'), '*.npz', 'a folder'] },
  },
  imageSize: {
    type: { kind: 'integer', min: 4, max: 1024 },
    default: undefined,
    unit: 'pixels',
    help:
      'Height and width of synthetic images (not given: 32), or to which the images of a ' +
      'folder are brought (not given: all must have one size)',
    onlyWith: { key: 'dataset', values: [...followersOf('imageSize'), 'a folder'] },
  },
  channels: {
    type: { kind: 'integer', min: 1, max: 64 },
    default: 3,
    help:
      'Channels of synthetic images; of the images of a folder 3 (red, green, blue) or 1 ' +
      '(grey)',
    onlyWith: { key: 'dataset', values: [...followersOf('channels'), 'a folder'] },
  },
  sequenceLength: {
    type: { kind: 'integer', min: 1, max: 65_536 },
    default: 128,
    unit: 'tokens',
    help: 'Tokens of one sample',
    onlyWith: { key: 'dataset', values: [...followersOf('sequenceLength'), '*.txt'] },
  },
  vocabulary: {
    type: { kind: 'integer', min: 2, max: 1_000_000 },
    default: undefined,
    unit: 'tokens',
    help:
      'Different tokens of synthetic text (not given: 1000), or of token ids in .npy files ' +
      '(not given: as many as occur)',
    onlyWith: { key: 'dataset', values: [...followersOf('vocabulary'), '*.npz', 'a folder'] },
  },
  textTokens: {
    type: { kind: 'choice', choices: TOKEN_KINDS },
    default: 'char',
    help:
      'What a token of a text is: one of the characters that occur in it, or a byte of its ' +
      'UTF-8',
    onlyWith: { key: 'dataset', values: [...followersOf('textTokens'), '*.txt'] },
  },
  labelColumn: {
    type: {
      kind: 'text',
      pattern: /^[^\p{Cc}\p{Cs}]+$/u,
      expected: 'the name of a column, or its number from 1',
    },
    default: undefined,
    help:
      'Column of a .csv file that is to be predicted: its name in the header, or its number ' +
      'from 1; not given: the only one that is not a number, else the last',
    onlyWith: { key: 'dataset', values: ['*.csv'] },
  },
  onBadRow: {
    type: { kind: 'choice', choices: BAD_ROW_ACTIONS },
    default: 'stop',
    help:
      'Rows of a .csv file, or images of a folder, that cannot be used: end with their line ' +
      'numbers or names, or leave them out and count them',
    onlyWith: { key: 'dataset', values: ['*.csv', 'a folder'] },
  },
  normalise: {
    type: { kind: 'choice', choices: NORMALISE_NAMES },
    default: 'auto',
    help:
      'auto brings features to mean 0 and standard deviation 1, by column or channel; none ' +
      'leaves them as they are',
  },
  augment: {
    type: { kind: 'choice', choices: AUGMENT_NAMES },
    default: 'none',
    help:
      'crop-flip shifts every training image at random by up to an eighth, and mirrors every ' +
      'other one',
  },
};

/** The data sets that follow a setting. */
function followersOf(setting: keyof DatasetSettings): readonly string[] {
  return DATASET_NAMES.filter((name) => DATASETS[name]?.follows?.includes(setting) === true);
}
