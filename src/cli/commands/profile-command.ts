import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { ConfigError, messageOf } from '../../base/errors.ts';
import { describeOptions } from '../../config/option-docs.ts';
import { parseTrainConfig } from '../../config/parse-train-config.ts';
import { type NodeProfile, profileMachine } from '../../doctor/facts/machine-profile.ts';
import { dataPlaces } from '../../job/data-source.ts';
import { planRun } from '../../job/plan-run.ts';
import { measureStep, type StepProfile } from '../../job/step-profile.ts';
import { readConfigFile } from '../../launch/config-file.ts';
import { chooseDevices, defaultLanes, speedText } from '../../runtime/devices.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { helpText } from '../shell/help.ts';
import { printJson } from '../shell/json-output.ts';
import { writeNote, writeResult } from '../shell/output.ts';
import { withFolder, withTrainOptions } from '../training/train-command.ts';

const HELP = `
Measures what workers of this machine can do: products of matrices on every device that works, and
copies in memory. The score is 0.4 x TFLOP/s + 0.3 x GiB of memory + 0.2 x GB/s / 100 + 0.1 x GHz.

Files: system_profile.json, gpu_profiles.json (all devices, the processor too, the best first) and
node_profile_HOST.json. For a cluster, put one record per rank into one gpu_profiles.json and give
it to \`lockstep train --load-balance-policy proportional --gpu-profiles FILE\`; without one, each
worker measures its own machine when it joins such a run.

With a model, a data set or a config file the training step of these is measured, too, at each
--micro-batch, and kept in node_profile_HOST.json and system_profile.json: \`lockstep plan
--profile\` takes either.

Examples:
  lockstep profile
  lockstep profile --model simple_cnn --dataset mnist --micro-batch 16,32,64

Exit codes: 0 done, 1 failed, 2 wrong flags or files, or the folder cannot be written to.`;

/** Settings that the time of a step depends on. */
const STEP_GROUPS: readonly string[] = ['model', 'data', 'optimizer'];
const MAX_MICRO_BATCH = 65_536;

interface Flags {
  readonly outputDir: string;
  readonly benchmark: boolean;
  readonly json?: boolean;
  readonly microBatch?: string;
}

/** `lockstep profile`: measures this machine, for sharing work out, and training steps on it. */
export function profileCommand(context: CommandContext): Command {
  const leftOut = describeOptions()
    .filter(({ group }) => !STEP_GROUPS.includes(group))
    .map(({ flag }) => flag);
  const command = new Command('profile')
    .description('measure this machine, to share work out by')
    .option('--output-dir <folder>', 'where the files go', 'experiments/configs')
    .option('--no-benchmark', 'measure nothing of the machine, only say what is there')
    .option('--micro-batch <list>', 'sizes at which the training step is measured: 16,32,64')
    .option('--json', 'print the profile as one JSON document');
  return withTrainOptions(command, leftOut)
    .addHelpText('after', helpText(HELP))
    .action(async (files: string[], flags: Flags) => {
      const { outputDir, benchmark, json, microBatch, ...settings } = flags;
      const isWanted =
        files.length > 0 || microBatch !== undefined || Object.keys(settings).length > 0;
      const steps = isWanted ? await measureSteps(context, files, settings, microBatch) : [];
      const profile = await profileMachine(benchmark, steps);
      const folder = write(outputDir, profile);
      if (json === true) printJson(profile);
      else writeResult(`${profileText(profile)}files   ${folder}\n`);
    });
}

/** The training step of these settings at each size. Throws: LockstepError. */
async function measureSteps(
  context: CommandContext,
  files: readonly string[],
  settings: Readonly<Record<string, unknown>>,
  sizes: string | undefined,
): Promise<readonly StepProfile[]> {
  const sources = files.map(readConfigFile);
  const configs = (sizes === undefined ? [undefined] : sizesOf(sizes)).map((microBatch) => {
    const size = microBatch === undefined ? {} : { microBatch };
    const { config } = parseTrainConfig(sources, withFolder({ ...settings, ...size }));
    const globalBatch = Math.max(config.globalBatch, config.microBatch);
    return { ...config, strategy: 'sync' as const, globalBatch };
  });
  const steps: StepProfile[] = [];
  for (const config of configs) {
    const [choice] = await chooseDevices(config.device);
    const device = choice?.device ?? 'cpu';
    const { planned } = await planRun({
      ...{ config, name: 'profile', isOnCpu: device === 'cpu' },
      places: dataPlaces(config.dataDir, context.environment),
      onNote: (note) => writeNote(`${note}\n`),
      onPhase: () => {},
    });
    const { model, dataset } = config;
    steps.push(await measureStep(planned, { model, dataset, device, lanes: defaultLanes(device) }));
  }
  return steps;
}

function sizesOf(list: string): readonly number[] {
  const sizes = list.split(',').map((size) => (/^\d+$/.test(size) ? Number(size) : 0));
  if (sizes.every((size) => size >= 1 && size <= MAX_MICRO_BATCH)) return sizes;
  throw new ConfigError(
    `--micro-batch: expected numbers of samples from 1 to ${MAX_MICRO_BATCH}, as in 16,32,64, got ` +
      JSON.stringify(list),
    [{ path: '--micro-batch', expected: 'numbers of samples', got: list }],
  );
}

function write(folder: string, profile: NodeProfile): string {
  const files: readonly (readonly [string, unknown])[] = [
    ['system_profile.json', profile.system],
    ['gpu_profiles.json', profile.gpus],
    [`node_profile_${profile.hostname.replaceAll(/[^\w.-]/g, '_')}.json`, profile],
  ];
  try {
    mkdirSync(folder, { recursive: true });
    for (const [name, content] of files)
      writeFileSync(join(folder, name), `${JSON.stringify(content, null, 2)}\n`);
  } catch (error) {
    throw new ConfigError(
      `--output-dir ${folder}: expected a folder that can be written to, got: ${messageOf(error)}`,
      [{ path: '--output-dir', expected: 'a folder', got: folder }],
      { cause: error },
    );
  }
  return folder;
}

function profileText({ hostname, system, gpus }: NodeProfile): string {
  const { cpu_model, physical_cores, logical_cores, ram_total_gb } = system;
  const bandwidth = system.memory_bandwidth_gbps;
  const lines = [
    `host    ${hostname}, ${system.ip_address ?? 'in no network'}`,
    `cpu     ${cpu_model}, ${physical_cores ?? '?'} cores, ${logical_cores} threads`,
    `memory  ${ram_total_gb} GiB${bandwidth > 0 ? `, ${bandwidth} GB/s` : ''}`,
    ...gpus.map(({ device, lanes, tflops, compute_score: score }) => {
      const speed = tflops === null ? 'not measured' : speedText(1_000 * tflops);
      const plural = lanes === 1 ? '' : 's';
      return `${device.padEnd(7)} ${speed} on ${lanes} lane${plural}, score ${score ?? '?'}`;
    }),
    ...system.training_steps.map(
      (step) =>
        `step    ${step.model} on ${step.dataset}, ${step.micro_batch} samples: ` +
        `${step.micro_batch_ms} ms on each of ${step.lanes} lanes, and ${step.step_fixed_ms} ms a step`,
    ),
  ];
  return lines.map((line) => `${line}\n`).join('');
}
