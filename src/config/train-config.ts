import type { DataSettings } from '../data/sources/data-settings.ts';
import type { ModelSettings } from '../models/model-settings.ts';
import type { OptimizerSettings } from '../optim/optimizer-settings.ts';
import type { ClusterSettings } from './cluster-settings.ts';
import type { RunSettings } from './run-settings.ts';
import type { WorkSettings } from './work-settings.ts';

/**
 * Everything a training run was told, checked and with defaults filled in; plain data. What each
 * setting means, its unit and bounds are in `TRAIN_OPTIONS`, the one description of them.
 */
export interface TrainConfig
  extends
    ModelSettings,
    DataSettings,
    WorkSettings,
    OptimizerSettings,
    RunSettings,
    ClusterSettings {}

/** The name of a setting. */
export type TrainConfigKey = keyof TrainConfig;
