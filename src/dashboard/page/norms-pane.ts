/** Norms of gradients. */
import type { RunView } from '../view/run-view.ts';
import { element, type Pane, panel, setText } from './dom.ts';
import { numberText } from './format.ts';

/** The last norms of gradients, tensor by tensor. */
export function normsPane(view: () => RunView): Pane {
  const body = element('tbody');
  const note = element('p', { class: 'faint' });
  const scroller = { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Norms' };
  let shownStep = -1;
  return {
    root: panel('Norms of gradients', note, element('div', scroller, element('table', {}, body))),
    draw: () => {
      const { step, values } = view().norms;
      if (step === shownStep) return;
      shownStep = step;
      const rows = Object.entries(values);
      setText(
        note,
        rows.length === 0
          ? 'Not recorded: train with --track-gradients.'
          : `L2, before clipping, in step ${step}`,
      );
      body.replaceChildren(
        ...rows.map(([name, norm]) =>
          element(
            'tr',
            {},
            element('th', { scope: 'row' }, name),
            element('td', { class: 'number' }, numberText(norm)),
          ),
        ),
      );
    },
  };
}
