/** How a family of settings describes them: one table, from which everything else follows. */
import type { OptionType } from './option-types.ts';

/**
 * One setting. Its flag is the key in kebab-case, its YAML key the same in snake_case (kebab-case
 * also read).
 */
export interface SettingOption<Value, Key extends string = string> {
  readonly type: OptionType;
  /** Undefined: there is no value until one is given. */
  readonly default: Value;
  /** Of the number; absent for words and pure numbers. */
  readonly unit?: string;
  /** One sentence without full stop. */
  readonly help: string;
  /**
   * The setting does something only while another has one of these values; `*.csv` and `a folder`
   * are kinds of paths.
   */
  readonly onlyWith?: { readonly key: Key; readonly values: readonly string[] };
}

/** Every setting of a group; they may depend on each other, and on `Other` ones. */
export type OptionTable<Settings, Other extends string = never> = {
  readonly [Key in keyof Settings]-?: SettingOption<
    Settings[Key],
    (keyof Settings & string) | Other
  >;
};
