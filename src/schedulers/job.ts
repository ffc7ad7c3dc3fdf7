import { quoteAll } from '../remote/quote.ts';
import type { JobFile } from './job-file.ts';

/** A training that a scheduler or launcher is to start, one process for each worker. */
export interface Job {
  /** Of the run. */
  readonly name: string;
  readonly file: JobFile;
  /** The folder in which it runs, absolute. */
  readonly folder: string;
  /** How the program is called: Node.js, and the file with Lockstep. */
  readonly program: readonly string[];
  /** The settings of the training as YAML, and the file that has them. */
  readonly settings: { readonly text: string; readonly path: string };
  /** Where what all ranks say goes. */
  readonly logPath: string;
  /** Folder of the runs, as it was given. */
  readonly outDir: string;
}

/** Version of this program, which files of a job name. */
export interface Writer {
  readonly version: string;
}

/** The words that every rank runs. */
export function rankWords({ program, file, settings, name, outDir }: Job): readonly string[] {
  const place = ['--name', name, '--out-dir', outDir];
  return [...(file.program ?? program), 'train', settings.path, ...place];
}

/** The command line of a launcher that starts all ranks by itself, on the machines it knows. */
export function launcherWords(job: Job, via: 'local' | 'mpirun' | 'torchrun'): readonly string[] {
  const { workers, mpirun, torchrun } = job.file;
  const count = String(workers);
  if (via === 'local') return [...rankWords(job), '--workers', count];
  if (via === 'mpirun')
    return ['mpirun', '-n', count, ...(mpirun?.options ?? []), ...rankWords(job)];
  const options = torchrun?.options ?? ['--standalone', `--nproc_per_node=${count}`];
  return ['torchrun', ...options, '--no_python', ...rankWords(job)];
}

/** The same as a line for a shell. */
export function launcherLine(job: Job, via: 'local' | 'mpirun' | 'torchrun'): string {
  return quoteAll(launcherWords(job, via));
}
