import { availableParallelism, hostname } from 'node:os';
import { Command } from 'commander';
import { ConfigError, invariant } from '../../base/errors.ts';
import type { ConfigSource } from '../../config/yaml-source.ts';
import { parseTrainConfig } from '../../config/parse-train-config.ts';
import type { TrainConfig } from '../../config/train-config.ts';
import { type ProfiledMachine, readProfile } from '../../doctor/facts/profile-file.ts';
import { dataPlaces } from '../../job/data-source.ts';
import type { PlannedRun } from '../../job/make-plan.ts';
import { planRun } from '../../job/plan-run.ts';
import { measureStep, type StepProfile, stepSha256 } from '../../job/step-profile.ts';
import { readConfigFile } from '../../launch/config-file.ts';
import { shareMachine } from '../../launch/share-machine.ts';
import {
  choose,
  type LocalTraining,
  LOOPBACK,
  type Prediction,
  type TrainingShape,
} from '../../plan/predict.ts';
import { parseLink } from '../../plan/stated-link.ts';
import type { LinkSpeed } from '../../plan/sum-cost.ts';
import { chooseDevices } from '../../runtime/devices.ts';
import { STRATEGIES } from '../../strategies/strategies.ts';
import { optimizerSpecOf, scheduleSpecOf } from '../../optim/optimizer-settings.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { helpText } from '../shell/help.ts';
import { printJson } from '../shell/json-output.ts';
import { writeResult } from '../shell/output.ts';
import { paint, Terminal } from '../shell/terminal.ts';
import { LOCAL_STRATEGY, planText } from '../texts/plan-text.ts';
import { withFolder, withTrainOptions } from '../training/train-command.ts';
import {
  FIRST_HOST,
  linkedPredictions,
  localPredictions,
  type Measured,
} from './worker-prospects.ts';

const HELP = `
Predicts what a step takes one worker, two, and so on up to --workers, each way that they can
exchange what they have computed, and says which is fastest; nothing is trained. Takes the same
settings as \`lockstep train\`. The step is measured on this machine; other machines are as this
one, or as the files say that \`lockstep profile\` wrote on them.

Without --link the workers share this machine. With it each has a machine of its own behind such a
link; the coordinator is on the first.

Examples:
  lockstep plan --workers 2
  lockstep plan --workers 4 --link 200mbit,2ms
  lockstep plan --workers 2 --link 1gbit --profile desk.json --profile mini.json
  lockstep plan config.yaml --workers 2 --link 1gbit --link 50mbit,5ms

Exit codes: 0 done, 1 failed, 2 wrong flags or files.`;

type Flags = Readonly<Record<string, unknown>>;

/** \`lockstep plan\`: which workers, and which way, are fastest. */
export function planCommand(context: CommandContext): Command {
  const several = (one: string, before: readonly string[] = []): string[] => [...before, one];
  const command = new Command('plan')
    .description('predict which workers and which strategy train fastest')
    .optionsGroup('Plan:')
    .option('--link <rate,ms>', 'of each machine, in turn: 200mbit,5ms; may be repeated', several)
    .option('--profile <file>', 'of each machine, in turn; may be repeated', several)
    .option('--json', 'print one JSON document');
  return withTrainOptions(command)
    .addHelpText('after', helpText(HELP))
    .action(async (files: string[], flags: Flags) => plan(context, files, flags));
}

interface PlanFlags {
  readonly link?: readonly string[];
  readonly profile?: readonly string[];
  readonly json?: boolean;
}

async function plan(
  context: CommandContext,
  files: readonly string[],
  { link, profile, json, ...settings }: Flags & PlanFlags,
): Promise<void> {
  const config = readConfig(files.map(readConfigFile), settings);
  const links = (link ?? []).map(parseLink);
  const machines = (profile ?? []).map(readProfile);
  checkMachines(config, links, machines);
  const { planned, local } = await plannedRuns(context, config);
  const measured =
    machines.length > 0
      ? machines.map((machine) => ({ machine, step: stepIn(machine, planned, config) }))
      : [await measuredHere(planned, config)];
  const shape = shapeOf(planned, links[0] ?? LOOPBACK);
  const predictions =
    links.length === 0
      ? localPredictions(config, measured, shape, local)
      : linkedPredictions(config, { measured, links }, shape, local);
  const choice = choose(predictions);
  invariant(choice !== undefined, 'a plan without a worker alone');
  if (json === true)
    printJson({
      predictions: predictions.map((one) => ({ strategy: strategyOf(one), ...one })),
      fastest: choice.exact,
    });
  else {
    const about = { config, shape, measured, choice };
    writeResult(planText(predictions, about));
  }
}

function strategyOf({ local }: Prediction): string {
  return local === undefined ? 'sync' : LOCAL_STRATEGY;
}

function readConfig(sources: readonly ConfigSource[], settings: Flags): TrainConfig {
  return parseTrainConfig(sources, withFolder(settings)).config;
}

/** Throws: ConfigError when there are more machines than workers, or others without a link. */
function checkMachines(
  { workers }: TrainConfig,
  links: readonly LinkSpeed[],
  machines: readonly ProfiledMachine[],
): void {
  for (const [flag, { length }] of [
    ['--link', links],
    ['--profile', machines],
  ] as const)
    if (length > workers)
      throw new ConfigError(
        `${flag}: expected at most one for each of ${workers} workers, got ${length}; --workers ` +
          `${length} has as many`,
        [{ path: flag, expected: `at most ${workers}`, got: String(length) }],
      );
  const other = machines.find((machine) => machine.hostname !== hostname());
  if (links.length === 0 && other !== undefined)
    throw new ConfigError(
      `--profile: expected one of this machine, ${hostname()}, where no --link is given, got that ` +
        `of ${other.hostname}; --link 1gbit says how its workers reach the others`,
      [{ path: '--profile', expected: hostname(), got: other.hostname }],
    );
}

/** The run in whole steps, and what it would be if workers trained by themselves. */
async function plannedRuns(
  context: CommandContext,
  config: TrainConfig,
): Promise<{ readonly planned: PlannedRun; readonly local: LocalTraining }> {
  const terminal = new Terminal(process.stderr, context.environment);
  const colours = paint(context.environment);
  const { planned } = await planRun({
    config: { ...config, strategy: 'sync' },
    name: 'plan',
    places: dataPlaces(config.dataDir, context.environment),
    isOnCpu: true,
    onNote: (note) => terminal.line(colours.dim(note)),
    onPhase: () => {},
  });
  const [optimizer, schedule] = [optimizerSpecOf(config), scheduleSpecOf(config)];
  const { sampleCount } = planned.plan.train;
  const replicas = replicasFor(config);
  const { rounds } = STRATEGIES[LOCAL_STRATEGY].plan({
    config: { ...config, replicas },
    ...{ sampleCount, optimizer, schedule },
  });
  const { shards, localSteps } = rounds ?? { shards: 1, localSteps: 1 };
  const microBatches = config.globalBatch / config.microBatch / replicas;
  return { planned, local: { shards, localSteps, microBatches } };
}

/** As many replicas as there are workers, if a global batch can be shared out among so many. */
function replicasFor({ workers, globalBatch, microBatch }: TrainConfig): number {
  const microBatches = globalBatch / microBatch;
  const most = Math.min(workers, microBatches);
  const counts = Array.from({ length: most }, (_, i) => most - i);
  return counts.find((count) => microBatches % count === 0) ?? 1;
}

async function measuredHere(planned: PlannedRun, config: TrainConfig): Promise<Measured> {
  const [choice] = await chooseDevices(config.device);
  const device = choice?.device ?? 'cpu';
  const alone = shareMachine({ ...config, workers: 1, throttle: [1] }, [device]);
  const { model, dataset } = config;
  const step = await measureStep(planned, { model, dataset, device, lanes: alone[0]?.lanes ?? 1 });
  return { machine: { hostname: hostname(), cores: availableParallelism() }, step };
}

/** The time of the planned step on a machine. Throws: ConfigError when its profile lacks it. */
function stepIn(machine: ProfiledMachine, planned: PlannedRun, config: TrainConfig): StepProfile {
  const sha256 = stepSha256(planned);
  const found = machine.steps.find((step) => step.step_sha256 === sha256);
  if (found !== undefined) return found;
  const { model, dataset, microBatch } = config;
  const got = machine.steps.map(
    (step) => `${step.model} on ${step.dataset} in micro-batches of ${step.micro_batch}`,
  );
  throw new ConfigError(
    `--profile: expected that of ${machine.hostname} to have the time of this step, ${model} on ` +
      `${dataset} in micro-batches of ${microBatch}, got ${got.join(', ') || 'no step'}. There: ` +
      `lockstep profile --model ${model} --dataset ${dataset} --micro-batch ${microBatch}`,
    [{ path: '--profile', expected: 'the time of this step', got: got.join(', ') }],
  );
}

function shapeOf({ plan: { job, sumElements } }: PlannedRun, link: LinkSpeed): TrainingShape {
  return {
    microBatches: Math.ceil(job.globalBatch / job.microBatch),
    microBatch: job.microBatch,
    sumBytes: 4 * sumElements,
    coordinator: { host: FIRST_HOST, bytesPerSecond: link.bytesPerSecond },
  };
}
