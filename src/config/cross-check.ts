/** What single settings cannot know: whether they fit each other. */
import { ARCHITECTURE_KEYS } from '../models/architecture-settings.ts';
import type { ModelSettings } from '../models/model-settings.ts';
import { settingsOfModel } from '../models/models.ts';
import type { OptimizerSettings } from '../optim/optimizer-settings.ts';
import { type ClusterSettings, type StrategyName, wantsKey } from './cluster-settings.ts';
import type { Setting } from './seed-translation.ts';
import { textOf } from './seed-translation.ts';
import { isLoopback } from '../transport/loopback.ts';
import type { TrainConfig, TrainConfigKey } from './train-config.ts';
import { flagOf, TRAIN_CONFIG_KEYS, TRAIN_OPTIONS, yamlKeyOf } from './train-options.ts';
import { MAX_ROUNDS, type WorkSettings } from './work-settings.ts';

/** Something about how settings fit: a problem refuses the configuration, a note is told. */
export type SettingsFinding = {
  /** The settings it is about; void when one of them was refused already. */
  readonly keys: readonly TrainConfigKey[];
  /** The one to name in the message. */
  readonly setting: Setting;
} & (
  | {
      readonly kind: 'problem';
      readonly expected: string;
      readonly got: string;
      readonly hint: string;
    }
  | { readonly kind: 'note'; readonly message: string }
);

type Given = ReadonlyMap<TrainConfigKey, Setting>;

/**
 * Everything in `config` that does not fit together; `given` says what the user wrote and where.
 */
export function crossCheck(config: TrainConfig, given: Given): readonly SettingsFinding[] {
  return [
    ...checkModelSettings(config, given),
    ...checkBatches(config, given),
    ...checkIdle(config, given),
    ...checkThreads(config, given),
    ...checkAudits(config, given),
    ...checkMode(config, given),
    ...checkLedSums(config, given),
    ...checkTurns('device', config, given),
    ...checkTurns('throttle', config, given),
    ...checkDoor(config, given),
    ...checkLanes(config, given),
    ...checkMinLr(config, given),
    ...checkSteps(config, given),
    ...checkRounds(config, given),
    ...checkReplicas(config, given),
    ...checkTopK(config, given),
    ...checkCompression(config, given),
    ...checkEffect(config, given),
  ];
}

/** A model is what was asked for: a setting that it does not have is refused, not passed over. */
function checkModelSettings({ model }: ModelSettings, given: Given): SettingsFinding[] {
  const known = Object.keys(settingsOfModel(model));
  return ARCHITECTURE_KEYS.flatMap((key): SettingsFinding[] => {
    const setting = given.get(key);
    if (setting === undefined || setting.value === null || known.includes(key)) return [];
    const name = (other: TrainConfigKey): string => nameLike(setting, other);
    const has = ARCHITECTURE_KEYS.filter((other) => known.includes(other)).map(name);
    return [
      {
        kind: 'problem',
        keys: [key, 'model'],
        setting,
        expected:
          has.length === 0
            ? `no settings for ${model}`
            : `settings that ${model} has (${has.join(', ')})`,
        got: textOf(setting.value),
        hint: `${model} has no ${name(key)}`,
      },
    ];
  });
}

function checkBatches({ globalBatch, microBatch }: WorkSettings, given: Given): SettingsFinding[] {
  if (globalBatch % microBatch === 0) return [];
  const setting = given.get('globalBatch') ?? given.get('microBatch');
  if (setting === undefined) return [];
  const below = Math.floor(globalBatch / microBatch) * microBatch;
  const multiples = [below, below + microBatch].filter((size) => size > 0);
  const isDefault = given.has('globalBatch') ? '' : ' (the default)';
  return [
    {
      kind: 'problem',
      keys: ['globalBatch', 'microBatch'],
      setting,
      expected: `global_batch to be a multiple of micro_batch`,
      got: `global_batch ${globalBatch}${isDefault} and micro_batch ${microBatch}`,
      hint:
        `nearest: global_batch ${multiples.join(' or ')}, or micro_batch ` +
        `${nearestDivisor(globalBatch, microBatch)}`,
    },
  ];
}

/** A micro-batch is computed by one worker. */
function checkIdle(config: TrainConfig, given: Given): SettingsFinding[] {
  const { strategy, workers, globalBatch, microBatch } = config;
  const keys = ['workers', 'globalBatch', 'microBatch'] as const;
  const setting = keys.map((key) => given.get(key)).find((found) => found !== undefined);
  const parts = globalBatch / microBatch;
  if (setting === undefined || isInRounds(strategy) || parts >= workers) return [];
  if (globalBatch % microBatch !== 0) return [];
  const name = parts === 1 ? 'micro-batch' : 'micro-batches';
  const message =
    `${parts} ${name} in a step for ${workers} workers: ${workers - parts} will have nothing to ` +
    `do; a larger ${nameLike(setting, 'globalBatch')} has more`;
  return [{ kind: 'note', keys, setting, message }];
}

/** The divisor of `whole` nearest to `wanted`; the smaller of two. */
function nearestDivisor(whole: number, wanted: number): number {
  for (let distance = 1; ; distance++) {
    const below = wanted - distance;
    if (below >= 1 && whole % below === 0) return below;
    if (whole % (wanted + distance) === 0) return wanted + distance;
  }
}

/** A door in the network has keys, unless it is said that it has none. */
function checkDoor(config: ClusterSettings, given: Given): SettingsFinding[] {
  const { host, lan, approve, insecure } = config;
  const problem = (
    key: 'lan' | 'approve',
    other: TrainConfigKey,
    got: string,
    hint: string,
  ): SettingsFinding[] => {
    const setting = given.get(key);
    const expected = 'a door that workers of other machines reach with a key';
    if (setting === undefined) return [];
    return [{ kind: 'problem', keys: [key, other], setting, expected, got, hint }];
  };
  if (lan && insecure)
    return problem('lan', 'insecure', 'insecure with it', 'choose one of the two');
  if (lan && isLoopback(host))
    return problem('lan', 'host', `host ${host}`, 'leave host out, or give one of the network');
  if (approve && insecure)
    return problem('approve', 'insecure', 'insecure with it', 'leave it out');
  if (approve && !wantsKey(config))
    return problem('approve', 'lan', `host ${host}`, 'give lan with it');
  return [];
}

function checkThreads({ mode, threads }: ClusterSettings, given: Given): SettingsFinding[] {
  const setting = given.get('threads');
  if (setting === undefined || mode !== 'exact' || threads === 1) return [];
  return [
    {
      kind: 'problem',
      keys: ['threads', 'mode'],
      setting,
      expected: '1 in exact mode',
      got: String(threads),
      hint:
        'a computation split over another number of threads adds in another order and gives ' +
        'other bits; use --lanes or --workers for more cores',
    },
  ];
}

/** Sums are looked at where they are audited: at the coordinator. */
function checkAudits({ audit, collective }: TrainConfig, given: Given): SettingsFinding[] {
  const setting = given.get('collective');
  const isAmongWorkers = collective === 'ring' || collective === 'shm';
  if (setting === undefined || audit === 0 || !isAmongWorkers) return [];
  return [
    {
      kind: 'problem',
      keys: ['collective', 'audit'],
      setting,
      expected: `star, or auto, with ${nameLike(setting, 'audit')}`,
      got: collective,
      hint: 'audited sums go through the coordinator, which compares them with their micro-batches',
    },
  ];
}

/** What depends on when gradients come is asked for by strategy and mode together. */
function checkMode({ mode, strategy, audit }: TrainConfig, given: Given): SettingsFinding[] {
  const problem = (
    key: 'mode' | 'audit',
    how: { readonly expected: string; readonly got: string; readonly hint: string },
  ): SettingsFinding[] => {
    const setting = given.get(key);
    return setting === undefined
      ? []
      : [{ kind: 'problem', keys: [key, 'strategy'], setting, ...how }];
  };
  if (mode === 'deadline' && strategy !== 'parameter-server')
    return problem('mode', {
      expected: 'exact, or strategy parameter-server',
      got: `deadline with strategy ${strategy}`,
      hint: 'only there does the coordinator add up every step, and can leave out what is late',
    });
  if (audit > 0 && (mode === 'deadline' || strategy === 'async'))
    return problem('audit', {
      expected: 'no audits where the result depends on when gradients come',
      got: String(audit),
      hint: 'steps that a wrong gradient was in could not be computed again; use strategy sync',
    });
  return [];
}

/** Strategies whose steps the coordinator adds up. */
function checkLedSums({ strategy, collective }: TrainConfig, given: Given): SettingsFinding[] {
  const setting = given.get('collective');
  const isLed = strategy === 'parameter-server' || strategy === 'async';
  const isStar = collective === 'star' || collective === 'auto';
  if (setting === undefined || !isLed || isStar) return [];
  return [
    {
      kind: 'problem',
      keys: ['collective', 'strategy'],
      setting,
      expected: `star, or auto, with strategy ${strategy}`,
      got: collective,
      hint: 'its sums go through the coordinator; with strategy sync workers add them up themselves',
    },
  ];
}

/** Workers take the entries of such a list in turn. */
function checkTurns(
  key: 'device' | 'throttle',
  config: TrainConfig,
  given: Given,
): SettingsFinding[] {
  const setting = given.get(key);
  const { workers } = config;
  const unused = config[key].slice(workers).join(', ');
  if (setting === undefined || unused === '') return [];
  return [
    {
      kind: 'note',
      keys: [key, 'workers'],
      setting,
      message:
        `${unused} is not used: there ` +
        (workers === 1 ? 'is 1 worker' : `are ${workers} workers`),
    },
  ];
}

/** A worker on a GPU has one lane, whatever is asked for. */
function checkLanes({ device, lanes }: TrainConfig, given: Given): SettingsFinding[] {
  const setting = given.get('lanes');
  const isUsed = device.some((name) => name === 'cpu' || name === 'auto');
  if (setting === undefined || isUsed || lanes === 'auto' || lanes === 1) return [];
  const reason = 'a worker on a GPU has one lane; start more workers instead';
  const message = `${lanes} is not used: ${reason}`;
  return [{ kind: 'note', keys: ['lanes', 'device'], setting, message }];
}

function checkMinLr({ schedule, minLr, lr }: OptimizerSettings, given: Given): SettingsFinding[] {
  const setting = given.get('minLr');
  if (setting === undefined || schedule !== 'cosine' || minLr <= lr) return [];
  return [
    {
      kind: 'problem',
      keys: ['minLr', 'lr', 'schedule'],
      setting,
      expected: `at most lr (${lr})`,
      got: String(minLr),
      hint: 'a cosine schedule falls from lr to min_lr',
    },
  ];
}

function checkSteps({ steps, epochs }: WorkSettings, given: Given): SettingsFinding[] {
  const setting = given.get('epochs');
  if (setting === undefined || steps === undefined || isWhatItWouldBe('epochs', setting)) return [];
  return [
    {
      kind: 'note',
      keys: ['steps', 'epochs'],
      setting,
      message: `${epochs} is not used: steps ${steps} is given`,
    },
  ];
}

/** Rounds are counted by their own setting, or hold whole epochs, or parts of them. */
function checkRounds(config: TrainConfig, given: Given): SettingsFinding[] {
  const { steps, strategy } = config;
  if (!isInRounds(strategy)) return [];
  const setting = given.get('steps');
  if (setting === undefined || steps === undefined)
    return strategy === 'rounds'
      ? [...checkRoundEpochs(config, given), ...checkParts('shards', config, given)]
      : [...checkUnusedEpochs(config, given), ...checkParts('replicas', config, given)];
  return [
    {
      kind: 'problem',
      keys: ['steps', 'strategy'],
      setting,
      expected: `rounds or epochs with strategy ${strategy}`,
      got: String(steps),
      hint: `use ${nameLike(setting, 'rounds')}`,
    },
  ];
}

function isInRounds(strategy: StrategyName): boolean {
  return strategy === 'rounds' || strategy === 'local-sgd';
}

function checkUnusedEpochs({ rounds, epochs }: WorkSettings, given: Given): SettingsFinding[] {
  const setting = given.get('epochs');
  if (rounds === undefined || setting === undefined || isWhatItWouldBe('epochs', setting))
    return [];
  const message = `${epochs} is not used: rounds ${rounds} is given`;
  return [{ kind: 'note', keys: ['rounds', 'epochs'], setting, message }];
}

function checkRoundEpochs(settings: WorkSettings, given: Given): SettingsFinding[] {
  const { rounds, epochs, localEpochs } = settings;
  if (rounds !== undefined) return checkUnusedEpochs(settings, given);
  const setting = given.get('epochs') ?? given.get('localEpochs');
  if (setting === undefined) return [];
  const keys = ['epochs', 'localEpochs'] as const;
  const needed = Math.ceil(epochs / localEpochs);
  if (needed > MAX_ROUNDS) {
    const got = `${needed}, for ${epochs} epochs in rounds of ${localEpochs}`;
    const hint = `raise ${nameLike(setting, 'localEpochs')}`;
    return [
      { kind: 'problem', keys, setting, expected: `at most ${MAX_ROUNDS} rounds`, got, hint },
    ];
  }
  if (needed * localEpochs === epochs) return [];
  const message =
    `${epochs} epochs are no whole rounds of ${localEpochs}: ${needed} rounds, ` +
    `${needed * localEpochs} epochs, will be trained`;
  return [{ kind: 'note', keys, setting, message }];
}

/** A shard, or a replica, is trained by one worker at a time. */
function checkParts(
  key: 'shards' | 'replicas',
  { workers, ...config }: WorkSettings,
  given: Given,
): SettingsFinding[] {
  const setting = given.get(key) ?? given.get('workers');
  const parts = config[key];
  if (setting === undefined || parts >= workers) return [];
  const idle = workers - parts;
  const name = parts === 1 ? key.slice(0, -1) : key;
  const message = `${parts} ${name} for ${workers} workers: ${idle} will have nothing to do`;
  return [{ kind: 'note', keys: [key, 'workers'], setting, message }];
}

/** A step of a replica is its part of the global batch, in whole micro-batches. */
function checkReplicas(config: TrainConfig, given: Given): SettingsFinding[] {
  const { strategy, replicas, globalBatch, microBatch } = config;
  if (strategy !== 'local-sgd' || globalBatch % microBatch !== 0) return [];
  const microBatches = globalBatch / microBatch;
  if (microBatches % replicas === 0) return [];
  const keys = ['replicas', 'globalBatch', 'microBatch'] as const;
  const setting = keys.map((key) => given.get(key)).find((found) => found !== undefined);
  if (setting === undefined) return [];
  const batch = Math.ceil(microBatches / replicas) * replicas * microBatch;
  return [
    {
      kind: 'problem',
      keys: [...keys, 'strategy'],
      setting,
      expected: `replicas to divide the ${microBatches} micro-batches of a global batch`,
      got: `${replicas} replicas, global_batch ${globalBatch} and micro_batch ${microBatch}`,
      hint:
        `nearest: ${nearestDivisor(microBatches, replicas)} ` +
        `${nameLike(setting, 'replicas')}, or global_batch ${batch}`,
    },
  ];
}

/** What does not travel is remembered from round to round: steps have nobody who could. */
function checkTopK({ strategy, compress }: TrainConfig, given: Given): SettingsFinding[] {
  const setting = given.get('compress');
  if (setting === undefined || compress !== 'topk' || isInRounds(strategy)) return [];
  return [
    {
      kind: 'problem',
      keys: ['compress', 'strategy'],
      setting,
      expected: `strategy local-sgd or rounds with it`,
      got: `topk with strategy ${strategy}`,
      hint:
        'of a micro-batch of a step, whatever is left out would have to be kept by the worker ' +
        'that computed it, and the result would depend on who that was; use ' +
        `${nameLike(setting, 'strategy')}${setting.place === undefined ? ' ' : ': '}local-sgd`,
    },
  ];
}

/** Packed sums are of different lengths: the coordinator adds them up. */
function checkCompression(config: TrainConfig, given: Given): SettingsFinding[] {
  const { strategy, compress, collective } = config;
  const setting = given.get('compress') ?? given.get('collective');
  const isAmongWorkers = collective === 'ring' || collective === 'shm';
  if (!isInRounds(strategy) || compress === 'none' || !isAmongWorkers || setting === undefined)
    return [];
  return [
    {
      kind: 'problem',
      keys: ['compress', 'collective'],
      setting,
      expected: `star, or auto, for ${nameLike(setting, 'collective')} with it`,
      got: `${compress} with ${collective}`,
      hint: 'what is compressed goes through the coordinator, which adds it up',
    },
  ];
}

/** Settings that were given but do nothing with the others as they are. */
function checkEffect(config: TrainConfig, given: Given): SettingsFinding[] {
  return TRAIN_CONFIG_KEYS.flatMap((key): SettingsFinding[] => {
    const { onlyWith } = TRAIN_OPTIONS[key];
    const setting = given.get(key);
    if (onlyWith === undefined || setting === undefined) return [];
    const other = config[onlyWith.key];
    if (
      onlyWith.values.some((value) => isOfKind(String(other), value)) ||
      isWhatItWouldBe(key, setting)
    )
      return [];
    const needs = `${nameLike(setting, onlyWith.key)} ${onlyWith.values.join(' or ')}`;
    return [
      {
        kind: 'note',
        keys: [key, onlyWith.key],
        setting,
        message:
          `${textOf(setting.value)} has no effect with ${yamlKeyOf(onlyWith.key)} ` +
          `${String(other)}; it needs ${needs}`,
      },
    ];
  });
}

/**
 * Whether a value is what a table names: itself, a path that ends so (`*.csv`), or one without such
 * an ending (`a folder`).
 */
function isOfKind(value: string, kind: string): boolean {
  if (kind.startsWith('*')) return value.toLowerCase().endsWith(kind.slice(1));
  if (kind === 'a folder') return /[./\\]/.test(value) && !/\.(npz|csv|tsv|txt)$/i.test(value);
  return value === kind;
}

/**
 * A file that spells out a default, as resolved configurations do, asks for nothing. A flag does.
 */
function isWhatItWouldBe(key: TrainConfigKey, setting: Setting): boolean {
  return (
    setting.place !== undefined && textOf(setting.value) === textOf(TRAIN_OPTIONS[key].default)
  );
}

function nameLike(setting: Setting, key: TrainConfigKey): string {
  return setting.place === undefined ? flagOf(key) : yamlKeyOf(key);
}
