/**
 * Flags by the names that other programs have for them: some are taken, and told what they are
 * here; all are known to suggestions.
 */
import { type Command, Option } from 'commander';
import { closestName } from '../../base/closest-name.ts';
import { ConfigError } from '../../base/errors.ts';

type Flags = Readonly<Record<string, unknown>>;

/** A name of another program: what is meant by it here, or why it means nothing. */
export interface FlagAlias {
  readonly flag: string;
  readonly means?: string;
  /** What is worth knowing: added to `read as --flag`, or said alone. */
  readonly note?: string;
  /** It takes no value. */
  readonly isSwitch?: boolean;
}

/** Adds the names to a command; its help does not show them. */
export function withAliases(command: Command, aliases: readonly FlagAlias[]): Command {
  for (const { flag, isSwitch } of aliases)
    command.addOption(new Option(isSwitch === true ? flag : `${flag} <value>`).hideHelp());
  return command;
}

/**
 * The flags with our own names, and a note for every other name. Throws: ConfigError when a flag is
 * given by both names.
 */
export function readAliases(
  flags: Flags,
  aliases: readonly FlagAlias[],
  isGiven: (key: string) => boolean = (key) => flags[key] !== undefined,
): { readonly flags: Flags; readonly notes: readonly string[] } {
  const read = { ...flags };
  const notes: string[] = [];
  for (const { flag, means, note = '' } of aliases) {
    const value = flags[keyOf(flag)];
    delete read[keyOf(flag)];
    if (value === undefined) continue;
    if (means !== undefined && isGiven(keyOf(means)))
      throw new ConfigError(`${flag}: expected it or ${means}, which is the same; got both`);
    if (means !== undefined) read[keyOf(means)] = value;
    const meaning = means === undefined ? '' : `read as ${means}`;
    notes.push(`${flag}: ${[meaning, note].filter(Boolean).join('; ')}`);
  }
  return { flags: read, notes };
}

/** `--batch-size` as commander names its value: batchSize. */
function keyOf(flag: string): string {
  return flag.slice(2).replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** Names of MiniCluster, SmolCluster and the heterogeneous trainer, for `train`. */
export const TRAIN_ALIASES: readonly FlagAlias[] = [
  {
    flag: '--batch-size',
    means: '--global-batch',
    note: 'the samples of a step over all workers together',
  },
  { flag: '--learning-rate', means: '--lr' },
  { flag: '--num-classes', means: '--classes' },
  { flag: '--num-samples', means: '--samples' },
  { flag: '--num-epochs', means: '--epochs' },
  { flag: '--max-steps', means: '--steps' },
  { flag: '--num-workers', means: '--workers' },
  { flag: '--world-size', means: '--workers', note: 'the coordinator does not compute' },
  { flag: '--output-dir', means: '--out-dir' },
  { flag: '--experiment-name', means: '--name' },
  { flag: '--master-addr', means: '--host', note: 'where the coordinator listens' },
  { flag: '--master-port', means: '--port' },
  { flag: '--backend', note: "not used; Lockstep's own engine adds the gradients up" },
  { flag: '--rank', note: 'not used; workers get their ranks when they join' },
  {
    flag: '--enable-load-balancing',
    isSwitch: true,
    note: 'not needed; steps are always shared out by --load-balance-policy',
  },
  {
    flag: '--enable-profiling',
    isSwitch: true,
    note: 'not needed; every step is measured, see logs/rank_N_metrics.json',
  },
  { flag: '--profile-interval', note: 'not used; every step is measured' },
];

/** Names of `train` and of others, for `run`. */
export const RUN_ALIASES: readonly FlagAlias[] = [
  { flag: '--global-batch', means: '--batch-size' },
  { flag: '--lr', means: '--learning-rate' },
  { flag: '--num-workers', means: '--workers' },
  { flag: '--world-size', means: '--workers', note: 'the coordinator does not compute' },
  { flag: '--max-steps', means: '--steps' },
  { flag: '--num-steps', means: '--steps' },
  ...['--num-classes', '--num-samples'].map((flag) => ({
    flag,
    note: 'not used; --workload says what is trained on',
  })),
  ...['--output-dir', '--experiment-name'].map((flag) => ({
    flag,
    note: 'not used; --output says where the result goes',
  })),
  ...['--master-addr', '--master-port', '--rank'].map((flag) => ({
    flag,
    note: 'not used; all workers are processes of this machine',
  })),
];

/** Names of PyTorch, torchrun, Lightning, Transformers and others, for what stands first. */
const OTHER_NAMES: Readonly<Record<string, readonly string[]>> = {
  '--activation': ['--nonlinearity'],
  '--clip-norm': ['--clip', '--grad-clip', '--max-grad-norm', '--gradient-clipping'],
  '--data-dir': ['--data-path', '--data-root'],
  '--dataset': ['--data', '--data-set', '--train-data'],
  '--device': ['--gpus', '--gpu', '--accelerator', '--use-cuda', '--cuda'],
  '--epochs': ['--max-epochs', '--n-epochs', '--num-train-epochs'],
  '--eval-every': ['--eval-steps', '--eval-interval', '--eval-freq'],
  '--global-batch': ['--bs', '--batch', '--train-batch-size'],
  '--heads': ['--num-heads', '--n-heads', '--n-head', '--num-attention-heads'],
  '--hidden': ['--hidden-size', '--hidden-dim', '--hidden-sizes', '--hidden-layers', '--units'],
  '--host': ['--address', '--bind', '--listen'],
  '--iterations': ['--num-iterations', '--iters'],
  '--join': ['--connect', '--coordinator', '--master', '--server', '--rdzv-endpoint'],
  '--lanes': ['--num-threads', '--threads', '--cores', '--cpus'],
  '--layers': ['--num-layers', '--n-layers', '--n-layer', '--depth', '--num-hidden-layers'],
  '--lr': ['--lrate', '--eta'],
  '--micro-batch': ['--per-device-batch-size', '--per-device-train-batch-size', '--mini-batch'],
  '--model': ['--arch', '--architecture', '--network', '--net'],
  '--name': ['--run-name', '--experiment', '--exp-name'],
  '--out-dir': ['--output', '--output-folder', '--save-dir', '--log-dir', '--logdir'],
  '--output': ['--out', '--out-file', '--out-dir', '--output-file'],
  '--schedule': ['--scheduler', '--lr-scheduler', '--lr-scheduler-type'],
  '--seed': ['--random-seed', '--manual-seed', '--random-state'],
  '--sequence-length': ['--seq-len', '--max-seq-len', '--max-length', '--block-size'],
  '--steps': ['--iterations', '--num-iterations', '--max-iters', '--num-train-steps'],
  '--tokens': ['--max-tokens', '--max-new-tokens', '--num-tokens'],
  '--validation-split': ['--val-split', '--validation-fraction'],
  '--weight-decay': ['--wd', '--l2'],
  '--width': ['--embedding-dim', '--d-model', '--n-embd', '--model-dim'],
  '--workers': ['--n-workers', '--nproc', '--nproc-per-node', '--processes', '--nodes', '--nnodes'],
};

/** Every name, with what it means where there is such a flag. */
const MEANINGS: readonly (readonly [name: string, flag: string])[] = [
  ...[...TRAIN_ALIASES, ...RUN_ALIASES].flatMap(({ flag, means }) =>
    means === undefined ? [] : [[flag, means] as const],
  ),
  ...Object.entries(OTHER_NAMES).flatMap(([flag, names]) => names.map((n) => [n, flag] as const)),
];

/** The flag of a command that an unknown one was probably meant to be; undefined when none is. */
export function likelyFlag(unknown: string, { options }: Command): string | undefined {
  const own = options.flatMap(({ long, hidden }) => (hidden || long === undefined ? [] : [long]));
  const meanings = MEANINGS.filter(([, flag]) => own.includes(flag));
  const meaningOf = (name: string): string | undefined =>
    meanings.find(([other]) => other === name)?.[1];
  const nearest = closestName(unknown, [...own, '--help', ...meanings.map(([name]) => name)]);
  return meaningOf(unknown) ?? (nearest && (meaningOf(nearest) ?? nearest));
}
