import type { Host } from './host.ts';
import type { Platform } from './package-files.ts';

/** A host as it was found for a launch; of hosts that were not looked at, next to nothing. */
export interface LaunchHost {
  readonly host: Host;
  /** The Node.js that programs are started with. */
  readonly node?: (Platform & { readonly path: string }) | undefined;
  readonly cores?: number | undefined;
  /** Where there is no tmux, sessions are plain processes. */
  readonly hasTmux?: boolean | undefined;
  /** Packages of ours that are installed there: version and build. */
  readonly packages: readonly string[];
  /** Sessions of a launch that are there, by name. */
  readonly sessions: readonly string[];
}
