/** `lockstep launch --via ...`: a training that a launcher or a scheduler of others starts. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ConfigError } from '../../base/errors.ts';
import { parseTrainConfig } from '../../config/parse-train-config.ts';
import { someAsYaml } from '../../config/to-yaml.ts';
import { readConfigFile } from '../../launch/config-file.ts';
import { VERSION } from '../../launch/software.ts';
import { defaultRunName } from '../../runs/run-name.ts';
import { type Job, launcherWords } from '../../schedulers/job.ts';
import { isJobFile, type JobFile, parseJobFile } from '../../schedulers/job-file.ts';
import {
  jobFolder,
  type LaunchedJob,
  readJob,
  recordJob,
  writeJobFile,
} from '../../schedulers/launched-jobs.ts';
import { dryText, type LauncherName, SCHEDULER_OF } from '../../schedulers/launchers.ts';
import { missingProgram } from '../../schedulers/programs.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { EXIT } from '../shell/exit-codes.ts';
import { interruptible } from '../shell/interrupt.ts';
import { writeNote, writeResult } from '../shell/output.ts';

type Via = Exclude<LauncherName, 'ssh'>;
type Flags = Readonly<Record<string, unknown>>;

const WRITER = { version: VERSION };
/** Settings that follow from where the ranks run. */
const OF_RANKS = ['host', 'port', 'linkFile', 'name', 'outDir'] as const;
/** Flags of a launch over ssh that have no meaning for others. */
const ONLY_SSH = ['replace', 'allowPartial', 'resume'] as const;
const TAIL_BYTES = 256 << 10;

/** Launches a training, or prints what would do so. */
export async function launchVia(
  context: CommandContext,
  via: Via,
  files: readonly string[],
  { dryRun, ...flags }: Flags,
): Promise<void> {
  const odd = ONLY_SSH.find((name) => flags[name] !== undefined);
  if (odd !== undefined)
    throw new ConfigError(
      `--${odd === 'allowPartial' ? 'allow-partial' : odd}: is for launches over ssh. With --via ` +
        `${via} a run goes on by itself when it is launched again with the same --name`,
    );
  const job = readRequest(context, via, files, flags);
  if (dryRun === true) return writeResult(dryText(via, job, WRITER));
  writeJobFile(job.outDir, `${job.name}.yaml`, job.settings.text);
  if (via !== 'slurm' && via !== 'kubernetes') return runHere(context, launcherWords(job, via));
  const launched = await SCHEDULER_OF[via].submit(job, dryText(via, job, WRITER));
  recordJob(job.outDir, launched);
  writeNote(
    `${launched.name}: handed to ${via} as ${launched.job}. \`lockstep launch status ` +
      `--via ${via}\` tells how it goes, \`launch logs\` what it says, \`launch stop\` ends it\n`,
  );
}

/** Reads the job file and the settings. Throws: ConfigError. */
function readRequest(
  { self }: CommandContext,
  via: Via,
  files: readonly string[],
  flags: Flags,
): Job {
  const sources = files.map(readConfigFile);
  const own = sources.find(isJobFile);
  const { config, given } = parseTrainConfig(
    sources.filter((source) => source !== own),
    flags,
    true,
  );
  const file: JobFile = own === undefined ? { workers: config.workers } : parseJobFile(own);
  if (own !== undefined && given.has('workers') && config.workers !== file.workers)
    throw new ConfigError(
      `--workers: ${own.file} has ${file.workers}, and ${config.workers} was given`,
    );
  const { outDir } = config;
  const name = config.name ?? defaultRunName(config, String(process.pid));
  const keys = [...given].filter((key) => !(OF_RANKS as readonly string[]).includes(key));
  const text = someAsYaml(
    { ...config, workers: file.workers },
    [...keys, 'workers' as const].filter((key) => via !== 'local' || key !== 'workers'),
  );
  return {
    ...{ name, file, outDir, folder: process.cwd() },
    program: [self.program, ...self.arguments],
    settings: { text, path: join(jobFolder(outDir), `${name}.yaml`) },
    logPath: resolve(jobFolder(outDir), `${name}.log`),
  };
}

/** Runs a launcher to its end, in this terminal; what ends this command ends it. */
async function runHere(
  context: CommandContext,
  [program = '', ...args]: readonly string[],
): Promise<void> {
  const child = spawn(program, args, { stdio: 'inherit', windowsHide: true });
  const { signal, release } = interruptible();
  signal.addEventListener('abort', () => child.kill('SIGTERM'));
  const code = await new Promise<number>((done, fail) => {
    child.once('error', (error: NodeJS.ErrnoException) =>
      fail(error.code === 'ENOENT' ? missingProgram(program) : error),
    );
    child.once('close', (status) => done(status ?? EXIT.failed));
  }).finally(release);
  context.setExitCode(signal.aborted ? EXIT.interrupted : code);
}

/** Where a launched job is looked for. */
export interface JobFlags {
  readonly via?: string;
  readonly name?: string;
  readonly outDir?: string;
}

/** The job that these flags mean; undefined if they mean a launch over ssh. */
export function jobOf({ via, name, outDir = 'experiments' }: JobFlags): LaunchedJob | undefined {
  if (via === undefined || via === 'ssh') return undefined;
  if (via !== 'slurm' && via !== 'kubernetes')
    throw new ConfigError(
      `--via ${via}: runs in the terminal that has launched it: nothing else follows it`,
    );
  const job = readJob(outDir, name);
  if (job.via === via) return job;
  throw new ConfigError(`--via: ${job.name} was launched by ${job.via}, not by ${via}`);
}

/** How a job is, and how far its run has come. */
export async function showJobStatus(job: LaunchedJob, isJson: boolean): Promise<void> {
  const text = await SCHEDULER_OF[job.via].status(job);
  const { via, name, job: id } = job;
  if (isJson) writeResult(`${JSON.stringify({ name, via, job: id, status: text }, null, 2)}\n`);
  else writeResult(`${name}  ${via} ${text}\n`);
}

/** What a job has said, and with `isFollowed` says. */
export async function showJobLog(
  context: CommandContext,
  job: LaunchedJob,
  lines: number,
  isFollowed: boolean,
): Promise<void> {
  const { logWords } = SCHEDULER_OF[job.via];
  if (logWords !== undefined) return runHere(context, logWords(job, lines, isFollowed));
  if (!existsSync(job.logPath)) {
    writeNote(`${job.name}: has said nothing yet: there is no ${job.logPath}\n`);
    return;
  }
  const text = readFileSync(job.logPath, 'utf8').slice(-TAIL_BYTES);
  const said = text.split('\n');
  writeResult(said.slice(Math.max(0, said.length - lines - 1)).join('\n'));
  if (isFollowed) return runHere(context, ['tail', '-n', '0', '-F', job.logPath]);
}

/** Has a job end; its run leaves a checkpoint. */
export async function stopJob(job: LaunchedJob): Promise<void> {
  await SCHEDULER_OF[job.via].stop(job);
  writeNote(`${job.name}: ${job.via} ends it\n`);
}
