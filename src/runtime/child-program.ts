/** Programs of this folder in processes of their own: what they load may hang or crash. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { siblingModule } from '../base/module-url.ts';

/** What a child program left behind. */
export interface ChildEnd {
  readonly stdout: string;
  readonly stderr: string;
  /** Why it did not end well, in words that follow "it"; undefined when it did. */
  readonly failure: string | undefined;
}

/**
 * Runs `name` of this folder with `args` and bytes on stdin; it is killed after `timeoutMs`, and
 * when this process exits.
 */
export async function runChildProgram(
  name: string,
  args: readonly string[],
  input: Uint8Array,
  timeoutMs: number,
): Promise<ChildEnd> {
  const program = fileURLToPath(siblingModule(import.meta.url, name));
  const child = spawn(process.execPath, [program, ...args], { windowsHide: true });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  // It may end before it has read all: how it ended says why.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  let hangs = false;
  const timer = setTimeout(() => {
    hangs = true;
    kill();
  }, timeoutMs);
  const failure = await new Promise<string | undefined>((resolve) => {
    child.once('error', (error) => resolve(`could not be started: ${error.message}`));
    child.once('close', (status, signal) => {
      if (hangs) resolve(`did not answer within ${timeoutMs / 1000} s`);
      else resolve(status === 0 ? undefined : `crashed (${signal ?? `exit code ${status}`})`);
    });
  });
  clearTimeout(timer);
  process.removeListener('exit', kill);
  return { ...output, failure };
}
