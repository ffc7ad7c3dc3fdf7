/** Every training setting in one table: flags, YAML, messages and documentation come from it. */
import { invariant } from '../base/errors.ts';
import { DATA_OPTIONS } from '../data/sources/data-settings.ts';
import { MODEL_OPTIONS } from '../models/model-settings.ts';
import { OPTIMIZER_OPTIONS } from '../optim/optimizer-settings.ts';
import type { OptionTable } from '../options/option-table.ts';
import { CLUSTER_OPTIONS } from './cluster-settings.ts';
import { RUN_OPTIONS } from './run-settings.ts';
import type { TrainConfig, TrainConfigKey } from './train-config.ts';
import { WORK_OPTIONS } from './work-settings.ts';

/** The tables of the groups, under the headings and in the order in which they are listed. */
const GROUPS = {
  model: MODEL_OPTIONS,
  data: DATA_OPTIONS,
  work: WORK_OPTIONS,
  optimizer: OPTIMIZER_OPTIONS,
  run: RUN_OPTIONS,
  cluster: CLUSTER_OPTIONS,
} as const;

/** A heading under which settings are listed. */
export type OptionGroup = keyof typeof GROUPS;

const GROUP_NAMES = Object.keys(GROUPS) as readonly OptionGroup[];

/** Every setting of every group. */
export const TRAIN_OPTIONS: OptionTable<TrainConfig> = {
  ...GROUPS.model,
  ...GROUPS.data,
  ...GROUPS.work,
  ...GROUPS.optimizer,
  ...GROUPS.run,
  ...GROUPS.cluster,
};

/** Every key, in the order of the table. */
export const TRAIN_CONFIG_KEYS: readonly TrainConfigKey[] = Object.keys(
  TRAIN_OPTIONS,
) as TrainConfigKey[];

/** The group that a setting belongs to. */
export function optionGroupOf(key: TrainConfigKey): OptionGroup {
  const group = GROUP_NAMES.find((name) => Object.hasOwn(GROUPS[name], key));
  invariant(group !== undefined, `the setting ${key} is in no group`);
  return group;
}

/** The key in YAML, e.g. `micro_batch`. */
export function yamlKeyOf(key: TrainConfigKey): string {
  return key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** The flag, e.g. `--micro-batch`. */
export function flagOf(key: TrainConfigKey): string {
  return `--${yamlKeyOf(key).replaceAll('_', '-')}`;
}

/** The setting that a word in snake_case or kebab-case names; undefined when none. */
export function keyNamed(word: string): TrainConfigKey | undefined {
  return KEY_BY_WORD.get(word.replaceAll('-', '_'));
}

const KEY_BY_WORD: ReadonlyMap<string, TrainConfigKey> = new Map(
  TRAIN_CONFIG_KEYS.map((key) => [yamlKeyOf(key), key]),
);
