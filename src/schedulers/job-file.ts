/** The file that says how a scheduler is to run a training: how many processes, and on what. */
import * as z from 'zod';
import { ConfigError } from '../base/errors.ts';
import { type ConfigSource, readYaml } from '../config/yaml-source.ts';

/** Of the file: another one is of another version of Lockstep. */
const FILE_VERSION = 1;
const MOST_WORKERS = 4_096;

const word = (pattern: RegExp) => z.string().max(255).regex(pattern);
/** What a scheduler calls things by; never anything that begins a line or an option. */
const name = word(/^[A-Za-z0-9][\w.:@/+-]*$/);
const count = z.int().min(1).max(65_536);
/** Lines of a script, one option each. */
const directives = z.array(word(/^--?[A-Za-z][^\n\r\0]*$/)).max(64);
/** Words of a command line, passed on as they are. */
const options = z.array(word(/^[^\n\r\0]+$/)).max(64);

const schema = z.strictObject({
  version: z.literal(FILE_VERSION).optional(),
  /** Processes, of which each is a worker. */
  workers: z.int().min(1).max(MOST_WORKERS),
  /** How the program is called there, if not as it was called here. */
  program: z.array(z.string().min(1).max(4_096)).min(1).max(16).optional(),
  slurm: z
    .strictObject({
      nodes: count.optional(),
      partition: name.optional(),
      account: name.optional(),
      time: word(/^[\d:-]+$/).optional(),
      cpus_per_task: count.optional(),
      memory: word(/^\d+[KMGT]?$/).optional(),
      options: directives.optional(),
    })
    .optional(),
  kubernetes: z
    .strictObject({
      image: name,
      namespace: word(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/).optional(),
      cpu: word(/^\d+(\.\d+)?m?$/).optional(),
      memory: word(/^\d+(\.\d+)?([KMGT]i?)?$/).optional(),
      /** A PersistentVolumeClaim for the files of runs; without it they go with the pods. */
      claim: name.optional(),
      retries: z.int().min(0).max(1_000).optional(),
    })
    .optional(),
  mpirun: z.strictObject({ options: options.optional() }).optional(),
  torchrun: z.strictObject({ options: options.optional() }).optional(),
});

/** What a job file says. */
export type JobFile = z.infer<typeof schema>;

/** Whether a file says how a scheduler is to run something, rather than settings or hosts. */
export function isJobFile(source: ConfigSource): boolean {
  const sections = ['slurm', 'kubernetes', 'mpirun', 'torchrun'];
  return readYaml(source).entries.some(({ key }) => sections.includes(key));
}

/** Reads a job file. Throws: ConfigError that names each key that is wrong. */
export function parseJobFile(source: ConfigSource): JobFile {
  const { entries, issues } = readYaml(source);
  if (issues.length > 0)
    throw new ConfigError(
      issues.map(({ place, message }) => `${place.file}:${place.line} ${message}`),
    );
  const values = Object.fromEntries(entries.map(({ key, value }) => [key, value]));
  if (values['version'] !== undefined && values['version'] !== FILE_VERSION)
    throw new ConfigError(
      `${source.file}: expected version ${FILE_VERSION} of a job file, got ` +
        `${JSON.stringify(values['version'])}. It is for another version of Lockstep`,
    );
  const read = schema.safeParse(values);
  if (read.success) return read.data;
  throw new ConfigError(
    read.error.issues.map(({ path, message }) => {
      const [key = ''] = path;
      const line = entries.find((entry) => entry.key === key)?.place.line ?? 1;
      return `${source.file}:${line} ${path.length === 0 ? '' : `${path.join('.')}: `}${message}`;
    }),
  );
}
