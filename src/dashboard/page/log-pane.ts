/** What happened, as lines. */
import type { RunView } from '../view/run-view.ts';
import { element, type Pane, panel } from './dom.ts';
import { timeText } from './format.ts';

/** What happened, newest first. */
export function logPane(view: () => RunView, limit: number, title: string): Pane {
  const list = element('ol', { class: 'log' });
  const root = panel(title, list);
  let shown = '';
  return {
    root,
    draw: () => {
      const lines = view().log.slice(-limit);
      const key = `${lines[0]?.id}-${lines.at(-1)?.id}`;
      if (key === shown) return;
      shown = key;
      const items = lines.toReversed().map(({ timeMs, tone, text }) => {
        const time = element(
          'time',
          { datetime: new Date(timeMs).toISOString() },
          timeText(timeMs),
        );
        return element('li', { class: tone }, time, element('span', {}, text));
      });
      list.replaceChildren(...items);
    },
  };
}
