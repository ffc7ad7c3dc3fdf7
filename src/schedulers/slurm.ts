/** A training as a batch job of Slurm: its script, and what Slurm says of it. */
import { quoteAll } from '../remote/quote.ts';
import { type Job, rankWords, type Writer } from './job.ts';

/** Before the time of a job is over it is told, so that there is a checkpoint. */
const WARNING_SECONDS = 60;

/**
 * The batch script. The job goes on without nodes that it loses, and is queued again when it is
 * preempted or its first node is lost: the same command goes on from the newest checkpoint then.
 */
export function slurmScript(job: Job, { version }: Writer): string {
  const { workers, slurm = {} } = job.file;
  const { nodes = workers, partition, account, time, cpus_per_task: cpus, memory } = slurm;
  const directives = [
    `--job-name=${job.name}`,
    `--nodes=${nodes}`,
    `--ntasks=${workers}`,
    ...(nodes < workers ? [`--ntasks-per-node=${Math.ceil(workers / nodes)}`] : []),
    ...(cpus === undefined ? [] : [`--cpus-per-task=${cpus}`]),
    ...(memory === undefined ? [] : [`--mem=${memory}`]),
    ...(partition === undefined ? [] : [`--partition=${partition}`]),
    ...(account === undefined ? [] : [`--account=${account}`]),
    ...(time === undefined ? [] : [`--time=${time}`, `--signal=TERM@${WARNING_SECONDS}`]),
    `--chdir=${directiveText(job.folder)}`,
    `--output=${directiveText(job.logPath)}`,
    ...['--open-mode=append', '--no-kill', '--requeue'],
    ...(slurm.options ?? []),
  ];
  const step = [
    ...['srun', '--no-kill', '--kill-on-bad-exit=0', '--wait=0', '--mpi=none'],
    ...(cpus === undefined ? [] : [`--cpus-per-task=${cpus}`]),
  ];
  return [
    '#!/bin/sh',
    `# Written by lockstep launch --via slurm, version ${version}.`,
    ...directives.map((text) => `#SBATCH ${text}`),
    '# Every rank runs the same command; rank 0 coordinates, and all compute.',
    `exec ${quoteAll([...step, ...rankWords(job)])}`,
    '',
  ].join('\n');
}

/** sbatch reads quotes as a shell does, and replaces what follows a percent sign. */
function directiveText(path: string): string {
  const text = path.replaceAll('%', '%%');
  return /^[\w./%-]+$/.test(text) ? text : `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
}

/** The number of a job in what `sbatch --parsable` prints: `123`, or `123;cluster`. */
export function jobIdOf(printed: string): string | undefined {
  return /^(\d+)(?:;\S*)?\s*$/m.exec(printed)?.[1];
}

/** How a job of Slurm is. */
export interface SlurmState {
  /** In the words of Slurm: PENDING, RUNNING, COMPLETED ... */
  readonly state: string;
  /** Its nodes, or why it waits. */
  readonly where: string;
}

/** What `squeue` is asked, and in this form. */
export const SQUEUE_WORDS: readonly string[] = ['squeue', '--noheader', '--format=%T|%R'];

/** Reads what it says; undefined if it knows the job no more. */
export function readQueue(printed: string): SlurmState | undefined {
  const [, state, where = ''] = /^([A-Z_]+)\|(.*)$/m.exec(printed) ?? [];
  return state === undefined ? undefined : { state, where };
}

/** Reads what `scontrol show job` says of a job that is over. */
export function readOldJob(printed: string): SlurmState | undefined {
  const state = /\bJobState=([A-Z_]+)/.exec(printed)?.[1];
  const code = /\bExitCode=(\d+:\d+)/.exec(printed)?.[1] ?? '';
  return state === undefined ? undefined : { state, where: `exit code ${code}` };
}
