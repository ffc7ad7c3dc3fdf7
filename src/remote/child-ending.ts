/** A process of ours that is waited for: what it is given, what it says, how long it may take. */
import type { ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';

/** After its end a program's output may still be on its way, or be held open by others. */
const DRAIN_MS = 500;

type How =
  | { readonly kind: 'ended'; readonly exitCode: number | null }
  | { readonly kind: 'no-program'; readonly why: string }
  | { readonly kind: 'too-late' }
  | { readonly kind: 'too-much' };

/** How a process ended, and what it had said by then. */
export type Ending = How & { readonly stdout: string; readonly stderr: string };

/** Gives a process what it reads. One that ends before it has read all is no error of ours. */
export function feed(child: ChildProcess, stdin: string | Readable): void {
  if (child.stdin === null) return;
  child.stdin.on('error', () => {});
  if (typeof stdin === 'string') child.stdin.end(stdin);
  else stdin.pipe(child.stdin);
}

/** Waits for a process; kills it when it takes more than `deadlineMs` or says too much. */
export async function ending(
  child: ChildProcess,
  deadlineMs: number,
  limitBytes: number,
): Promise<Ending> {
  return new Promise((done) => {
    const finish = (how: How): void => {
      clearTimeout(deadline);
      done({ ...how, stdout: stdout.text(), stderr: stderr.text() });
    };
    const giveUp = (kind: 'too-late' | 'too-much'): void => {
      child.kill('SIGKILL');
      finish({ kind });
    };
    const tooMuch = (): void => giveUp('too-much');
    const stdout = collect(child.stdout, limitBytes, tooMuch);
    const stderr = collect(child.stderr, limitBytes, tooMuch);
    const deadline = setTimeout(() => giveUp('too-late'), deadlineMs);
    child.once('error', ({ message }) => finish({ kind: 'no-program', why: message }));
    child.once('exit', (exitCode) => {
      const drained = setTimeout(() => finish({ kind: 'ended', exitCode }), DRAIN_MS);
      child.once('close', () => {
        clearTimeout(drained);
        finish({ kind: 'ended', exitCode });
      });
    });
  });
}

/** Keeps what a stream brings, at most `limitBytes` of it. */
function collect(
  stream: Readable | null,
  limitBytes: number,
  onTooMuch: () => void,
): { readonly text: () => string } {
  const parts: Buffer[] = [];
  let bytes = 0;
  stream?.on('data', (part: Buffer) => {
    bytes += part.length;
    if (bytes > limitBytes) onTooMuch();
    else parts.push(part);
  });
  return { text: () => Buffer.concat(parts).toString('utf8') };
}
