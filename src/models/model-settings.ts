/** The settings of group `model`: which one is trained, and towards what. */
import type { OptionTable } from '../options/option-table.ts';
import { ARCHITECTURE_OPTIONS, type ArchitectureSettings } from './architecture-settings.ts';
import { MODEL_NAMES } from './models.ts';
import { LOSS_NAMES, type LossName } from './objective.ts';

/** What is trained; each setting is explained in `MODEL_OPTIONS`. */
export interface ModelSettings extends ArchitectureSettings {
  /** One of `MODEL_NAMES` or the path of an `.onnx` file. */
  readonly model: string;
  /** Patterns of the weights of an `.onnx` file that are not trained. */
  readonly freeze: readonly string[];
  readonly loss: LossName;
  readonly labelSmoothing: number;
}

/** The one description of these settings. */
export const MODEL_OPTIONS: OptionTable<ModelSettings> = {
  model: {
    type: { kind: 'choice', choices: MODEL_NAMES, orPath: 'of an .onnx file' },
    default: 'mlp',
    help:
      'Model architecture, or a network exported from PyTorch, whose weights are trained ' +
      'further; docs/settings.md says for which data each is, and which settings it has',
    isEveryday: true,
  },
  freeze: {
    type: {
      kind: 'texts',
      pattern: /^[^\p{Cc}\p{Cs},]+$/u,
      expected: 'names of weights, in which * stands for any characters and ? for one',
      maxCount: 1024,
    },
    default: [],
    help:
      'Weights of an .onnx file that stay as they are, e.g. encoder.*; a frozen BatchNorm ' +
      'keeps its statistics',
    onlyWith: { key: 'model', values: ['*.onnx'] },
  },
  loss: {
    type: { kind: 'choice', choices: LOSS_NAMES },
    default: 'auto',
    help:
      'What training makes small: auto is cross-entropy for classes, bce for yes-or-no ' +
      'targets, mse for numbers',
  },
  labelSmoothing: {
    type: { kind: 'number', min: 0, max: 1, exclusive: 'max' },
    default: 0,
    unit: 'fraction',
    help: 'Part of each label that a cross-entropy spreads over all classes',
  },
  ...ARCHITECTURE_OPTIONS,
};
