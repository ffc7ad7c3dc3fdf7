import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { ARCHITECTURE_KEYS } from '../models/architecture-settings.ts';
import { wantsKey } from './cluster-settings.ts';
import { settingsOfModel } from '../models/models.ts';
import type { OptionType } from '../options/option-types.ts';
import { describeOptions, optionsAsMarkdown } from './option-docs.ts';
import { parseTrainConfig } from './parse-train-config.ts';
import type { TrainConfig } from './train-config.ts';
import { TRAIN_CONFIG_KEYS, TRAIN_OPTIONS } from './train-options.ts';
import { toYaml } from './to-yaml.ts';

/** Any value the type accepts, in final form. */
function valuesOf(type: OptionType): fc.Arbitrary<unknown> {
  switch (type.kind) {
    case 'integer': {
      const integer = fc.integer({ min: type.min, max: type.max });
      return type.words === undefined ? integer : fc.oneof(integer, fc.constantFrom(...type.words));
    }
    case 'number':
      return fc
        .double({ min: type.min, max: type.max, noNaN: true })
        .filter((value) => !(type.exclusive === 'min' && value === type.min))
        .filter((value) => !(type.exclusive === 'max' && value === type.max))
        .map((value) => value + 0);
    case 'integers':
      return fc.array(fc.integer({ min: type.min, max: type.max }), { minLength: 1, maxLength: 5 });
    case 'boolean':
      return fc.boolean();
    case 'choice':
      if (type.orPath === undefined) return fc.constantFrom(...type.choices);
      return fc.oneof(
        fc.constantFrom(...type.choices),
        textsOf(/^[^\p{Cc}\p{Cs}]*$/u).map((text) => `./${text}`),
      );
    case 'choices':
      return fc.array(fc.constantFrom(...type.choices), { minLength: 1, maxLength: 4 });
    case 'fraction':
      return fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    case 'text':
      return textsOf(type.pattern);
    case 'texts':
      return fc.array(textsOf(type.pattern), { maxLength: 3 });
    default:
      return type satisfies never;
  }
}

function textsOf(pattern: RegExp): fc.Arbitrary<string> {
  return fc
    .oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom(
        'true',
        'null',
        '1e3',
        '# x',
        ': y',
        '"',
        "'",
        '~',
        '- a',
        '0.0.0.0',
        '*',
        '[b]',
      ),
    )
    .filter((text) => pattern.test(text));
}

const configs: fc.Arbitrary<TrainConfig> = fc
  .record(
    Object.fromEntries(
      TRAIN_CONFIG_KEYS.map((key) => {
        const { type, default: value } = TRAIN_OPTIONS[key];
        return [
          key,
          value === undefined ? fc.option(valuesOf(type), { nil: undefined }) : valuesOf(type),
        ];
      }),
    ),
  )
  .map((values) => values as unknown as TrainConfig)
  .map((config) => ({
    ...config,
    ...ownSettings(config),
    ...ownLength(config),
    ...ownSums(config),
    threads: 1,
    lan: config.lan && wantsKey(config),
    approve: config.approve && wantsKey(config),
    // One replica has the whole of every global batch, whatever its micro-batches are.
    replicas: config.strategy === 'local-sgd' ? 1 : config.replicas,
    minLr: Math.min(config.minLr, config.lr),
    globalBatch:
      config.microBatch * Math.max(1, Math.min(256, Math.floor(config.globalBatch / 65_536))),
  }));

/** Of the settings of models those that the model has, with a value where it has a default. */
function ownSettings(config: TrainConfig): Partial<TrainConfig> {
  const defaults = settingsOfModel(config.model);
  return Object.fromEntries(
    ARCHITECTURE_KEYS.map((key) => [
      key,
      key in defaults ? (config[key] ?? defaults[key]) : undefined,
    ]),
  );
}

/** Rounds are not counted in steps, and there are not too many. */
function ownLength({ strategy, epochs }: TrainConfig): Partial<TrainConfig> {
  const isInRounds = strategy === 'rounds' || strategy === 'local-sgd';
  return isInRounds ? { steps: undefined, epochs: Math.min(epochs, 10_000) } : {};
}

/**
 * Sums go where the strategy, audits and their packing want them, and audits are where steps can be
 * repeated.
 */
function ownSums({ strategy, ...config }: TrainConfig): Partial<TrainConfig> {
  const isLed = strategy === 'parameter-server' || strategy === 'async';
  const mode = strategy === 'parameter-server' ? config.mode : 'exact';
  const isTimed = strategy === 'async' || mode === 'deadline';
  const isAmongWorkers = config.collective === 'ring' || config.collective === 'shm';
  const collective = isLed && isAmongWorkers ? 'star' : config.collective;
  const isInRounds = strategy === 'rounds' || strategy === 'local-sgd';
  const cannot = isAmongWorkers || (config.compress === 'topk' && !isInRounds);
  const compress = cannot ? 'none' : config.compress;
  return { mode, collective, compress, audit: isTimed || isAmongWorkers ? 0 : config.audit };
}

describe('toYaml', () => {
  test('gives a file that parses to the same configuration', () => {
    fc.assert(
      fc.property(configs, (config) => {
        const parsed = parseTrainConfig([{ file: 'config.yaml', text: toYaml(config) }]);
        assert.deepStrictEqual(parsed.config, config);
      }),
      { numRuns: 150 },
    );
  });

  test('spells out the defaults without a note, settings without value as comments', () => {
    const { config } = parseTrainConfig([]);
    const text = toYaml(config);

    assert.deepEqual(parseTrainConfig([{ file: 'config.yaml', text }]).notes, []);
    assert.match(text, /^hidden: \[256, 512\]$/m);
    assert.match(text, /^lanes: auto$/m);
    assert.match(text, /^# steps:$/m);
    assert.match(
      text,
      /^# Samples of one step over all workers together; a multiple of micro_batch \(samples\)\.$/m,
    );
  });
});

describe('TRAIN_OPTIONS', () => {
  test('has defaults that pass their own checks', () => {
    const defaults = Object.fromEntries(
      TRAIN_CONFIG_KEYS.map((key) => [key, TRAIN_OPTIONS[key].default]),
    );

    assert.deepEqual(parseTrainConfig([], defaults).config, parseTrainConfig([]).config);
  });

  // Flags are a promise: adding or renaming one is to be done knowingly.
  test('has exactly these flags', () => {
    assert.equal(
      describeOptions()
        .map(({ flag, placeholder }) => `${flag} ${placeholder}`.trim())
        .join('\n'),
      `--model <name|path>
--freeze <text,text,...>
--loss <auto|cross-entropy|mse|bce>
--label-smoothing <number>
--hidden <int,int,...>
--activation <relu|tanh|sigmoid|gelu|gelu_tanh>
--layers <int,int,...>
--width <int>
--heads <int>
--feed-forward <int>
--dropout <number>
--token-table <int>
--position-table <int>
--tied-head
--stem <auto|large|small>
--dataset <name|path>
--data-dir <text>
--validation-split [fraction]
--samples <int>
--classes <int>
--image-size <int>
--channels <int>
--sequence-length <int>
--vocabulary <int>
--text-tokens <char|byte>
--label-column <text>
--on-bad-row <stop|skip>
--normalise <auto|none>
--augment <none|crop-flip>
--workers <int>
--lanes <int|auto>
--throttle <int,int,...>
--micro-batch <int>
--global-batch <int>
--epochs <int>
--steps <int>
--rounds <int>
--local-epochs <int>
--shards <int>
--replicas <int>
--sync-every <int>
--optimizer <adam|adamw|sgd|momentum>
--lr <number>
--momentum <number>
--beta1 <number>
--beta2 <number>
--epsilon <number>
--weight-decay <number>
--clip-norm <number>
--schedule <constant|cosine|step>
--warmup-steps <int>
--min-lr <number>
--step-size <int>
--gamma <number>
--seed <int>
--eval-every <int|epoch|never>
--eval-samples <int>
--track-gradients
--audit <number>
--stop-on-divergence
--checkpoint-every <int|60s|never>
--keep <int>
--name <text>
--out-dir <text>
--strategy <sync|rounds|local-sgd|parameter-server|async>
--outer-lr <number>
--outer-momentum <number>
--compress <none|int8|topk>
--top-k-part <number>
--collective <auto|shm|ring|star>
--mode <exact|deadline>
--gradient-timeout <number>
--max-staleness <int>
--load-balance-policy <adaptive|equal|proportional|dynamic|hybrid>
--rebalance-interval <int>
--gpu-profiles <text>
--keep-slow-links
--device <auto|cpu|webgpu|cuda|coreml|dml,...>
--conv-forms <default|measured>
--threads <int>
--host <text>
--port <int>
--lan
--approve
--insecure
--mesh-plain
--link-file <text>`,
    );
  });

  test('gives documentation that names every key', () => {
    const markdown = optionsAsMarkdown();

    for (const { yamlKey, help } of describeOptions()) {
      assert.ok(markdown.includes(`\`${yamlKey}\``));
      assert.ok(markdown.includes(help));
    }
  });
});
