/** Starts programs for benchmarks and reads what they print. */
import { spawnSync } from 'node:child_process';
import { cpus, release } from 'node:os';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');

/** Absolute path of a file of the project. */
export function fromRoot(...parts: string[]): string {
  return join(ROOT, ...parts);
}

/** Runs `lockstep` with `args` and `--json`; gives the summary. */
export function lockstepJson(
  args: readonly string[],
): Record<string, unknown> & { samplesPerSecond: number; timeSplit: Record<string, number> } {
  const { stdout, status, stderr } = spawnSync(
    process.execPath,
    [fromRoot('bin', 'lockstep.js'), ...args, '--json'],
    { encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(`lockstep ${args.join(' ')} ended with ${status}: ${stderr.slice(-500)}`);
  return JSON.parse(stdout) as ReturnType<typeof lockstepJson>;
}

/** Runs one of bench/pytorch that times a whole step. */
export function pytorch(
  script: string,
  args: readonly (string | number)[],
): { stepMs: number; samplesPerSecond: number } {
  return pytorchJson(script, args) as ReturnType<typeof pytorch>;
}

/** Runs one of bench/pytorch with Debian's Python; gives the JSON on its last line. */
export function pytorchJson(script: string, args: readonly (string | number)[]): unknown {
  const { stdout, status, stderr } = spawnSync(
    '/usr/bin/python3',
    [fromRoot('bench', 'pytorch', script), ...args.map(String)],
    { encoding: 'utf8' },
  );
  if (status !== 0)
    throw new Error(
      `${script}: ${stderr.slice(-500)}. Install python3-torch, python3-numpy and libopenblas0-pthread.`,
    );
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as unknown;
}

/** The machine, for the head of every table. */
export function machine(): string {
  const [first] = cpus();
  return `${cpus().length} cores (${first?.model.trim() ?? 'unknown'}), Linux ${release()}, Node.js ${process.version}`;
}
