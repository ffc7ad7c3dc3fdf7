/** Programs of schedulers, run to their end: with a deadline, a bound, and a remedy if missing. */
import { spawn } from 'node:child_process';
import { ConfigError, LockstepError } from '../base/errors.ts';

const DEADLINE_MS = 60_000;
const MAX_OUTPUT = 4 << 20;
const MAX_COMPLAINT = 2_000;

/** What brings a program that is not there. */
const REMEDIES: Readonly<Record<string, string>> = {
  sbatch: 'it comes with Slurm, on its login nodes: log in there (Debian: slurm-client)',
  squeue: 'it comes with Slurm, on its login nodes: log in there (Debian: slurm-client)',
  scancel: 'it comes with Slurm, on its login nodes: log in there (Debian: slurm-client)',
  scontrol: 'it comes with Slurm, on its login nodes: log in there (Debian: slurm-client)',
  mpirun: 'install Open MPI (Debian: openmpi-bin) or MPICH, or load their module',
  torchrun: 'it comes with PyTorch: pip install torch',
  kubectl:
    'install it (https://kubernetes.io/docs/tasks/tools), or write the manifests with --dry-run ' +
    'and apply them where it is',
};

/** How a program ended, and what it said. */
export interface ProgramResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The error for a program that is not there. */
export function missingProgram(program: string): ConfigError {
  const remedy = REMEDIES[program];
  return new ConfigError(
    `${program}: there is no such program here${remedy === undefined ? '' : `; ${remedy}`}`,
  );
}

/**
 * Runs a program to its end; its exit code is a result.
 * Throws: ConfigError when it is not there, HOST_FAILED when it does not end or says too much.
 */
export async function runProgram(
  [program = '', ...args]: readonly string[],
  stdin = '',
): Promise<ProgramResult> {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], windowsHide: true });
  const said = { stdout: '', stderr: '' };
  let problem: string | undefined;
  const stop = (reason: string): void => {
    problem ??= reason;
    child.kill('SIGKILL');
  };
  const timer = setTimeout(() => stop(`no end in ${DEADLINE_MS / 1000} s`), DEADLINE_MS);
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => {
      said[name] += text;
      if (said[name].length > MAX_OUTPUT) stop('it says too much');
    });
  // Whoever does not read it says so with its exit code.
  child.stdin.on('error', () => {});
  child.stdin.end(stdin);
  const exitCode = await new Promise<number>((resolve, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) =>
      reject(error.code === 'ENOENT' ? missingProgram(program) : error),
    );
    child.once('close', (code) => resolve(code ?? 1));
  }).finally(() => clearTimeout(timer));
  if (problem !== undefined) throw new LockstepError('HOST_FAILED', `${program}: ${problem}`);
  return { exitCode, ...said };
}

/** The same, and what it printed. Throws: HOST_FAILED, too, when its exit code is not 0. */
export async function outputOf(words: readonly string[], stdin = ''): Promise<string> {
  const { exitCode, stdout, stderr } = await runProgram(words, stdin);
  if (exitCode === 0) return stdout;
  const reason = (stderr.trim() || stdout.trim()).slice(0, MAX_COMPLAINT);
  throw new LockstepError('HOST_FAILED', [
    `${words.slice(0, 2).join(' ')}: ended with exit code ${exitCode}:`,
    ...reason.split('\n'),
  ]);
}
