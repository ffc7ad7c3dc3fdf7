import { expectedOf } from '../options/option-types.ts';
import type { TrainConfig, TrainConfigKey } from './train-config.ts';
import { optionGroupOf, TRAIN_CONFIG_KEYS, TRAIN_OPTIONS, yamlKeyOf } from './train-options.ts';

/**
 * The configuration as commented YAML, every setting spelt out; parsing it gives the same
 * configuration. A setting without a value stands as a comment.
 */
export function toYaml(config: TrainConfig): string {
  const title =
    '# Configuration of a Lockstep run, every setting spelt out. `lockstep train` with this file ' +
    'repeats the run.';
  return textOf([title], config, TRAIN_CONFIG_KEYS);
}

/** Some settings as YAML, in the same way. */
export function someAsYaml(config: TrainConfig, keys: readonly TrainConfigKey[]): string {
  const isWanted = new Set(keys);
  return textOf(
    ['# Some settings of a Lockstep run: what is not here is as it was.'],
    config,
    TRAIN_CONFIG_KEYS.filter((key) => isWanted.has(key)),
  );
}

function textOf(
  title: readonly string[],
  config: TrainConfig,
  keys: readonly TrainConfigKey[],
): string {
  const lines = [...title];
  let heading = '';
  for (const key of keys) {
    const group = optionGroupOf(key);
    if (group !== heading) lines.push('', `# --- ${group} ---`);
    heading = group;
    lines.push(`# ${TRAIN_OPTIONS[key].help}${detailsOf(key)}.`, settingLine(key, config[key]));
  }
  return `${lines.join('\n')}\n`;
}

function detailsOf(key: TrainConfigKey): string {
  const { unit, type } = TRAIN_OPTIONS[key];
  const parts = [
    unit,
    type.kind === 'choice' && type.choices.length > 1 ? expectedOf(type) : undefined,
  ];
  const details = parts.filter((part) => part !== undefined).join('; ');
  return details === '' ? '' : ` (${details})`;
}

function settingLine(key: TrainConfigKey, value: TrainConfig[TrainConfigKey]): string {
  if (value === undefined) return `# ${yamlKeyOf(key)}:`;
  return `${yamlKeyOf(key)}: ${scalarText(key, value)}`;
}

/** JSON is YAML; words of closed sets need no quotes, paths do. */
function scalarText(
  key: TrainConfigKey,
  value: Exclude<TrainConfig[TrainConfigKey], undefined>,
): string {
  const isText = TRAIN_OPTIONS[key].type.kind === 'texts';
  if (typeof value === 'object')
    return `[${value.map((item) => (isText ? JSON.stringify(item) : item)).join(', ')}]`;
  if (
    typeof value === 'string' &&
    TRAIN_OPTIONS[key].type.kind !== 'text' &&
    /^[\w-]+$/.test(value)
  )
    return value;
  return JSON.stringify(value);
}
