/** Starts programs for benchmarks and reads what they print. */
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
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
  if (status !== 0)
    throw new Error(`lockstep ${args.join(' ')} ended with ${status}: ${stderr.slice(-500)}`);
  return JSON.parse(stdout) as ReturnType<typeof lockstepJson>;
}

/**
 * Runs `lockstep` as `lockstepJson` does, and looks at the memory of its processes: peaks in MiB,
 * the coordinator's first.
 */
export async function lockstepWithPeaks(
  args: readonly string[],
): Promise<{ summary: ReturnType<typeof lockstepJson>; peakMiB: readonly number[] }> {
  const child = spawn(process.execPath, [fromRoot('bin', 'lockstep.js'), ...args, '--json'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const peaks = new Map<number, number>();
  const watch = setInterval(() => {
    for (const id of [child.pid ?? 0, ...childrenOf(child.pid ?? 0)])
      peaks.set(id, peakOf(id) ?? peaks.get(id) ?? 0);
  }, 100);
  let output = '';
  child.stdout.on('data', (bytes: Buffer) => (output += bytes.toString()));
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve));
  clearInterval(watch);
  if (status !== 0) throw new Error(`lockstep ${args.join(' ')} ended with ${status}`);
  return {
    summary: JSON.parse(output) as ReturnType<typeof lockstepJson>,
    peakMiB: [...peaks.values()],
  };
}

function childrenOf(id: number): number[] {
  try {
    return readFileSync(`/proc/${id}/task/${id}/children`, 'utf8')
      .split(' ')
      .filter(Boolean)
      .map(Number);
  } catch {
    return []; // It has ended.
  }
}

/** The largest resident memory that a process has had so far. */
function peakOf(id: number): number | undefined {
  try {
    const [, kibibytes] = /^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${id}/status`, 'utf8')) ?? [];
    return kibibytes === undefined ? undefined : Math.round(Number(kibibytes) / 1024);
  } catch {
    return undefined;
  }
}

/** Processor time of all threads of a process so far, as Linux counts it, in steps of 10 ms. */
export function processorMs(id: number): number {
  const text = readFileSync(`/proc/${id}/stat`, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return 10 * (Number(fields[11]) + Number(fields[12]));
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
      `${script}: ${stderr.slice(-500)}. Install python3-torch, python3-numpy and ` +
        'libopenblas0-pthread.',
    );
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as unknown;
}

/** The machine, for the head of every table. */
export function machine(): string {
  const [first] = cpus();
  return (
    `${cpus().length} cores (${first?.model.trim() ?? 'unknown'}), Linux ${release()}, Node.js ` +
    process.version
  );
}
