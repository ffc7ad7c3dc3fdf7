/**
 * Which forms a model's convolutions take on this machine: measured once, then kept in the cache folder, so that all
 * runs here draw the same step and come to the same digest.
 */
import { createHash } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { join } from 'node:path';
import {
  convForms,
  convGradientKey,
  convGradientsOf,
  type ConvForm,
  type ConvFormChooser,
  type ConvGradient,
} from '../autodiff/conv-gradient-forms.ts';
import { messageOf } from '../base/errors.ts';
import type { Model } from '../models/model.ts';
import { makeEvaluateGraph } from '../models/step-graphs.ts';
import { measureForms } from '../runtime/measure-forms.ts';

export interface FormCacheOptions {
  /** The folder `forms` in it holds one file per model and micro-batch; both are made when missing. */
  readonly cacheDir: string;
  /** Takes what the user should know: a file that could not be read or written. */
  readonly onNote: (note: string) => void;
  readonly measure?: typeof measureForms;
}

/**
 * The chooser for a model's training step; undefined when the model has no convolution.
 *
 * Measures when nothing is cached, which takes up to about two seconds. Of runs that measure at the same time the
 * first to finish decides for all. A cache that cannot be written means the default forms, since a choice that is
 * not kept could be another one in the next run; a corrupt file is replaced. Both are noted.
 */
export async function chooseConvForms(
  model: Model,
  microBatch: number,
  options: FormCacheOptions,
): Promise<ConvFormChooser | undefined> {
  const gradients = convGradientsOf(makeEvaluateGraph(model, microBatch));
  if (gradients.length === 0) return undefined;
  const file = cacheFile(options.cacheDir, gradients);
  const choices = readChoices(file, gradients, options) ?? (await measureInto(file, gradients, options));
  return (gradient) => choices.get(convGradientKey(gradient));
}

type Choices = ReadonlyMap<string, ConvForm>;

/** The name of the file says what the choices depend on: machine, runtime and the gradients themselves. */
function cacheFile(cacheDir: string, gradients: readonly ConvGradient[]): string {
  const parts = [machineName(), ...gradients.map(convGradientKey).sort()];
  const name = createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 24);
  return join(cacheDir, 'forms', `${name}.json`);
}

function machineName(): string {
  const { version } = createRequire(import.meta.url)('onnxruntime-node/package.json') as { version: string };
  return `onnxruntime ${version}, ${process.arch}, ${cpus()[0]?.model.trim() ?? 'unknown processor'}`;
}

function readChoices(
  file: string,
  gradients: readonly ConvGradient[],
  { onNote }: FormCacheOptions,
): Choices | undefined {
  try {
    return parseChoices(readFileSync(file, 'utf8'), gradients);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT')
      onNote(`ignoring the cached convolution forms in ${file}: ${messageOf(error)}`);
    return undefined;
  }
}

/** The form of every gradient. Throws SyntaxError when the text does not hold it. */
function parseChoices(text: string, gradients: readonly ConvGradient[]): Choices {
  const content = JSON.parse(text) as { readonly forms?: Readonly<Record<string, unknown>> } | null;
  const choices = new Map<string, ConvForm>();
  for (const gradient of gradients) {
    const key = convGradientKey(gradient);
    const form = convForms(gradient).find((valid) => valid === content?.forms?.[key]);
    if (form === undefined) throw new SyntaxError(`it holds no form for ${key}`);
    choices.set(key, form);
  }
  return choices;
}

async function measureInto(
  file: string,
  gradients: readonly ConvGradient[],
  options: FormCacheOptions,
): Promise<Choices> {
  const { onNote, measure = measureForms, cacheDir } = options;
  const temporary = `${file}.${process.pid}.partial`;
  try {
    mkdirSync(join(cacheDir, 'forms'), { recursive: true });
    // Before measuring: a folder that cannot be written makes the measurement useless.
    writeFileSync(temporary, '');
    const choices = await measure(gradients);
    const content = { machine: machineName(), forms: Object.fromEntries(choices) };
    writeFileSync(temporary, `${JSON.stringify(content, null, 2)}\n`);
    return publish(temporary, file, gradients) ?? choices;
  } catch (error) {
    const reason = codeOf(error);
    if (reason === undefined) throw error;
    onNote(`convolutions take their default forms, since ${file} cannot be written (${reason})`);
    return new Map();
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** Moves the file to its place; gives what another run has put there first. A corrupt file is overwritten. */
function publish(temporary: string, file: string, gradients: readonly ConvGradient[]): Choices | undefined {
  try {
    linkSync(temporary, file);
    return undefined;
  } catch {
    // It exists, or the file system has no links.
  }
  try {
    return parseChoices(readFileSync(file, 'utf8'), gradients);
  } catch {
    renameSync(temporary, file);
    return undefined;
  }
}

/** The code of a system error; undefined for any other. */
function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'syscall' in error && 'code' in error ? String(error.code) : undefined;
}
