/** Names in the folder of checkpoints. */

/** The last file of a checkpoint that is written. */
export const MANIFEST_NAME = 'manifest.json';
/** What is not whole yet, or no longer. */
const PARTIAL_PREFIX = '.partial-';

/** The folder of the checkpoint after `step` updates. */
export function checkpointName(step: number): string {
  return `step_${step}`;
}

/** The step that a folder is named for; undefined for anything else. */
export function stepOfName(name: string): number | undefined {
  const [, digits] = /^step_(0|[1-9]\d{0,14})$/.exec(name) ?? [];
  return digits === undefined ? undefined : Number(digits);
}

/** What a checkpoint is called as long as it is being written, or removed. */
export function partialName(name: string, what: 'new' | 'old'): string {
  return `${PARTIAL_PREFIX}${what}-${name}`;
}

/** Whether something was left unfinished by somebody who was killed. */
export function isPartial(name: string): boolean {
  return name.startsWith(PARTIAL_PREFIX);
}
