/** Profiles of machines, read again: what `lockstep profile` wrote there. */
import { readFileSync, statSync } from 'node:fs';
import * as z from 'zod';
import { ConfigError, messageOf } from '../../base/errors.ts';
import type { StepProfile } from '../../job/step-profile.ts';
import { VERSION } from '../../launch/software.ts';
import { DEVICES } from '../../runtime/device.ts';

const MAX_BYTES = 1 << 20;
const MAX_CORES = 65_536;

const ms = z.number().positive().max(1e9);
const text = z.string().max(4_096);
const cores = z.number().int().min(1).max(MAX_CORES);

const system = z.looseObject({
  hostname: text.min(1),
  lockstep_version: text,
  logical_cores: cores,
  training_steps: z
    .array(
      z.object({
        model: text,
        dataset: text,
        micro_batch: z.number().int().min(1),
        step_sha256: text,
        device: z.enum(DEVICES),
        lanes: cores,
        micro_batch_ms: ms,
        step_fixed_ms: z.number().min(0).max(1e9),
        own_fixed_ms: z.number().min(0).max(1e9),
      }),
    )
    .max(1_000),
});
const profile = z.union([z.looseObject({ system }).transform((node) => node.system), system]);

/** What planning needs of another machine. */
export interface ProfiledMachine {
  readonly hostname: string;
  readonly cores: number;
  readonly steps: readonly StepProfile[];
}

/**
 * The machine that a `node_profile_HOST.json` or `system_profile.json` describes.
 *
 * Throws: ConfigError when it cannot be read, is of another version, or holds something else.
 */
export function readProfile(file: string): ProfiledMachine {
  const content = parseFile(file);
  const version = versionOf(content);
  if (version !== undefined && version !== VERSION)
    throw wrong(
      file,
      `one of Lockstep ${version}, whose steps may take another time; this is ${VERSION}`,
    );
  const parsed = profile.safeParse(content);
  if (!parsed.success) throw wrong(file, problemOf(content));
  const { hostname, logical_cores, training_steps } = parsed.data;
  return { hostname, cores: logical_cores, steps: training_steps };
}

/** What is wrong with a profile, as one place in it. */
function problemOf(content: unknown): string {
  const node = z.looseObject({ system: z.unknown() }).safeParse(content);
  const { error } = system.safeParse(node.success ? node.data.system : content);
  const [issue] = error?.issues ?? [];
  const place = issue?.path.join('.') ?? '';
  return `${place === '' ? '' : `${place}: `}${issue?.message ?? 'something else'}`;
}

const versioned = z.looseObject({ lockstep_version: text });
const versions = z.union([
  versioned,
  z.looseObject({ system: versioned }).transform((node) => node.system),
]);

function versionOf(content: unknown): string | undefined {
  const parsed = versions.safeParse(content);
  return parsed.success ? parsed.data.lockstep_version : undefined;
}

function parseFile(file: string): unknown {
  try {
    const { size } = statSync(file);
    if (size > MAX_BYTES) throw wrong(file, `${size} bytes, which is more than ${MAX_BYTES}`);
    return JSON.parse(readFileSync(file, 'utf8')) as unknown;
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw wrong(file, messageOf(error));
  }
}

function wrong(file: string, got: string): ConfigError {
  return new ConfigError(
    `--profile: expected in ${file} the profile of a machine with the times of training steps, ` +
      `got ${got}. \`lockstep profile\` with --model, --dataset or a config file writes ` +
      'node_profile_HOST.json there',
    [{ path: '--profile', expected: 'a profile of a machine', got }],
  );
}
