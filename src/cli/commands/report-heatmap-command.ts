import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { ConfigError, messageOf } from '../../base/errors.ts';
import { HEATMAP_METRICS, type HeatmapMetric, heatmapOf } from '../../validate/reports/heatmap.ts';
import { heatmapReport } from '../../validate/reports/heatmap-report.ts';
import { checkWritable, writeOutput } from '../../validate/results/output-file.ts';
import { readKnownFile, readResultFile, type RunFile } from '../../validate/results/read-result.ts';
import { viewsOf } from '../../validate/reports/run-view.ts';
import { paint, Terminal } from '../shell/terminal.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { helpText } from '../shell/help.ts';

const HELP = `
Draws all runs of a folder: a row for each run and a column for each worker, or, of a single run, a
row for each worker over its steps. A worker that is more than 1.5 times worse than the median of
those beside it is marked.

Example:
  lockstep report heatmap --metric compute_time_ms

Exit codes: 0 done, 1 the report could not be written, 2 a folder that is missing or
without runs.`;

const MAX_FILES = 500;

interface Flags {
  readonly resultsDir: string;
  readonly metric: HeatmapMetric;
  readonly output: string;
}

/** `lockstep report heatmap`: which workers were slow, in colours. */
export function reportHeatmapCommand(context: CommandContext): Command {
  return new Command('heatmap')
    .description('draw the workers of all runs in a folder by colour')
    .option(
      '--results-dir <folder>',
      'folder with files that `lockstep run` wrote',
      './minicluster_results',
    )
    .addOption(
      new Option('--metric <name>', 'what to draw')
        .choices(HEATMAP_METRICS)
        .default('allreduce_time_ms'),
    )
    .option('--output <file>', 'where to write it', './minicluster_results/heatmap.html')
    .addHelpText('after', helpText(HELP))
    .action((flags: Flags) => draw(context, flags));
}

function draw({ environment }: CommandContext, { resultsDir, metric, output }: Flags): void {
  checkWritable('--output', output);
  const terminal = new Terminal(process.stderr, environment);
  const { dim } = paint(environment);
  const runs = runsIn(resultsDir, (note) => terminal.line(dim(`note: ${note}`)));
  const views = viewsOf(runs);
  const map = heatmapOf(views, metric);
  if (map.rows.length === 0 || map.columns.length === 0)
    throw new ConfigError(
      `${resultsDir}: expected runs whose steps or worker_snapshots tell of single workers, ` +
        `found none of these in ${runs.map(({ path }) => path).join(', ')}`,
    );
  const names = views.map(({ name }) => name);
  writeOutput(output, heatmapReport(map, metric, names));
  terminal.line(`Heat map saved to: ${output}`);
}

/**
 * The runs among the files of a folder; others are named in notes, since somebody may miss them.
 */
function runsIn(folder: string, note: (text: string) => void): RunFile[] {
  const paths = listJson(folder);
  const runs: RunFile[] = [];
  for (const path of paths) {
    try {
      const { kind } = readKnownFile(path);
      if (kind === 'result' || kind === 'training') runs.push(readResultFile(path));
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      note(`left out: ${error.message}`);
    }
  }
  if (runs.length > 0) return runs;
  throw new ConfigError(
    `--results-dir ${folder}: expected files that \`lockstep run\` wrote, found none among ` +
      `${paths.length} files ending in .json`,
  );
}

function listJson(folder: string): string[] {
  try {
    const names = readdirSync(folder)
      .filter((name) => name.endsWith('.json'))
      .sort();
    if (names.length <= MAX_FILES) return names.map((name) => join(folder, name));
    throw new ConfigError(
      `--results-dir ${folder}: expected at most ${MAX_FILES} files ending in .json, got ` +
        `${names.length}`,
    );
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    const reason = isMissing ? 'there is no such folder' : messageOf(error);
    throw new ConfigError(`--results-dir ${folder}: ${reason}`, [], { cause: error });
  }
}
