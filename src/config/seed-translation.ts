/** What entries of SmolCluster's files come to, and how rules for their keys are written. */
import { keyNamed } from './train-options.ts';
import type { TrainConfigKey } from './train-config.ts';
import type { ConfigPlace, YamlEntry } from './yaml-source.ts';

/** A line about a key that was translated, changed or not used. */
export interface ConfigNote {
  readonly file: string;
  /** The line of the file, from 1; 0 for a flag. */
  readonly line: number;
  readonly key: string;
  readonly message: string;
}

/** A value for a setting, as somebody wrote it, not yet checked. */
export interface Setting {
  readonly key: TrainConfigKey;
  readonly value: unknown;
  /** The key as written, e.g. `learning_rate` or `model.hidden`. */
  readonly writtenAs: string;
  /** The file and line; undefined for a flag. */
  readonly place: ConfigPlace | undefined;
  /** Of a number of workers that SmolCluster's file gives: how its processes shared a step. */
  readonly sharing?: SeedSharing;
  /** What to do when the value is refused. */
  readonly hint?: string;
}

/**
 * How SmolCluster's processes shared a step: the workers and the server had a batch each, the
 * workers alone had one, or all held parts of the model and had one batch together.
 */
export type SeedSharing = 'server-too' | 'workers' | 'one-batch';

/** What one entry in SmolCluster's terms comes to. */
export interface SeedTranslation {
  readonly settings: readonly Setting[];
  readonly notes: readonly ConfigNote[];
  /** Entries whose keys are known to nobody, with the names they might have meant. */
  readonly unknown: readonly {
    readonly entry: YamlEntry;
    readonly path: string;
    readonly known: readonly string[];
  }[];
  /** Entries that ask for what is not possible here, and without which the result is another. */
  readonly refused: readonly {
    readonly entry: YamlEntry;
    readonly path: string;
    readonly expected: string;
  }[];
}

/** What the meaning of an entry depends on, beside itself. */
export interface SeedSurroundings {
  /** The top-level entries of its file, by key. */
  readonly file: ReadonlyMap<string, YamlEntry>;
  /** Whether workers of other machines are waited for, and the file may say where. */
  readonly isForOthers: boolean;
}

/** What an entry comes to that is written as `path`. */
export type SeedRule = (
  entry: YamlEntry,
  path: string,
  around: SeedSurroundings,
) => SeedTranslation;
/** Rules by key. */
export type SeedRules = Readonly<Record<string, SeedRule>>;

const NOTHING: SeedTranslation = { settings: [], notes: [], unknown: [], refused: [] };

/** An entry that is read as these settings, with a note if there is something to say. */
export function readAs(
  entry: YamlEntry,
  path: string,
  settings: readonly Setting[],
  message?: string,
): SeedTranslation {
  const notes = message === undefined ? [] : [note(entry, path, message)];
  return { ...NOTHING, settings, notes };
}

/** The rule of a key that we have under another name. */
export function renamed(key: TrainConfigKey, message?: string): SeedRule {
  return (entry, path) => readAs(entry, path, [settingOf(key, entry.value, path, entry)], message);
}

/** An entry of which nothing but a note is left. */
export function onlyNote(entry: YamlEntry, path: string, message: string): SeedTranslation {
  return readAs(entry, path, [], message);
}

/** The rule of a key that has no meaning here, with the reason. */
export function unused(reason: string): SeedRule {
  return (entry, path) =>
    onlyNote(
      entry,
      path,
      entry.value === null ? reason : `${textOf(entry.value)} is not used: ${reason}`,
    );
}

/** An entry that cannot be done, and is no detail. */
export function refused(entry: YamlEntry, path: string, expected: string): SeedTranslation {
  return { ...NOTHING, refused: [{ entry, path, expected }] };
}

/** A setting as `path` of a file gives it. */
export function settingOf(
  key: TrainConfigKey,
  value: unknown,
  writtenAs: string,
  { place }: YamlEntry,
): Setting {
  return { key, value, writtenAs, place };
}

/** The entries of a mapping, each by its own rule; ours keep their meaning. */
export function translateNested(
  children: readonly YamlEntry[],
  path: string,
  rules: SeedRules,
  around: SeedSurroundings,
): SeedTranslation {
  const known = Object.keys(rules);
  const parts = children.map((entry) => {
    const childPath = `${path}.${entry.key}`;
    return (
      ruleNamed(rules, entry.key)?.(entry, childPath, around) ?? {
        ...NOTHING,
        unknown: [{ entry, path: childPath, known }],
      }
    );
  });
  return {
    settings: parts.flatMap(({ settings }) => settings),
    notes: parts.flatMap(({ notes }) => notes),
    unknown: parts.flatMap(({ unknown }) => unknown),
    refused: parts.flatMap((part) => part.refused),
  };
}

/** The rule for a key, which may be any word. */
export function ruleNamed(rules: SeedRules, name: string): SeedRule | undefined {
  return Object.hasOwn(rules, name) ? rules[name] : undefined;
}

/** The rule for each key that is one of our own under the same name. */
export function ownRules(names: readonly string[]): SeedRules {
  const rules = names.flatMap((name): [string, SeedRule][] => {
    const key = keyNamed(name);
    return key === undefined ? [] : [[name, renamed(key)]];
  });
  return Object.fromEntries(rules);
}

/** A note on what `entry`, written as `path`, came to. */
export function note({ place }: { place: ConfigPlace }, key: string, message: string): ConfigNote {
  return { file: place.file, line: place.line, key, message };
}

/** A value for a message: JSON, cut short. */
export function textOf(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
