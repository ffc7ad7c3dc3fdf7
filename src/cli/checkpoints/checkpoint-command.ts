import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { ConfigError, LockstepError, messageOf } from '../../base/errors.ts';
import { MANIFEST_NAME } from '../../checkpoint/checkpoint-names.ts';
import { listCheckpoints, verifyCheckpoint } from '../../checkpoint/read-checkpoints.ts';
import { bestOf, evaluationOf } from '../../checkpoint/retention.ts';
import { dataPlaces } from '../../job/data-source.ts';
import { namedTensors } from '../../runs/checkpoint-state.ts';
import { exportCheckpoint } from '../../runs/export-checkpoint.ts';
import {
  checkpointsOf,
  findResumePoint,
  placeOf,
  planAt,
  type ResumePoint,
  stateAt,
} from '../../runs/resume-point.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { helpText } from '../shell/help.ts';
import { printJson } from '../shell/json-output.ts';
import { writeNote, writeResult } from '../shell/output.ts';

const HELP = `
A run writes checkpoints into experiments/<name>/checkpoints/, see \`lockstep train --help\`
(--checkpoint-every, --keep, --resume). A run is given by its name in --out-dir or by its folder; a
checkpoint by its folder, or as the newest of its run.

Examples:
  lockstep checkpoint list first
  lockstep checkpoint verify first             reads all of them, bit for bit
  lockstep checkpoint diff first second        which tensors and settings differ
  lockstep checkpoint export first first.onnx  or .safetensors, .npz

Exit codes: 0 done, 1 two checkpoints differ, or a file could not be written, 2 wrong flags, no such
checkpoint, or one that is damaged.`;

interface Flags {
  readonly outDir: string;
  readonly json?: boolean;
  readonly dataDir?: string;
}

/** \`lockstep checkpoint\`: looks at checkpoints, and makes files of them. */
export function checkpointCommand(context: CommandContext): Command {
  const command = new Command('checkpoint')
    .description('list, verify, compare and export the checkpoints of runs')
    .addHelpText('after', helpText(HELP));
  const make = (name: string, description: string): Command =>
    command
      .command(name)
      .description(description)
      .option('--out-dir <path>', 'folder of the runs', 'experiments');
  make('list', 'list the checkpoints of a run')
    .argument('<run>', 'its name or folder')
    .option('--json', 'print one JSON document')
    .action(async (run: string, flags: Flags) => list(run, flags));
  make('verify', 'read checkpoints and compare every byte with what was written')
    .argument('<run>', 'a run, or one checkpoint')
    .action(async (run: string, flags: Flags) => verify(run, flags));
  make('diff', 'tell what differs between two checkpoints')
    .argument('<a>', 'a run or a checkpoint')
    .argument('<b>', 'another')
    .action(async (a: string, b: string, flags: Flags) =>
      context.setExitCode((await diff(a, b, flags)) ? 1 : 0),
    );
  make('export', 'write the model of a checkpoint to a file')
    .argument('<run>', 'a run or a checkpoint')
    .argument('<file>', 'a file that ends in .onnx, .safetensors or .npz')
    .option('--data-dir <path>', 'where the data are, which an .onnx file describes')
    .action(async (run: string, file: string, { outDir, dataDir }: Flags) => {
      const point = await findResumePoint(run, outDir);
      const places = dataPlaces(dataDir, context.environment);
      const onNote = (text: string): void => writeNote(`${text}\n`);
      await exportCheckpoint({ point, file, places, onNote });
      writeResult(`${file}: the model of step ${point.manifest.step}\n`);
    });
  return command;
}

async function list(run: string, { outDir, json }: Flags): Promise<void> {
  const listed = await listCheckpoints(checkpointsOf(placeOf(run, outDir)));
  const best = bestOf(listed);
  const rows = listed.map((one) => {
    const { name, step, manifest } = one;
    if (manifest === undefined) return { name, step, problem: one.problem };
    const { written, totalSteps, stateDigest, files } = manifest;
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    const evaluation = evaluationOf(manifest);
    const about = { name, step, totalSteps, written, bytes, stateDigest };
    return { ...about, ...(evaluation && { evaluation }), isBest: one === best };
  });
  if (json === true) return printJson({ checkpoints: rows });
  if (rows.length === 0) writeResult('no checkpoints\n');
  for (const row of rows)
    writeResult(
      `${row.problem === undefined ? rowText(row) : `${row.name}  damaged: ${row.problem}`}\n`,
    );
}

function rowText(row: {
  readonly name: string;
  readonly totalSteps: number;
  readonly written: string;
  readonly bytes: number;
  readonly stateDigest: string;
  readonly isBest: boolean;
  readonly evaluation?: { readonly accuracy?: number | undefined; readonly lossMean: number };
}): string {
  const { name, totalSteps, written, bytes, stateDigest, evaluation, isBest } = row;
  const quality =
    evaluation === undefined
      ? ''
      : `loss ${evaluation.lossMean.toFixed(4)}` +
        (evaluation.accuracy === undefined
          ? ''
          : `, accuracy ${(100 * evaluation.accuracy).toFixed(2)} %`);
  const size = `${(bytes / 1e6).toFixed(1)} MB`;
  const words = [`${name} of ${totalSteps}`, written, size, stateDigest.slice(0, 12), quality];
  return [...words.filter(Boolean), ...(isBest ? ['best'] : [])].join('  ');
}

async function verify(run: string, { outDir }: Flags): Promise<void> {
  const folder = placeOf(run, outDir);
  if (existsSync(join(folder, MANIFEST_NAME))) {
    const { checkpoint, manifest } = await findResumePoint(folder, outDir);
    return writeResult(`${checkpoint}: whole, state ${manifest.stateDigest}\n`);
  }
  const store = checkpointsOf(folder);
  const listed = await listCheckpoints(store);
  if (listed.length === 0) throw new ConfigError(`${folder}: there are no checkpoints`);
  const problems: string[] = [];
  for (const { name } of listed) {
    try {
      const { stateDigest } = await verifyCheckpoint(store, name);
      writeResult(`${name}: whole, state ${stateDigest}\n`);
    } catch (error) {
      problems.push(`${name}: ${messageOf(error)}`);
    }
  }
  if (problems.length > 0) throw new LockstepError('CHECKPOINT_INVALID', problems, { folder });
}

/** Whether they differ. */
async function diff(a: string, b: string, { outDir }: Flags): Promise<boolean> {
  const points = [await findResumePoint(a, outDir), await findResumePoint(b, outDir)] as const;
  const [had, has] = points.map(({ manifest }) => manifest.config);
  const lines: string[] = [];
  const [before, after] = points.map(({ manifest }) => manifest.step);
  if (before !== after) lines.push(`step: ${before} and ${after}`);
  for (const key of new Set([...Object.keys(had ?? {}), ...Object.keys(has ?? {})])) {
    const [x, y] = [JSON.stringify(had?.[key]), JSON.stringify(has?.[key])];
    if (x !== y) lines.push(`${key}: ${x} and ${y}`);
  }
  lines.push(...(await differingTensors(points)));
  writeResult(lines.length === 0 ? 'the same\n' : `${lines.join('\n')}\n`);
  return lines.length > 0;
}

async function differingTensors(points: readonly [ResumePoint, ResumePoint]): Promise<string[]> {
  const states = [];
  for (const point of points) {
    const plan = await planAt(point);
    const tensors = namedTensors(plan, await stateAt(point, plan));
    states.push(new Map(tensors.map(({ name, data }) => [name, data])));
  }
  const [first = new Map<string, Float32Array>(), second = new Map<string, Float32Array>()] =
    states;
  return [...new Set([...first.keys(), ...second.keys()])].flatMap((name) => {
    const [x, y] = [first.get(name), second.get(name)];
    if (x === undefined || y === undefined) return [`${name}: in one of them only`];
    if (x.length !== y.length) return [`${name}: ${x.length} and ${y.length} elements`];
    let [count, most] = [0, 0];
    for (let i = 0; i < x.length; i++) {
      const distance = Math.abs((x[i] ?? 0) - (y[i] ?? 0));
      if (Object.is(x[i], y[i])) continue;
      count++;
      most = Math.max(most, distance);
    }
    return count === 0 ? [] : [`${name}: ${count} of ${x.length} elements, by ${most} at most`];
  });
}
