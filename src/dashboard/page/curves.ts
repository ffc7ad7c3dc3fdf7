/** Curves over the steps of a run. */
import type { RunView } from '../view/run-view.ts';
import type { Pane } from './dom.ts';
import { type Series, stepChart } from './step-chart.ts';

type View = () => RunView;

/** The loss of training and tests. */
export function lossChart(view: View): Pane {
  return stepChart({
    title: 'Loss',
    unit: '',
    series: () => {
      const { history, evaluations, evaluation } = view();
      const name = evaluation?.split ?? 'test';
      return [
        {
          name: 'training',
          colour: 'c0',
          steps: history.steps,
          values: history.columns['loss'] ?? [],
        },
        { name, colour: 'c1', steps: evaluations.steps, values: evaluations.columns['loss'] ?? [] },
      ];
    },
  });
}

/** The share of right answers, in training and tests. */
export function accuracyChart(view: View): Pane {
  const percent = (values: readonly (number | null)[] = []): (number | null)[] =>
    values.map((value) => (value === null ? null : 100 * value));
  return stepChart({
    title: 'Accuracy',
    unit: '%',
    series: () => {
      const { history, evaluations, evaluation } = view();
      const name = evaluation?.split ?? 'test';
      return [
        {
          name: 'training',
          colour: 'c0',
          steps: history.steps,
          values: percent(history.columns['accuracy']),
        },
        {
          name,
          colour: 'c1',
          steps: evaluations.steps,
          values: percent(evaluations.columns['accuracy']),
        },
      ];
    },
  });
}

/** What the time of steps went into. */
export function splitChart(view: View): Pane {
  const parts = [
    ['computing', 'c0', 'computeMs'],
    ['sending sums', 'c1', 'communicateMs'],
    ['waiting', 'c7', 'waitMs'],
    ["the coordinator's own work", 'c3', 'otherMs'],
  ] as const;
  return stepChart({
    title: 'What the time of a step goes into (means over workers)',
    unit: 'ms',
    isStacked: true,
    series: () => {
      const { steps, columns } = view().history;
      return parts.map(([name, colour, key]): Series => ({
        name,
        colour,
        steps,
        values: columns[key] ?? [],
      }));
    },
  });
}

/** One column of the history as a line. */
export function columnChart(
  view: View,
  title: string,
  unit: string,
  key: string,
  name: string,
  colour: string,
): Pane {
  return stepChart({
    title,
    unit,
    series: () => {
      const { steps, columns } = view().history;
      return [{ name, colour, steps, values: columns[key] ?? [] }];
    },
  });
}
