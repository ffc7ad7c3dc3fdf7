/**
 * The settings of a run that goes on: those that it had, but for what may change on the way; and of
 * a variation, which may be others.
 */
import { ConfigError } from '../base/errors.ts';
import { type FlagValues, type ParsedTrainConfig, parseTrainConfig } from './parse-train-config.ts';
import type { TrainConfig, TrainConfigKey } from './train-config.ts';
import { flagOf, TRAIN_CONFIG_KEYS, yamlKeyOf } from './train-options.ts';
import type { ConfigSource } from './yaml-source.ts';

/** Settings that say who computes, what is told, when it ends: the steps so far are as before. */
const MAY_CHANGE: ReadonlySet<TrainConfigKey> = new Set<TrainConfigKey>([
  ...(['workers', 'lanes', 'throttle', 'device', 'threads', 'collective', 'dataDir'] as const),
  ...(['gradientTimeout', 'loadBalancePolicy', 'rebalanceInterval', 'gpuProfiles'] as const),
  ...(['keepSlowLinks', 'host', 'port', 'lan', 'insecure', 'meshPlain', 'linkFile'] as const),
  ...(['name', 'outDir', 'evalEvery', 'trackGradients', 'audit'] as const),
  ...(['stopOnDivergence', 'checkpointEvery', 'keep', 'epochs', 'steps', 'rounds'] as const),
]);

/** Where a run goes on, and what was asked for besides. */
export interface ResumedRequest {
  /** As the checkpoint has it, and how messages call that. */
  readonly recorded: Readonly<Record<string, unknown>>;
  readonly place: string;
  readonly sources: readonly ConfigSource[];
  readonly flags: FlagValues;
  readonly isForOthers: boolean;
}

/** Reads the settings. Throws ConfigError, naming what differs, when others were asked for. */
export function resumedConfig(request: ResumedRequest): ParsedTrainConfig {
  const { recorded, place, sources, flags, isForOthers } = request;
  const before = { file: place, text: yamlOf(recorded) };
  const had = parseTrainConfig([before], {}, isForOthers).config;
  const model = otherModel(request, had);
  // Its settings are for another model: they cannot be read together.
  const parsed =
    model === undefined
      ? parseTrainConfig([before, ...sources], flags, isForOthers)
      : { config: { ...had, model }, notes: [], given: new Set<TrainConfigKey>() };
  const odd = TRAIN_CONFIG_KEYS.filter(
    (key) => !MAY_CHANGE.has(key) && !isEqual(had, parsed.config, key),
  );
  if (odd.length === 0) return parsed;
  const lines = odd.map((key) => differenceText(key, had, parsed.config));
  throw new ConfigError([
    `going on from ${place}: these settings make another model. Leave them out, begin a run of ` +
      'another --name, or train on from there with them, as a run of its own: `lockstep fork`.',
    ...lines,
  ]);
}

/** The model that is asked for, if it is not that of the run. */
function otherModel(
  { sources, flags, isForOthers }: ResumedRequest,
  had: TrainConfig,
): string | undefined {
  const { model } = parseTrainConfig(sources, flags, isForOthers).config;
  const isAsked = flags['model'] !== undefined || model !== parseTrainConfig([]).config.model;
  return isAsked && model !== had.model ? model : undefined;
}

function differenceText(key: TrainConfigKey, had: TrainConfig, has: TrainConfig): string {
  const text = (value: unknown): string => (value === undefined ? 'none' : JSON.stringify(value));
  return `${flagOf(key)}: the run has ${text(had[key])}, and ${text(has[key])} was given`;
}

/** Where workers join a run: of each its own. */
const OF_ITS_PLACE: ReadonlySet<TrainConfigKey> = new Set<TrainConfigKey>([
  ...(['name', 'outDir', 'host', 'port', 'lan', 'insecure', 'approve', 'linkFile'] as const),
]);

/** The settings of a variation, and which of them differ. */
export interface ForkedConfig extends ParsedTrainConfig {
  /** By their names in a file, before and now. */
  readonly changed: Readonly<Record<string, { readonly had: unknown; readonly has: unknown }>>;
}

/**
 * Reads the settings of a variation: those of its parent, where no others were asked for. Throws
 * ConfigError, also for another model.
 */
export function forkedConfig(request: ResumedRequest): ForkedConfig {
  const { recorded, place, sources, flags, isForOthers } = request;
  const kept = Object.entries(recorded).filter(([key]) => !OF_ITS_PLACE.has(key as TrainConfigKey));
  const before = { file: place, text: yamlOf(Object.fromEntries(kept)) };
  const had = parseTrainConfig([before], {}, isForOthers).config;
  const model = otherModel(request, had);
  if (model !== undefined)
    throw new ConfigError([
      `varying ${place}: its state is of another model. Weights alone go into another network by ` +
        '`lockstep checkpoint export` to a .onnx, and --model:',
      differenceText('model', had, { ...had, model }),
    ]);
  const parsed = parseTrainConfig([before, ...sources], flags, isForOthers);
  const odd = TRAIN_CONFIG_KEYS.filter(
    (key) => !OF_ITS_PLACE.has(key) && !isEqual(had, parsed.config, key),
  );
  const valuesOf = (key: TrainConfigKey): { had: unknown; has: unknown } => ({
    had: had[key] ?? null,
    has: parsed.config[key] ?? null,
  });
  const changed = Object.fromEntries(odd.map((key) => [yamlKeyOf(key), valuesOf(key)]));
  return { ...parsed, changed };
}

function isEqual(a: TrainConfig, b: TrainConfig, key: TrainConfigKey): boolean {
  return JSON.stringify(a[key]) === JSON.stringify(b[key]);
}

/** JSON is YAML. */
function yamlOf(recorded: Readonly<Record<string, unknown>>): string {
  return TRAIN_CONFIG_KEYS.filter((key) => recorded[key] !== undefined)
    .map((key) => `${yamlKeyOf(key)}: ${JSON.stringify(recorded[key])}\n`)
    .join('');
}
