/** What the tabs of a run show. */
import type { RunView } from '../view/run-view.ts';
import { accuracyChart, columnChart, lossChart, splitChart } from './curves.ts';
import { element, type Pane } from './dom.ts';
import { headPane, sumsPane } from './figure-panes.ts';
import { logPane } from './log-pane.ts';
import { normsPane } from './norms-pane.ts';
import { timelineChart } from './timeline-chart.ts';
import { workerCards } from './worker-card.ts';

type View = () => RunView;

/** Questions and answers, figures, the loss, workers and what happened last. */
export function overviewPane(view: View, nowMs: () => number): Pane {
  return grouped(
    [headPane(view, nowMs)],
    [lossChart(view), timelineChart(view)],
    [workerCards(view, false)],
    [logPane(view, 6, 'What happened last')],
  );
}

/** All workers, and what the time of a step goes into. */
export function clusterPane(view: View): Pane {
  return grouped([sumsPane(view)], [workerCards(view, true)], [splitChart(view)]);
}

/** Curves. */
export function trainingPane(view: View): Pane {
  return grouped(
    [lossChart(view), accuracyChart(view)],
    [
      columnChart(view, 'Samples per second', '', 'samplesPerSecond', 'samples/s', 'c2'),
      columnChart(view, 'Learning rate', '', 'learningRate', 'learning rate', 'c3'),
    ],
    [splitChart(view)],
    [normsPane(view)],
  );
}

/** The timeline with the page to itself. */
export function timelinePane(view: View): Pane {
  return grouped([timelineChart(view)]);
}

/** All that happened. */
export function eventsPane(view: View): Pane {
  return logPane(view, Infinity, 'Events, newest first');
}

/** Panes one below the other; those of a row side by side where there is room. */
function grouped(...rows: readonly (readonly Pane[])[]): Pane {
  const panes = rows.flat();
  const root = element(
    'div',
    {},
    rows.map((row) =>
      row.length === 1
        ? element('div', { class: 'panel-row' }, row[0]?.root)
        : element(
            'div',
            { class: 'two' },
            row.map((pane) => pane.root),
          ),
    ),
  );
  return { root, draw: () => panes.forEach((pane) => pane.draw()) };
}
