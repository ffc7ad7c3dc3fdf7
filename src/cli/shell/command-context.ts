import type { SelfCommand } from '../../launch/local-workers.ts';

/** What the door gives every command. */
export interface CommandContext {
  readonly environment: NodeJS.ProcessEnv;
  readonly self: SelfCommand;
  /** When the process started, on the monotonic clock. */
  readonly startedMs: number;
  readonly now: () => number;
  readonly setExitCode: (code: number) => void;
}
