/** What the tabs of a run show. */
import { isOver, type RunView } from '../view/run-view.ts';
import {
  doingVerdict,
  learningVerdict,
  remainingMs,
  samplesPerSecond,
  slowVerdict,
} from '../view/verdicts.ts';
import { isThere } from '../view/worker-view.ts';
import { element, type Pane, panel, setClass, setText } from './dom.ts';
import { timeSpanText, numberText, percentText, timeText } from './format.ts';
import { type Series, stepChart } from './step-chart.ts';
import { timelineChart } from './timeline-chart.ts';
import { workerCards } from './worker-card.ts';

type View = () => RunView;

/** How sums travel, in words. */
const SUM_WAYS: Readonly<Record<string, string>> = {
  shm: 'shared memory',
  hosts: 'memory, then network',
  ring: 'ring',
  star: 'coordinator',
};

/** Questions and answers, figures, the loss, workers and what happened last. */
export function overviewPane(view: View, nowMs: () => number): Pane {
  return grouped(
    [headPane(view, nowMs)],
    [lossChart(view), timelineChart(view)],
    [workerCards(view)],
    [logPane(view, 6, 'What happened last')],
  );
}

/** All workers, and what the time of a step goes into. */
export function clusterPane(view: View): Pane {
  return grouped([sumsPane(view)], [workerCards(view)], [splitChart(view)]);
}

/** Curves. */
export function trainingPane(view: View): Pane {
  return grouped(
    [lossChart(view), accuracyChart(view)],
    [
      column(view, 'Samples per second', '', 'samplesPerSecond', 'samples/s', 'c2'),
      column(view, 'Learning rate', '', 'learningRate', 'learning rate', 'c3'),
    ],
    [splitChart(view)],
  );
}

/** The timeline with the page to itself. */
export function timelinePane(view: View): Pane {
  return grouped([timelineChart(view)]);
}

/** What happened, newest first. */
export function logPane(view: View, limit: number, title: string): Pane {
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

function headPane(view: View, nowMs: () => number): Pane {
  const answers = ['What is it doing?', 'Who is slow, and why?', 'Does it learn?'].map(
    (question) => ({ question, answer: element('dd') }),
  );
  const bar = element('i');
  const progress = element(
    'div',
    { class: 'progress', role: 'progressbar', 'aria-label': 'steps done' },
    bar,
  );
  const figures = [
    'Time left',
    'Loss',
    'Accuracy',
    'Test accuracy',
    'Samples/s',
    'A step takes',
    'Workers',
    'Sums travel by',
  ].map((name) => ({ name, value: element('dd') }));
  const root = panel(
    'Overview',
    element(
      'dl',
      { class: 'answers' },
      answers.map(({ question, answer }) =>
        element('div', {}, element('dt', {}, question), answer),
      ),
    ),
    progress,
    element(
      'dl',
      { class: 'figures' },
      figures.map(({ name, value }) => element('div', {}, element('dt', {}, name), value)),
    ),
  );
  return {
    root,
    draw: () => {
      const now = view();
      for (const [i, { tone, text }] of [
        doingVerdict(now, nowMs()),
        slowVerdict(now),
        learningVerdict(now),
      ].entries()) {
        const answer = answers[i]?.answer;
        if (answer === undefined) continue;
        setText(answer, text);
        setClass(answer, tone);
      }
      const part = now.sizes === null ? 0 : now.step / Math.max(1, now.sizes.steps);
      bar.style.width = `${100 * part}%`;
      progress.setAttribute('aria-valuenow', String(Math.round(100 * part)));
      for (const [i, text] of figuresOf(now).entries()) {
        const value = figures[i]?.value;
        if (value !== undefined) setText(value, text);
      }
    },
  };
}

function figuresOf(view: RunView): string[] {
  const { evaluation, collective, workers } = view;
  const speed = samplesPerSecond(view);
  const there = workers.filter(isThere).length;
  return [
    isOver(view) ? '–' : timeSpanText(remainingMs(view)),
    view.loss === null ? '–' : view.loss.toPrecision(4),
    percentText(view.accuracy),
    percentText(evaluation?.accuracy, 2),
    speed === null ? '–' : numberText(Math.round(speed)),
    timeSpanText(view.stepMs === null ? null : Number(view.stepMs.toPrecision(3))),
    there === workers.length ? String(there) : `${there} of ${workers.length}`,
    collective === null ? 'coordinator' : (SUM_WAYS[collective.kind] ?? collective.kind),
  ];
}

function sumsPane(view: View): Pane {
  const text = element('p');
  return {
    root: panel('How sums of gradients travel', text),
    draw: () => {
      const { collective, counts } = view();
      const way =
        collective === null
          ? 'Through the coordinator.'
          : `Ranks ${collective.ranks.join(', ')}, by ` +
            `${SUM_WAYS[collective.kind] ?? collective.kind}: generation ${collective.generation}.`;
      const told = [
        'worker-joined',
        'worker-lost',
        'micro-batches-reissued',
        'step-redone',
        'rolled-back',
      ]
        .map((kind) => `${kind.replaceAll('-', ' ')} ${counts[kind] ?? 0}`)
        .join(', ');
      setText(text, `${way} So far: ${told}.`);
    },
  };
}

function lossChart(view: View): Pane {
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

function accuracyChart(view: View): Pane {
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

function splitChart(view: View): Pane {
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

function column(
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
