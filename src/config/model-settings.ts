/** Which settings each model has, and what they are when nobody says. */
import type { ModelName, TrainConfig } from './train-config.ts';

/** Settings that say what a model is like; every model knows some of them. */
export const MODEL_SETTING_KEYS = [
  'hidden',
  'activation',
  'layers',
  'width',
  'heads',
  'feedForward',
  'dropout',
  'tokenTable',
  'positionTable',
  'tiedHead',
  'stem',
] as const satisfies readonly (keyof TrainConfig)[];
export type ModelSettingKey = (typeof MODEL_SETTING_KEYS)[number];
export type ModelSettings = Pick<TrainConfig, ModelSettingKey>;

/**
 * Undefined: there is no number; the model derives one from its other settings or from the data.
 */
export const MODEL_SETTINGS = {
  mlp: { hidden: [256, 512], activation: 'relu' },
  simple_cnn: { width: 64, dropout: 0.5 },
  resnet18: { layers: [2, 2, 2, 2], width: 64, stem: 'auto' },
  resnet50: { layers: [3, 4, 6, 3], width: 64, stem: 'auto' },
  transformer: { heads: 4, feedForward: 1024 },
  embedding: { width: 128, feedForward: 256, tokenTable: undefined },
  bert: {
    layers: [12],
    width: 768,
    heads: undefined,
    feedForward: undefined,
    dropout: 0.1,
    activation: 'gelu',
    tokenTable: 30_522,
    positionTable: 512,
  },
  gpt2: {
    layers: [12],
    width: 768,
    heads: undefined,
    feedForward: undefined,
    dropout: 0.1,
    activation: 'gelu_tanh',
    tokenTable: 50_257,
    positionTable: 1024,
  },
  gpt: {
    layers: [4],
    width: 128,
    heads: 4,
    feedForward: undefined,
    dropout: 0,
    activation: 'gelu_tanh',
    tiedHead: true,
  },
} as const satisfies { readonly [Name in ModelName]: Partial<ModelSettings> };

/** What each model is, and for which data. */
export const MODEL_SUMMARIES: { readonly [Name in ModelName]: string } = {
  mlp: 'fully connected layers, for numbers of any shape',
  simple_cnn: 'three convolutions and two linear layers, for images from 8x8',
  resnet18: 'residual network of basic blocks, for images',
  resnet50: 'residual network of bottleneck blocks, for images',
  transformer: "MiniCluster's transformer block, for sequences of numbers",
  embedding: "MiniCluster's bag of token embeddings, for tokens in any order",
  bert: 'BERT-base with a classification head, for tokens',
  gpt2: 'GPT-2 small with a classification head on the last position, for tokens',
  gpt: 'language model that learns the next token of a text, and writes on',
};

type Defaults = typeof MODEL_SETTINGS;

/** The settings of one model, with defaults filled in. */
export type SettingsOf<Name extends ModelName> = {
  readonly [Key in keyof Defaults[Name] & ModelSettingKey]: Defaults[Name][Key] extends undefined
    ? ModelSettings[Key]
    : Exclude<ModelSettings[Key], undefined>;
};

/** Names and defaults of the settings that `model` has; none for one that is not in the table. */
export function settingsOfModel(model: string): Partial<ModelSettings> {
  return Object.hasOwn(MODEL_SETTINGS, model) ? MODEL_SETTINGS[model as ModelName] : {};
}
