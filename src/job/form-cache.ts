/**
 * Which forms a model's convolutions take on this machine: measured once, then kept in the cache
 * folder, so that all runs here draw the same step and come to the same digest.
 */
import { createHash, randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import {
  convForms,
  convWorkKey,
  convWorkOf,
  type ConvForm,
  type ConvFormChooser,
  type ConvWork,
} from '../autodiff/conv-forms.ts';
import { messageOf } from '../base/errors.ts';
import type { Model } from '../models/model.ts';
import { makeEvaluateGraph } from '../models/step-graphs.ts';
import { measureForms } from '../runtime/measure-forms.ts';

/** Where choices are kept, and who is told what went wrong with that. */
export interface FormCacheOptions {
  /**
   * The folder `forms` in it holds one file per model and micro-batch; both are made when missing.
   */
  readonly cacheDir: string;
  /** Takes what the user should know: a file that could not be read or written. */
  readonly onNote: (note: string) => void;
  readonly measure?: typeof measureForms;
}

/**
 * The chooser for a model's training step; undefined when the model has no convolution.
 *
 * Measures when nothing is cached, which takes up to about two seconds. Of runs that measure at the
 * same time the first to finish decides for all. A cache that cannot be written means the default
 * forms, since a choice that is not kept could be another one in the next run; a corrupt file is
 * replaced. Both are noted.
 */
export async function chooseConvForms(
  model: Model,
  microBatch: number,
  options: FormCacheOptions,
): Promise<ConvFormChooser | undefined> {
  const works = convWorkOf(makeEvaluateGraph(model, microBatch));
  if (works.length === 0) return undefined;
  const file = cacheFile(options.cacheDir, works);
  const choices = readChoices(file, works, options) ?? (await measureInto(file, works, options));
  return (work) => choices.get(convWorkKey(work));
}

type Choices = ReadonlyMap<string, ConvForm>;

/** The name of the file says what the choices depend on: machine, runtime and the works. */
function cacheFile(cacheDir: string, works: readonly ConvWork[]): string {
  const parts = [machineName(), ...works.map(convWorkKey).sort()];
  const name = createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 24);
  return join(cacheDir, 'forms', `${name}.json`);
}

function machineName(): string {
  const { version } = createRequire(import.meta.url)('onnxruntime-node/package.json') as {
    version: string;
  };
  const processor = cpus()[0]?.model.trim() ?? 'unknown processor';
  return `onnxruntime ${version}, ${process.arch}, ${processor}`;
}

function readChoices(
  file: string,
  works: readonly ConvWork[],
  { onNote }: FormCacheOptions,
): Choices | undefined {
  try {
    return parseChoices(readFileSync(file, 'utf8'), works);
  } catch (error) {
    if (!isMissing(error))
      onNote(`ignoring the cached convolution forms in ${file}: ${messageOf(error)}`);
    return undefined;
  }
}

/** The form of every work. Throws SyntaxError when the text does not hold it. */
function parseChoices(text: string, works: readonly ConvWork[]): Choices {
  const content = JSON.parse(text) as { readonly forms?: Readonly<Record<string, unknown>> } | null;
  const choices = new Map<string, ConvForm>();
  for (const work of works) {
    const key = convWorkKey(work);
    const form = convForms(work).find((valid) => valid === content?.forms?.[key]);
    if (form === undefined) throw new SyntaxError(`it holds no form for ${key}`);
    choices.set(key, form);
  }
  return choices;
}

async function measureInto(
  file: string,
  works: readonly ConvWork[],
  { onNote, measure = measureForms }: FormCacheOptions,
): Promise<Choices> {
  const temporary = `${file}.${randomBytes(6).toString('hex')}.partial`;
  const useDefaults = (error: unknown): Choices => {
    onNote(
      'convolutions take their default forms, since the cache cannot be written: ' +
        messageOf(error),
    );
    return new Map();
  };
  try {
    mkdirSync(dirname(file), { recursive: true });
    // Before measuring: where nothing can be written the measurement is of no use.
    writeFileSync(temporary, '');
  } catch (error) {
    return useDefaults(error);
  }
  try {
    const choices = await measure(works);
    return keep(temporary, file, choices, works);
  } catch (error) {
    if (!isOfFileSystem(error)) throw error;
    return useDefaults(error);
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** Writes what was measured; gives what holds on this machine from now on. */
function keep(
  temporary: string,
  file: string,
  choices: Choices,
  works: readonly ConvWork[],
): Choices {
  const content = { machine: machineName(), forms: Object.fromEntries(choices) };
  writeFileSync(temporary, `${JSON.stringify(content, null, 2)}\n`);
  return publish(temporary, file, works) ?? choices;
}

function isOfFileSystem(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}

/**
 * Moves the file to its place; gives what another run has put there first. A corrupt file is
 * overwritten.
 */
function publish(temporary: string, file: string, works: readonly ConvWork[]): Choices | undefined {
  try {
    linkSync(temporary, file);
    return undefined;
  } catch {
    // It exists, or the file system has no links.
  }
  try {
    return parseChoices(readFileSync(file, 'utf8'), works);
  } catch {
    renameSync(temporary, file);
    return undefined;
  }
}

/** Whether there simply is no such file, or no such folder. */
function isMissing(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    (error.code === 'ENOENT' || error.code === 'ENOTDIR')
  );
}
