/** Model architectures that `model` may name. */
export const MODEL_NAMES = ['mlp'] as const;
/** Data sets that `dataset` may name; their loaders are in data/. */
export const DATASET_NAMES = ['mnist', 'synthetic-regression'] as const;
export const ACTIVATION_NAMES = ['relu', 'tanh', 'sigmoid'] as const;
export const OPTIMIZER_NAMES = ['adam', 'adamw', 'sgd', 'momentum'] as const;
export const SCHEDULE_NAMES = ['constant', 'cosine', 'step'] as const;
export const STRATEGY_NAMES = ['sync'] as const;
export const ENGINE_NAMES = ['star'] as const;
export const MODE_NAMES = ['exact'] as const;
export const DEVICE_NAMES = ['cpu', 'auto'] as const;

export type ModelName = (typeof MODEL_NAMES)[number];
export type DatasetName = (typeof DATASET_NAMES)[number];
export type ActivationName = (typeof ACTIVATION_NAMES)[number];
export type OptimizerName = (typeof OPTIMIZER_NAMES)[number];
export type ScheduleName = (typeof SCHEDULE_NAMES)[number];
export type StrategyName = (typeof STRATEGY_NAMES)[number];
export type EngineName = (typeof ENGINE_NAMES)[number];
export type ModeName = (typeof MODE_NAMES)[number];
export type DeviceName = (typeof DEVICE_NAMES)[number];

/**
 * Everything a training run was told, checked and with defaults filled in; plain data. What each setting
 * means, its unit and bounds are in `TRAIN_OPTIONS`, the one description of them.
 */
export interface TrainConfig {
  readonly model: ModelName;
  readonly hidden: readonly number[];
  readonly activation: ActivationName;

  readonly dataset: DatasetName;
  readonly dataDir: string | undefined;
  /** 0: no validation samples. */
  readonly validationSplit: number;

  readonly workers: number;
  readonly lanes: number | 'auto';
  readonly microBatch: number;
  /** A multiple of `microBatch`. */
  readonly globalBatch: number;
  readonly epochs: number;
  /** Replaces `epochs` when there. */
  readonly steps: number | undefined;

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
  readonly name: string | undefined;
  readonly outDir: string;

  readonly strategy: StrategyName;
  readonly engine: EngineName;
  readonly mode: ModeName;
  readonly device: DeviceName;
  readonly threads: number;
  readonly host: string;
  readonly port: number;
}

export type TrainConfigKey = keyof TrainConfig;
