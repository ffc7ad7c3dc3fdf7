/** The table of settings in other forms: for command-line flags, for documentation. */
import { MODELS } from '../models/models.ts';
import { expectedOf, placeholderOf } from '../options/option-types.ts';
import type { OptionType } from '../options/option-types.ts';
import type { TrainConfigKey } from './train-config.ts';
import {
  flagOf,
  optionGroupOf,
  TRAIN_CONFIG_KEYS,
  TRAIN_OPTIONS,
  yamlKeyOf,
} from './train-options.ts';
import type { OptionGroup } from './train-options.ts';

/** One setting as text; what a flag parser, a help page or a table needs. */
export interface OptionDescription {
  readonly key: TrainConfigKey;
  readonly group: OptionGroup;
  /** e.g. `--micro-batch`. */
  readonly flag: string;
  /** e.g. `<int>`, `[fraction]`; empty for a switch, which also has a `--no-` form. */
  readonly placeholder: string;
  /** e.g. `micro_batch`. */
  readonly yamlKey: string;
  readonly kind: OptionType['kind'];
  /** Allowed values, in words. */
  readonly expected: string;
  /** The values of a closed set; empty otherwise. */
  readonly choices: readonly string[];
  /** Default as text; empty when there is none. */
  readonly defaultText: string;
  readonly unit: string;
  readonly help: string;
  /** Whether it is among the few that most runs need. */
  readonly isEveryday: boolean;
}

/** Describes every setting, in the order of the table. */
export function describeOptions(): readonly OptionDescription[] {
  return TRAIN_CONFIG_KEYS.map((key) => {
    const { type, help, unit = '', default: value, isEveryday = false } = TRAIN_OPTIONS[key];
    return {
      key,
      group: optionGroupOf(key),
      flag: flagOf(key),
      placeholder: placeholderOf(type),
      yamlKey: yamlKeyOf(key),
      kind: type.kind,
      expected: expectedOf(type),
      choices: type.kind === 'choice' || type.kind === 'choices' ? type.choices : [],
      defaultText: value === undefined ? '' : String(value),
      unit,
      help,
      isEveryday,
    };
  });
}

/** Writes the settings as Markdown: a section for each group, with one entry per setting. */
export function optionsAsMarkdown(): string {
  const options = describeOptions();
  const groups = new Set(options.map(({ group }) => group));
  return [...groups]
    .flatMap((group) => [
      `## ${group.slice(0, 1).toUpperCase()}${group.slice(1)}`,
      '',
      ...options.filter((option) => option.group === group).map(entryOf),
      '',
    ])
    .join('\n');
}

/** One entry of a list: the flag and what it takes on the first line, the meaning on the next. */
function entryOf({ flag, yamlKey, expected, defaultText, unit, help }: OptionDescription): string {
  const facts = [expected];
  if (defaultText !== '') facts.push(`default \`${defaultText}\``);
  if (unit !== '') facts.push(`unit: ${unit}`);
  return `- **\`${flag}\`**, \`${yamlKey}\`: ${facts.join('; ')}\\\n  ${help}.`;
}

/** Writes the models with their settings as a Markdown list; one without a number is derived. */
export function modelsAsMarkdown(): string {
  const entries = MODELS.map(({ name, summary, settings }) => {
    const flags = Object.entries(settings).map(([key, value]) => {
      const flag = flagOf(key as TrainConfigKey);
      return value === undefined || value === true ? `\`${flag}\`` : `\`${flag} ${String(value)}\``;
    });
    return `- **\`${name}\`**: ${summary}\\\n  ${flags.join(', ')}`;
  });
  return `${entries.join('\n')}\n`;
}
