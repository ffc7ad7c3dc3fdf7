/** How a training can be launched, but over ssh: one entry for each launcher and scheduler. */
import { newToken, tokenText } from '../access/token.ts';
import { ConfigError, LockstepError } from '../base/errors.ts';
import { type Job, launcherLine, type Writer } from './job.ts';
import { kubernetesManifests, manifestsText, readKubernetesJob } from './kubernetes.ts';
import { problemsOfManifests } from './check-manifests.ts';
import { type LaunchedJob, writeJobFile } from './launched-jobs.ts';
import { outputOf, runProgram } from './programs.ts';
import { jobIdOf, readOldJob, readQueue, slurmScript, SQUEUE_WORDS } from './slurm.ts';

/** Launchers that run in the terminal, to the end of the training. */
const HERE = ['local', 'mpirun', 'torchrun'] as const;
/** Schedulers to which a training is handed. */
export const SCHEDULERS = ['slurm', 'kubernetes'] as const;
/** All ways to launch; `ssh` is `remote/`. */
export const LAUNCHERS = ['ssh', ...HERE, ...SCHEDULERS] as const;
/** One of `LAUNCHERS`. */
export type LauncherName = (typeof LAUNCHERS)[number];

/** What a scheduler does with a training. */
interface Scheduler {
  /** The script or the manifests, which `--dry-run` prints. */
  readonly textOf: (job: Job, writer: Writer) => string;
  /** Hands it over. */
  readonly submit: (job: Job, text: string) => Promise<LaunchedJob>;
  /** How it is, in a line. */
  readonly status: (job: LaunchedJob) => Promise<string>;
  /** Has it end in good order; resolves when it has been told to. */
  readonly stop: (job: LaunchedJob) => Promise<void>;
  /** The command that prints its log from elsewhere; undefined: it is the file `logPath`. */
  readonly logWords?: (job: LaunchedJob, lines: number, isFollowed: boolean) => readonly string[];
}

/** Each scheduler. */
export const SCHEDULER_OF: Readonly<Record<(typeof SCHEDULERS)[number], Scheduler>> = {
  slurm: {
    textOf: slurmScript,
    submit: async ({ name, outDir, logPath }, text) => {
      const path = writeJobFile(outDir, `${name}.sbatch`, text);
      const printed = await outputOf(['sbatch', '--parsable', path]);
      const job = jobIdOf(printed);
      if (job === undefined)
        throw new LockstepError('HOST_FAILED', `sbatch: expected a job number, got "${printed}"`);
      return { via: 'slurm', name, job, logPath };
    },
    status: async ({ job }) => {
      const { stdout } = await runProgram([...SQUEUE_WORDS, `--jobs=${job}`]);
      const state =
        readQueue(stdout) ??
        readOldJob((await runProgram(['scontrol', 'show', 'job', job])).stdout);
      if (state === undefined) return `job ${job}: over, and Slurm has forgotten it`;
      return `job ${job}: ${state.state}, ${state.where}`;
    },
    stop: async ({ job }) => void (await outputOf(['scancel', job])),
  },
  kubernetes: {
    textOf: (job, writer) => {
      const manifests = kubernetesManifests(job, tokenText(newToken('worker')), writer);
      const problems = problemsOfManifests(manifests);
      if (problems.length > 0) throw new ConfigError(problems);
      return manifestsText(manifests);
    },
    submit: async ({ name, logPath, file }, text) => {
      await outputOf(['kubectl', 'apply', '-f', '-'], text);
      const { namespace } = file.kubernetes ?? {};
      const job = /^kind: Job\nmetadata:\n {2}name: (\S+)/m.exec(text)?.[1] ?? name;
      return { via: 'kubernetes', name, job, logPath, ...(namespace && { namespace }) };
    },
    status: async (launched) =>
      readKubernetesJob(
        await outputOf(kubectl(launched, 'get', 'job', launched.job, '-o', 'json')),
      ),
    stop: async (launched) => {
      const kinds = 'job,service,secret,configmap';
      await outputOf(kubectl(launched, 'delete', kinds, launched.job, '--ignore-not-found'));
    },
    logWords: (launched, lines, isFollowed) =>
      kubectl(
        launched,
        ...['logs', `--selector=job-name=${launched.job}`, '--prefix', `--tail=${lines}`],
        ...(isFollowed ? ['--follow', '--max-log-requests=1000'] : []),
      ),
  },
};

function kubectl({ namespace }: LaunchedJob, ...words: readonly string[]): readonly string[] {
  return ['kubectl', ...words, ...(namespace === undefined ? [] : [`--namespace=${namespace}`])];
}

/** What `--dry-run` prints of a training that is launched this way. */
export function dryText(via: Exclude<LauncherName, 'ssh'>, job: Job, writer: Writer): string {
  if (via === 'slurm' || via === 'kubernetes') return SCHEDULER_OF[via].textOf(job, writer);
  return `${launcherLine(job, via)}\n`;
}
