/** Model architectures that `model` may name. */
export const MODEL_NAMES = [
  'mlp',
  'simple_cnn',
  'resnet18',
  'resnet50',
  'transformer',
  'embedding',
  'bert',
  'gpt2',
  'gpt',
] as const;
/** Data sets that `dataset` may name; their loaders are in data/. */
export const DATASET_NAMES = [
  'mnist',
  'fashion_mnist',
  'cifar10',
  'cifar100',
  'digits',
  'moby_dick',
  'synthetic_image',
  'synthetic_text',
  'synthetic_regression',
  'linear_regression',
  'number_sequences',
  'token_bags',
] as const;
export const TOKEN_KINDS = ['char', 'byte'] as const;
export const BAD_ROW_ACTIONS = ['stop', 'skip'] as const;
export const NORMALISE_NAMES = ['auto', 'none'] as const;
export const AUGMENT_NAMES = ['none', 'crop-flip'] as const;
export const ACTIVATION_NAMES = ['relu', 'tanh', 'sigmoid', 'gelu', 'gelu_tanh'] as const;
/** Losses that `loss` may name; which of them fit depends on the data. */
export const LOSS_NAMES = ['auto', 'cross-entropy', 'mse', 'bce'] as const;
export const STEM_NAMES = ['auto', 'large', 'small'] as const;
export const OPTIMIZER_NAMES = ['adam', 'adamw', 'sgd', 'momentum'] as const;
export const SCHEDULE_NAMES = ['constant', 'cosine', 'step'] as const;
export const STRATEGY_NAMES = ['sync', 'rounds'] as const;
export const ENGINE_NAMES = ['star'] as const;
export const MODE_NAMES = ['exact'] as const;
export const DEVICE_NAMES = ['auto', 'cpu', 'webgpu', 'cuda', 'coreml', 'dml'] as const;

export type ModelName = (typeof MODEL_NAMES)[number];
export type DatasetName = (typeof DATASET_NAMES)[number];
export type TokenKind = (typeof TOKEN_KINDS)[number];
export type BadRowAction = (typeof BAD_ROW_ACTIONS)[number];
export type NormaliseName = (typeof NORMALISE_NAMES)[number];
export type AugmentName = (typeof AUGMENT_NAMES)[number];
export type ActivationName = (typeof ACTIVATION_NAMES)[number];
export type LossName = (typeof LOSS_NAMES)[number];
export type StemName = (typeof STEM_NAMES)[number];
export type OptimizerName = (typeof OPTIMIZER_NAMES)[number];
export type ScheduleName = (typeof SCHEDULE_NAMES)[number];
export type StrategyName = (typeof STRATEGY_NAMES)[number];
export type EngineName = (typeof ENGINE_NAMES)[number];
export type ModeName = (typeof MODE_NAMES)[number];
export const CONV_FORM_NAMES = ['default', 'measured'] as const;
export type ConvFormsName = (typeof CONV_FORM_NAMES)[number];
export type DeviceName = (typeof DEVICE_NAMES)[number];

/**
 * Everything a training run was told, checked and with defaults filled in; plain data. What each
 * setting means, its unit and bounds are in `TRAIN_OPTIONS`, the one description of them.
 */
export interface TrainConfig {
  /** A `ModelName` or the path of an `.onnx` file. */
  readonly model: string;
  /** Patterns of the weights of an `.onnx` file that are not trained. */
  readonly freeze: readonly string[];
  readonly loss: LossName;
  readonly labelSmoothing: number;
  /**
   * From here to `stem`: undefined when the model has no such setting, or derives it; see
   * `MODEL_SETTINGS`.
   */
  readonly hidden: readonly number[] | undefined;
  readonly activation: ActivationName | undefined;
  readonly layers: readonly number[] | undefined;
  readonly width: number | undefined;
  readonly heads: number | undefined;
  readonly feedForward: number | undefined;
  readonly dropout: number | undefined;
  readonly tokenTable: number | undefined;
  readonly positionTable: number | undefined;
  readonly tiedHead: boolean | undefined;
  readonly stem: StemName | undefined;

  /** A `DatasetName` or a path. */
  readonly dataset: string;
  readonly dataDir: string | undefined;
  /** 0: no validation samples. */
  readonly validationSplit: number;
  readonly samples: number;
  readonly classes: number | undefined;
  readonly imageSize: number | undefined;
  readonly channels: number;
  readonly sequenceLength: number;
  readonly vocabulary: number | undefined;
  readonly textTokens: TokenKind;
  readonly labelColumn: string | undefined;
  readonly onBadRow: BadRowAction;
  readonly normalise: NormaliseName;
  readonly augment: AugmentName;

  readonly workers: number;
  readonly lanes: number | 'auto';
  readonly microBatch: number;
  /** A multiple of `microBatch`. */
  readonly globalBatch: number;
  readonly epochs: number;
  /** Replaces `epochs` when there. */
  readonly steps: number | undefined;
  /** Replaces `epochs` when there, with strategy `rounds`. */
  readonly rounds: number | undefined;
  readonly localEpochs: number;
  readonly shards: number;

  readonly optimizer: OptimizerName;
  readonly lr: number;
  readonly momentum: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  readonly clipNorm: number | undefined;
  readonly schedule: ScheduleName;
  readonly warmupSteps: number;
  readonly minLr: number;
  readonly stepSize: number;
  readonly gamma: number;

  readonly seed: number;
  readonly evalEvery: number | 'epoch';
  readonly trackGradients: boolean;
  readonly audit: number;
  readonly name: string | undefined;
  readonly outDir: string;

  readonly strategy: StrategyName;
  readonly engine: EngineName;
  readonly mode: ModeName;
  /** Of the workers in turn: worker i has entry i mod length. */
  readonly device: readonly DeviceName[];
  readonly convForms: ConvFormsName;
  readonly threads: number;
  readonly host: string;
  readonly port: number;
}

export type TrainConfigKey = keyof TrainConfig;
