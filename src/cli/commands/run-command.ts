/** `lockstep run`: a measured training run for validation. */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { Command, Option } from 'commander';
import type { RunEvent, StepCommitted } from '../../metrics/events.ts';
import { dataPlaces } from '../../job/data-source.ts';
import { DEVICE_NAMES } from '../../runtime/device.ts';
import { chooseDevices } from '../../runtime/devices.ts';
import { saveOutput } from '../../validate/results/output-file.ts';
import type { PowerSource } from '../../validate/watch/power-meter.ts';
import { estimateSource, nvmlSource, raplSource } from '../../validate/watch/power-sources.ts';
import { runWorkload, type WorkloadOutcome } from '../../validate/watch/run-workload.ts';
import { DEFAULT_WORKLOAD, WORKLOAD_NAMES } from '../../validate/watch/workloads.ts';
import { EXIT } from '../shell/exit-codes.ts';
import { withInterrupt } from '../shell/interrupt.ts';
import { Progress } from '../texts/progress.ts';
import { readAliases, RUN_ALIASES, withAliases } from '../shell/flag-aliases.ts';
import { parseRunFlags, type RunFlags, type RunRequest } from './run-flags.ts';
import { Product } from '../shell/product.ts';
import { grouped, paint, rate, Terminal } from '../shell/terminal.ts';
import { jsonText } from '../shell/json-output.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { writeResult } from '../shell/output.ts';
import { helpText, withChoices } from '../shell/help.ts';

const HELP = `
Trains for real, on worker processes of this machine, and measures every step. The batch size is
that of a whole step, whatever the number of workers: runs on one and on several workers have the
same losses, bit for bit, and \`lockstep validate --exact\` compares them.

Examples:
  lockstep run --workers 1 --output single.json
  lockstep run --workers 2 --output multi.json --baseline-throughput single.json
  lockstep validate single.json multi.json --exact

Exit codes: 0 finished, 1 failed, 2 wrong flags or files, 3 finished, but a file could not be
written as asked, 130 interrupted (no result is written then).`;

/** MiniCluster's `run`. */
export function runCommand(context: CommandContext): Command {
  const { workers, steps, batchSize, learningRate, hiddenSize, numLayers, seed, lanes, workload } =
    DEFAULT_WORKLOAD;
  const command = new Command('run')
    .description('train a workload on workers of this machine and measure every step')
    .optionsGroup('Training:')
    .option('--workers <n>', 'worker processes', String(workers))
    .option('--steps <n>', 'training steps', String(steps))
    .option('--batch-size <n>', 'samples of a step over all workers together', String(batchSize))
    .option('--learning-rate <x>', "Adam's learning rate", String(learningRate))
    .option('--hidden-size <n>', 'units of a hidden layer of the mlp', String(hiddenSize))
    .option('--num-layers <n>', 'linear layers of the mlp', String(numLayers))
    .option('--seed <n>', 'data, initial weights and order of samples follow from it', String(seed))
    .addOption(
      withChoices(new Option('--workload <name>', 'what is trained'), WORKLOAD_NAMES).default(
        workload,
      ),
    )
    .option('--lanes <n>', 'compute threads of each worker', String(lanes))
    .addOption(
      withChoices(new Option('--device <name>', 'where workers compute'), DEVICE_NAMES).default(
        'cpu',
      ),
    )
    .option('--backend <name>', "gloo or nccl: accepted, Lockstep's own engine is used")
    .optionsGroup('Measuring:')
    .option(
      '--tdp-watts <x>',
      'estimate power from this where it cannot be measured; the result says that it is an ' +
        'estimate',
    )
    .option(
      '--baseline-throughput <x>',
      'samples/s of one worker, or its result file: gives the scaling efficiency',
    )
    .optionsGroup('Output:')
    .option(
      '--output <file>',
      'where the result (schema 1.1.0) is written',
      './minicluster_results/run_metrics.json',
    )
    .option(
      '--plain <file>',
      'write the steps and totals on their own, too, without what is around them',
    )
    .option(
      '--health-checkpoint-path <file>',
      'written while the run goes on; `lockstep monitor` reads it',
      './minicluster_results/health.json',
    )
    .option('--keep-files', "keep the run's own files (model, events, logs) beside the result")
    .option('--verbose', 'a line for every step')
    .option('--json', 'print the result as one JSON document on stdout')
    .addHelpText('after', helpText(HELP));
  return withAliases(command, RUN_ALIASES).action(async (given: RunFlags) => {
    const isGiven = (key: string): boolean => command.getOptionValueSource(key) === 'cli';
    const { flags, notes } = readAliases({ ...given }, RUN_ALIASES, isGiven);
    const request = parseRunFlags(flags as unknown as RunFlags);
    await run(context, { ...request, notes: [...notes, ...request.notes] });
  });
}

async function run(context: CommandContext, request: RunRequest): Promise<void> {
  const { environment } = context;
  const colours = paint(environment);
  const terminal = new Terminal(process.stderr, environment);
  const note = (text: string): void => terminal.line(colours.dim(text));
  for (const text of request.notes) note(`note: ${text}`);
  const devices = await chooseDevices([request.device]);
  for (const device of devices) if (device.note !== undefined) note(device.note);
  const { workers, workload } = request.workload;
  terminal.line(
    `${colours.bold('Starting distributed training run...')}  ${workload}, ${workers} ` +
      `worker${workers === 1 ? '' : 's'}`,
  );
  const progress = new Progress(terminal, colours, context.now);
  const show = (event: RunEvent): void => {
    if (request.isVerbose && event.kind === 'step') terminal.line(stepLine(event, request));
    // Held out samples are no part of what a run of the suite reports.
    else if (event.kind !== 'evaluation') progress.onEvent(event);
  };
  let folder = '';
  try {
    const outcome = await withInterrupt(terminal, (signal) =>
      runWorkload({
        ...request,
        devices: devices.map(({ device }) => device),
        self: context.self,
        places: dataPlaces(undefined, environment),
        folder: dirname(request.output),
        power: powerSource(request, note),
        startedMs: context.startedMs,
        onListening: (place) => ({ folder } = place),
        sinks: [{ onEvent: show }],
        onNote: note,
        onPhase: (phase) => progress.phase(phase),
        signal,
      }),
    );
    finish(context, request, outcome, terminal);
  } finally {
    progress.close();
    if (folder !== '' && existsSync(folder)) note(`files of the run: ${folder}`);
  }
}

function finish(
  context: CommandContext,
  request: RunRequest,
  outcome: WorkloadOutcome,
  terminal: Terminal,
): void {
  if (outcome.kind === 'interrupted') {
    terminal.line(
      `interrupted after ${outcome.summary.steps} of ${request.workload.steps} steps; no ` +
        'result is written',
    );
    context.setExitCode(EXIT.interrupted);
    return;
  }
  const { payload, result, isRecorded } = outcome;
  const text = jsonText(result);
  const saved = [saveOutput(request.output, text)];
  if (request.plain !== undefined) saved.push(saveOutput(request.plain, jsonText(payload)));
  const problems = saved.flatMap(({ problem }) => problem ?? []);
  const product = new Product(context.environment, { json: request.isJson });
  const { green, bold } = product.colours;
  const { power_consumption_watts: watts } = result.metrics;
  const efficiency = payload.scaling_efficiency_pct;
  const lines = [
    `Total time: ${payload.total_time_sec.toFixed(2)}s`,
    `Final loss: ${payload.final_loss.toFixed(6)}`,
    `Avg throughput: ${rateText(payload.average_throughput_samples_per_sec)} samples/sec`,
    ...(typeof efficiency === 'number' ? [`Scaling efficiency: ${efficiency.toFixed(1)} %`] : []),
    ...(watts === null
      ? []
      : [
          `Power: ${watts.toFixed(1)} ` +
            `W${outcome.isPowerEstimated ? ' (an estimate, not measured)' : ''}`,
        ]),
    `Metrics saved to: ${saved[0]?.path}`,
  ];
  terminal.end();
  product.line(`\n${green('✓')} ${bold('Run complete!')}`);
  for (const line of lines) product.line(`  ${line}`);
  const { red } = paint(context.environment);
  for (const problem of problems) terminal.line(`${red('!')} ${problem}`);
  if (request.isJson) writeResult(text);
  context.setExitCode(isRecorded && problems.length === 0 ? EXIT.ok : EXIT.filesFailed);
}

/** What can be measured on this machine, else what the user lets be estimated, or nothing. */
function powerSource(
  { device, tdpWatts }: RunRequest,
  note: (text: string) => void,
): PowerSource | undefined {
  const measured = device === 'cpu' || device === 'auto' ? raplSource() : nvmlSource();
  if (measured === undefined) return tdpWatts === undefined ? undefined : estimateSource(tdpWatts);
  if (tdpWatts !== undefined)
    note(`note: --tdp-watts is not used: power is measured by ${measured.reader}`);
  return measured;
}

function stepLine(event: StepCommitted, { workload }: RunRequest): string {
  const { step, lossMean, sampleCount, stepMs, computeMs, communicateMs, waitMs, otherMs } = event;
  const times =
    `compute ${msText(computeMs)}, all-reduce ${msText(communicateMs)}, wait ` +
    `${msText(waitMs)}, other ${msText(otherMs)}`;
  return (
    `step ${step}/${workload.steps}  loss ${lossMean.toFixed(6)}  ` +
    `${rate((sampleCount / stepMs) * 1000)} samples/s  ${msText(stepMs)}: ${times}`
  );
}

function msText(ms: number): string {
  return `${ms.toFixed(2)} ms`;
}

/** A speed with one digit behind the point as long as that says something. */
function rateText(perSecond: number): string {
  return perSecond < 10_000 ? perSecond.toFixed(1) : grouped(perSecond);
}
