/**
 * `npm run bench` lists the benchmarks, the files of this folder; `npm run bench -- kernels` runs
 * the named ones. From the first argument that names none on, arguments go to the benchmark: `npm
 * run bench -- kernels 1000000`.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';

const benches = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith('.ts') && file !== basename(import.meta.filename))
  .map((file) => basename(file, '.ts'));

function main(args: readonly string[]): number {
  const firstOther = args.findIndex((argument) => !benches.includes(argument));
  const names = args.slice(0, firstOther === -1 ? args.length : firstOther);
  if (names.length === 0) {
    console.error(
      `${args.length > 0 ? `no benchmark is named ${args[0]}. ` : ''}Benchmarks: ` +
        benches.join(', '),
    );
    return args.length > 0 ? 2 : 0;
  }
  const statuses = names.map((name) => runBench(name, args.slice(names.length)));
  return statuses.every((status) => status === 0) ? 0 : 1;
}

function runBench(name: string, args: readonly string[]): number | null {
  const file = join(import.meta.dirname, `${name}.ts`);
  return spawnSync(process.execPath, ['--import', 'tsx', file, ...args], { stdio: 'inherit' })
    .status;
}

process.exitCode = main(process.argv.slice(2));
