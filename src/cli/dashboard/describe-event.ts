/** Events as lines of a dashboard: those of the terminal, without its colours. */
import pc from 'picocolors';
import type { Describe } from '../../dashboard/run-feed.ts';
import { samplesPerSecond } from '../../dashboard/view/verdicts.ts';
import { eventText } from '../texts/event-text.ts';

const PLAIN = pc.createColors(false);

/** The line that tells of an event, given what was known of the run before it. */
export const describeEvent: Describe = (event, view) =>
  eventText(event, {
    colours: PLAIN,
    unit: view.sizes?.rounds === undefined ? 'step' : 'round',
    loss: view.loss ?? undefined,
    samplesPerSecond: samplesPerSecond(view) ?? undefined,
  });
