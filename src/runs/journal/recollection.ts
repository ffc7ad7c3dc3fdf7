/** What a coordinator knows of the steps before that was started again after it had died. */
import type { Recollection } from '../../coordinator/states/returning.ts';
import type { Snapshot } from '../../coordinator/steps/trajectory.ts';
import type { JournalContent } from './journal-lines.ts';

/**
 * The steps up to which a run may go on from what its workers have. `beginning` is where it goes on
 * otherwise, and `recordedStep` the last step in its records: later ones must be in the journal.
 */
export function recollectionOf(
  { steps }: Pick<JournalContent, 'steps'>,
  beginning: Snapshot,
  recordedStep: number,
): Recollection {
  const known = Math.max(beginning.step, ...[...steps.keys()].slice(-1));
  return {
    known,
    markAt: (step) => {
      for (let missing = recordedStep + 1; missing <= step; missing++)
        if (!steps.has(missing)) return undefined;
      return step === beginning.step ? beginning : steps.get(step)?.mark;
    },
  };
}
