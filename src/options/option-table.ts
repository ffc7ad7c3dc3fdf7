/** How a family of settings describes them: one table, from which everything else follows. */
import type { OptionType } from './option-types.ts';

/** One setting. Its flag is the key in kebab-case, its YAML key in snake_case (or kebab-case). */
interface SettingOption<Value, Key extends string = string> {
  readonly type: OptionType;
  /** The value when none is given; undefined: there is none. */
  readonly default: Value;
  /** What the number counts or measures; absent for words and pure numbers. */
  readonly unit?: string;
  /** One sentence without full stop. */
  readonly help: string;
  /** Whether `--help` shows it, and not only `--help --all`. */
  readonly isEveryday?: true;
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
