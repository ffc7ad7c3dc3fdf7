/** Commands that end by themselves, as processes. */
import type { TestContext } from 'node:test';
import { startLockstep } from './processes.ts';

/** How a command ended and what it said. */
export interface CommandResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `lockstep` to its end. */
export async function lockstep(t: TestContext, ...args: readonly string[]): Promise<CommandResult> {
  const program = startLockstep(t, args);
  const { status } = await program.end();
  return { status, stdout: program.stdout, stderr: program.stderr };
}
