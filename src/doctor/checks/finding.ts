/** What a check says of a host: that all is well, or what is wrong, why, and what mends it. */

/**
 * What can be wrong, by stable names that scripts can rely on; each is explained in
 * docs/troubleshooting.md.
 */
export const PROBLEMS = [
  'address-elsewhere',
  'clock-not-synchronised',
  'clock-skewed',
  'coordinator-absent',
  'coordinator-differs',
  'coordinator-refuses',
  'cores-busy',
  'disk-full',
  'disk-low',
  'files-limited',
  'folder-closed',
  'host-silent',
  'host-unreachable',
  'link-file-open',
  'link-file-unusable',
  'link-slow',
  'local-network-denied',
  'lockstep-differs',
  'lockstep-missing',
  'machine-sleeps',
  'memory-low',
  'name-unknown',
  'network-missing',
  'node-hidden',
  'node-missing',
  'node-old',
  'not-a-coordinator',
  'port-blocked',
  'port-denied',
  'port-in-use',
  'runtime-unusable',
  'shared-memory-small',
  'ssh-failed',
  'ssh-host-key-changed',
  'ssh-host-key-unknown',
  'ssh-key-missing',
  'ssh-missing',
  'ssh-refused',
  'tar-missing',
  'tmux-missing',
  'token-missing',
  'token-wrong',
  'wrong-interface',
] as const;

/** The name of something that can be wrong. */
export type ProblemId = (typeof PROBLEMS)[number];

/** Something that is wrong: `error` keeps Lockstep from working here, `warning` may hurt later. */
export interface Problem {
  readonly id: ProblemId;
  readonly severity: 'warning' | 'error';
  /** The host that it was found on, as it was named; absent: it is between hosts. */
  readonly host?: string;
  readonly what: string;
  readonly cause: string;
  /** A command that mends it, or else what to do, in one line. */
  readonly remedy: string;
}

/** Something that was looked at and is well. */
export interface Good {
  readonly id: string;
  readonly severity: 'ok';
  readonly host?: string;
  readonly what: string;
}

/** The result of a look at one thing. */
export type Finding = Good | Problem;

/** Says that all is well with what `id` names. */
export function good(id: string, what: string): Good {
  return { id, severity: 'ok', what };
}

/** Something that keeps Lockstep from working. */
export function failure(id: ProblemId, what: string, cause: string, remedy: string): Problem {
  return { id, severity: 'error', what, cause, remedy };
}

/** Something that may hurt. */
export function warning(id: ProblemId, what: string, cause: string, remedy: string): Problem {
  return { id, severity: 'warning', what, cause, remedy };
}

/** The same findings, of the host of this name. */
export function of(host: string, findings: readonly Finding[]): Finding[] {
  return findings.map((finding) => ({ ...finding, host }));
}

/** Whether something was found that keeps Lockstep from working. */
export function hasErrors(findings: readonly Finding[]): boolean {
  return findings.some(({ severity }) => severity === 'error');
}
