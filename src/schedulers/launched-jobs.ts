/** What was launched by a scheduler, written down so that later commands find it. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { ConfigError, LockstepError, messageOf } from '../base/errors.ts';

const RECORD_VERSION = 1;

const schema = z.object({
  version: z.literal(RECORD_VERSION),
  via: z.enum(['slurm', 'kubernetes']),
  name: z.string().max(100),
  /** The number of Slurm, or the name of the Job. */
  job: z.string().regex(/^[a-z0-9][a-z0-9.-]*$/),
  namespace: z.string().max(63).optional(),
  logPath: z.string(),
});

/** A job that was handed to a scheduler. */
export type LaunchedJob = Omit<z.infer<typeof schema>, 'version'>;

/** The folder of the files of a job, in that of the runs. */
export function jobFolder(outDir: string): string {
  return join(outDir, '.launched');
}

/** Writes one of these files, and gives its path. Throws: FILE_FAILED. */
export function writeJobFile(outDir: string, name: string, text: string): string {
  const path = join(jobFolder(outDir), name);
  try {
    mkdirSync(jobFolder(outDir), { recursive: true });
    writeFileSync(path, text);
  } catch (error) {
    throw new LockstepError('FILE_FAILED', `${path}: cannot be written: ${messageOf(error)}`);
  }
  return path;
}

/** Notes down a job. */
export function recordJob(outDir: string, job: LaunchedJob): void {
  const record = { version: RECORD_VERSION, ...job };
  writeJobFile(outDir, `${job.name}.json`, `${JSON.stringify(record, null, 2)}\n`);
}

/** The job of this name, or the last one. Throws: ConfigError if there is none. */
export function readJob(outDir: string, name?: string): LaunchedJob {
  const folder = jobFolder(outDir);
  const path = name === undefined ? newestIn(folder) : join(folder, `${name}.json`);
  if (path === undefined || !existsSync(path))
    throw new ConfigError(
      `${name ?? 'launch'}: no job was launched from here: there is no ` +
        `${path ?? `file in ${folder}`}. \`lockstep launch --via slurm\` launches one; --out-dir ` +
        'names another folder of runs',
    );
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new ConfigError(`${path}: cannot be read: ${messageOf(error)}`);
  }
  const read = schema.safeParse(content);
  if (read.success) return read.data;
  const version = (Object(content) as { readonly version?: unknown }).version;
  throw new ConfigError(
    `${path}: expected version ${RECORD_VERSION} of a launched job, got ` +
      `${JSON.stringify(version) ?? 'none'}: it is damaged, or of another version of Lockstep. ` +
      'Use that one, or ask the scheduler itself (squeue, kubectl get jobs)',
  );
}

function newestIn(folder: string): string | undefined {
  const names = existsSync(folder) ? readdirSync(folder) : [];
  const paths = names.filter((name) => name.endsWith('.json')).map((name) => join(folder, name));
  return paths.sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)[0];
}
