/**
 * Keys of SmolCluster's files, read as they are: `cluster_config*.yaml`, `nn_config.yaml` and
 * `gpt_config.yaml` of all its commits. Each becomes a setting of ours or a note saying why it is
 * not used; what is not possible here and would change the result is refused.
 *
 * Source: YuvrajSingh-mist/smolcluster, its README, its settings files and their readers.
 */
import { CLUSTER_RULES, translateHosts, translatePorts } from './seed-cluster-rules.ts';
import {
  onlyNote,
  ownRules,
  readAs,
  refused,
  renamed,
  ruleNamed,
  type SeedRule,
  type SeedRules,
  type SeedSharing,
  type SeedSurroundings,
  type SeedTranslation,
  type Setting,
  settingOf,
  textOf,
  translateNested,
  unused,
} from './seed-translation.ts';
import type { YamlEntry } from './yaml-source.ts';

/** SmolCluster's number of workers when no file says. */
export const SEED_WORKERS = 2;

const sizeOfData: SeedRule = unused('sizes of input and output follow from the data set');
const noCheckpoints: SeedRule = unused('a run leaves its model at its end, also when stopped');
const everyStep: SeedRule = unused('every step is written to metrics.jsonl');
const ownFolder: SeedRule = unused('out_dir says where runs are kept');

const GPT_SIZES: SeedRules = {
  vocab_size: sizeOfData,
  model_dim: (entry, path, around) =>
    readAs(
      entry,
      path,
      [
        settingOf('width', entry.value, path, entry),
        ...implied('model', 'gpt', entry, path, around),
        ...implied('optimizer', 'adamw', entry, path, around),
      ],
      "read as width, of model gpt with GPT-2's blocks, trained with adamw",
    ),
  num_layers: (entry, path, around) =>
    around.file.has('num_workers')
      ? onlyNote(
          entry,
          path,
          `${textOf(entry.value)} is not used: here every worker has the whole model`,
        )
      : renamed('layers', 'read as layers')(entry, path, around),
  num_heads: renamed('heads', 'read as heads'),
  ff_dim: renamed('feedForward', 'read as feed_forward'),
  max_seq_len: renamed('sequenceLength', 'read as sequence_length'),
};

const MODEL_RULES: SeedRules = {
  type: (entry, path) => {
    const isKnown = entry.value === 'SimpleNN';
    const model = settingOf('model', isKnown ? 'mlp' : entry.value, path, entry);
    return readAs(entry, path, [model], isKnown ? 'SimpleNN is read as model mlp' : undefined);
  },
  hidden: (entry, path) =>
    readAs(
      entry,
      path,
      [settingOf('hidden', entry.value, path, entry)],
      `read as hidden ${textOf([entry.value].flat())}, as SmolCluster documents it; its ` +
        'code in fact built layers of 256 and 512 units: hidden [256, 512]',
    ),
  activation: renamed('activation', 'read as activation'),
  input_dim: sizeOfData,
  out: sizeOfData,
  dropout: renamed('dropout'),
  ...GPT_SIZES,
};

const DATASET_RULES: SeedRules = { name: datasetNamed };

const CLIPPED_ONCE =
  'read as clip_norm: the gradient of the whole step is clipped, not that of each process';

const TRAINING_RULES: SeedRules = {
  // Its note, and the global batch, need num_workers: see `seedGlobalBatch`.
  batch_size: renamed('microBatch'),
  learning_rate: renamed('lr', 'read as lr'),
  num_epochs: renamed('epochs', 'read as epochs'),
  eval_steps: renamed('evalEvery', 'read as eval_every'),
  eval_step: renamed('evalEvery', 'read as eval_every'),
  gradient_clipping: clipping,
  grad_clip_norm: (entry, path, around) =>
    entry.value === 0
      ? onlyNote(entry, path, '0 is no limit: nothing is clipped')
      : renamed('clipNorm', CLIPPED_ONCE)(entry, path, around),
  num_microbatches: unused('micro_batch says how a step is split; the result is the same'),
  use_fp16: unused('everything is computed in float32'),
  num_experts: (entry, path) => refused(entry, path, 'a model without a mixture of experts'),
};

const SCHEDULE_RULES: SeedRules = {
  use_lr_scheduler: (entry, path, around) =>
    typeof entry.value === 'boolean'
      ? readAs(
          entry,
          path,
          implied('schedule', entry.value ? 'cosine' : 'constant', entry, path, around),
          `read as schedule ${entry.value ? 'cosine' : 'constant'}`,
        )
      : refused(entry, path, 'true or false'),
  warmup_iters: (entry, path, around) =>
    around.file.get('use_lr_scheduler')?.value === false
      ? onlyNote(entry, path, `${textOf(entry.value)} is not used: use_lr_scheduler is false`)
      : readAs(
          entry,
          path,
          [
            settingOf('warmupSteps', entry.value, path, entry),
            ...implied('schedule', 'cosine', entry, path, around),
          ],
          'read as warmup_steps, of schedule cosine',
        ),
};

const DATA_RULES: SeedRules = {
  dataset_name: datasetNamed,
  dataset_config: unused('a text is given as a file, with dataset'),
  tokenizer: unused('tokens are characters or bytes: text_tokens'),
};

const RECORD_RULES: SeedRules = {
  project_name: unused('W&B is not part of this; a run writes files of its own'),
  log_interval: everyStep,
  checkpoint_interval: noCheckpoints,
  decoder_type: unused('the perplexity is e to the power of the loss'),
};

const OUTPUT_RULES: SeedRules = {
  output_dir: ownFolder,
  log_dir: ownFolder,
  save_checkpoints: noCheckpoints,
  checkpoint_dir: noCheckpoints,
  checkpoint_steps: noCheckpoints,
  max_checkpoints_to_keep: noCheckpoints,
  save_optimizer_state: noCheckpoints,
  resume_from_checkpoint: (entry, path) =>
    entry.value === null
      ? readAs(entry, path, [])
      : refused(entry, path, 'nothing: --model takes the model.onnx of an earlier run'),
};

const TOP_RULES: SeedRules = {
  ...TRAINING_RULES,
  ...GPT_SIZES,
  ...SCHEDULE_RULES,
  ...DATA_RULES,
  ...RECORD_RULES,
  ...OUTPUT_RULES,
  ...CLUSTER_RULES,
};

/** Keys that hold others, in some of SmolCluster's files. */
const GROUPS: Readonly<Record<string, SeedRules>> = {
  model: MODEL_RULES,
  dataset: DATASET_RULES,
  training: {
    ...TRAINING_RULES,
    ...ownRules(['epochs', 'weight_decay', 'seed']),
    task: unused('data set and model say what is learned'),
  },
  lr_schedule: { ...SCHEDULE_RULES, ...ownRules(['min_lr']) },
  data: DATA_RULES,
  logging: { ...RECORD_RULES, ...ownRules(['track_gradients']) },
  output: OUTPUT_RULES,
};

/** Top-level keys that only SmolCluster's files have. */
export const SEED_KEYS: readonly string[] = Object.keys(TOP_RULES);

/**
 * What a top-level entry means when it is written in SmolCluster's way; undefined when it is not.
 */
export function translateSeedEntry(
  entry: YamlEntry,
  around: SeedSurroundings,
): SeedTranslation | undefined {
  const { key, children } = entry;
  const group = Object.hasOwn(GROUPS, key) ? GROUPS[key] : undefined;
  if (group !== undefined && children !== undefined)
    return translateNested(children, key, group, around);
  if (key === 'workers') return translateHosts(entry, key, around);
  if (key === 'port') return translatePorts(entry, key, around);
  return ruleNamed(TOP_RULES, key)?.(entry, key, around);
}

/**
 * The global batch that SmolCluster averaged over, of its `batchSize` and how its processes shared
 * a step.
 */
export function seedGlobalBatch(
  batchSize: number,
  workers: number,
  sharing: SeedSharing,
): { globalBatch: number; message: string } {
  const batches = { 'server-too': workers + 1, workers, 'one-batch': 1 }[sharing];
  const crew = `${workers} worker${workers === 1 ? '' : 's'}`;
  const globalBatch = batchSize * batches;
  const why = {
    'server-too':
      `${batchSize} x (${crew} + the server, which computed a share too); it stays ` +
      `${globalBatch} on any number of workers`,
    workers: `${batchSize} x ${crew}; it stays ${globalBatch} on any number of workers`,
    'one-batch': 'one for all its hosts, which held parts of the model',
  }[sharing];
  return {
    globalBatch,
    message:
      `read as micro_batch ${batchSize} and global_batch ${globalBatch}, the batch ` +
      `SmolCluster averaged over: ${why}`,
  };
}

/** A setting that follows from an entry, unless its file gives it. */
function implied(
  key: 'model' | 'optimizer' | 'schedule',
  value: string,
  entry: YamlEntry,
  path: string,
  { file }: SeedSurroundings,
): Setting[] {
  const given = file.get(key);
  const isGiven =
    given !== undefined &&
    (given.children === undefined || given.children.some((child) => child.key === 'type'));
  return isGiven ? [] : [settingOf(key, value, path, entry)];
}

function datasetNamed(entry: YamlEntry, path: string): SeedTranslation {
  const { value } = entry;
  const isPath = typeof value === 'string' && /[./\\]/.test(value);
  const name = typeof value === 'string' && !isPath ? value.toLowerCase() : value;
  const hint =
    name === 'wikitext' ? 'give the text as a file: --dataset ./wikitext.txt' : undefined;
  const setting = settingOf('dataset', name, path, entry);
  return readAs(
    entry,
    path,
    [hint === undefined ? setting : { ...setting, hint }],
    `read as dataset ${textOf(name)}`,
  );
}

/** `{enabled, max_norm}`; SmolCluster takes 1 when no norm is given. */
function clipping(entry: YamlEntry, path: string, around: SeedSurroundings): SeedTranslation {
  const { children } = entry;
  const enabled = children?.find(({ key }) => key === 'enabled')?.value;
  if (children === undefined || (enabled !== undefined && typeof enabled !== 'boolean'))
    return refused(entry, path, 'a mapping: enabled (true or false) and max_norm');
  const norm = children.find(({ key }) => key === 'max_norm');
  const rules: SeedRules = {
    enabled: (child, childPath) => {
      if (enabled !== true) return onlyNote(child, childPath, 'nothing is clipped');
      if (norm !== undefined) return readAs(child, childPath, []);
      return readAs(child, childPath, [settingOf('clipNorm', 1, childPath, child)], CLIPPED_ONCE);
    },
    max_norm: (child, childPath) =>
      enabled === true
        ? renamed('clipNorm', CLIPPED_ONCE)(child, childPath, around)
        : onlyNote(child, childPath, `${textOf(child.value)} is not used: enabled is not true`),
  };
  return translateNested(children, path, rules, around);
}
