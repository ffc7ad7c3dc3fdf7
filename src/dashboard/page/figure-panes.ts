/** Answers and figures: of the run, and of the sums of its gradients. */
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
import { numberText, percentText, timeSpanText } from './format.ts';

type View = () => RunView;

/** How sums travel, in words. */
const SUM_WAYS: Readonly<Record<string, string>> = {
  shm: 'shared memory',
  hosts: 'memory, then network',
  ring: 'ring',
  star: 'coordinator',
};

/** The three questions with their answers, and figures. */
export function headPane(view: View, nowMs: () => number): Pane {
  const answers = ['What is it doing?', 'Who is slow, and why?', 'Does it learn?'].map(
    (question) => ({ question, answer: element('dd') }),
  );
  const bar = element('i');
  const progress = element(
    'div',
    { class: 'progress', role: 'progressbar', 'aria-label': 'steps done' },
    bar,
  );
  const figures = figureList([
    ...['Time left', 'Loss', 'Accuracy', 'Test accuracy', 'Samples/s', 'A step takes', 'Workers'],
    'Sums travel by',
  ]);
  const root = element(
    'section',
    { class: 'panel', 'aria-label': 'Overview' },
    element(
      'dl',
      { class: 'answers' },
      answers.map(({ question, answer }) =>
        element('div', {}, element('dt', {}, question), answer),
      ),
    ),
    progress,
    figures.list,
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
      figures.show(figuresOf(now));
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
    wayText(collective),
  ];
}

/** How often something happened, by the kind of its events. */
const COUNTED = {
  'Workers that joined': 'worker-joined',
  'Workers that were lost': 'worker-lost',
  'Times that work went to others': 'micro-batches-reissued',
  'Steps computed again': 'step-redone',
  'Times that the run went back': 'rolled-back',
} as const;

/** How sums of gradients travel, how long they take, and what has happened. */
export function sumsPane(view: View): Pane {
  const names = [
    'Sums travel by',
    'Ranks that add up',
    'Generation',
    'Sums take, median',
    'Sums take, 99 of 100',
    ...Object.keys(COUNTED),
  ];
  const { list, show } = figureList(names);
  return {
    root: panel('Sums of gradients, and what happened', list),
    draw: () => {
      const { collective, counts, timeline } = view();
      const times = timeline.steps.flatMap(({ bars }) => bars.map((bar) => bar.communicateMs));
      times.sort((a, b) => a - b);
      show([
        wayText(collective),
        collective?.ranks.join(', ') ?? '–',
        numberText(collective?.generation),
        timeSpanText(times[Math.floor(times.length / 2)]),
        timeSpanText(times[Math.floor(0.99 * times.length)]),
        ...Object.values(COUNTED).map((kind) => numberText(counts[kind] ?? 0)),
      ]);
    },
  };
}

function wayText(collective: RunView['collective']): string {
  if (collective === null) return 'coordinator';
  return SUM_WAYS[collective.kind] ?? collective.kind;
}

/** Names over values, of which those that have changed are shown anew. */
function figureList(names: readonly string[]): {
  readonly list: HTMLElement;
  readonly show: (texts: readonly string[]) => void;
} {
  const figures = names.map((name) => ({ name, value: element('dd') }));
  const list = element(
    'dl',
    { class: 'figures' },
    figures.map(({ name, value }) => element('div', {}, element('dt', {}, name), value)),
  );
  const show = (texts: readonly string[]): void => {
    for (const [i, text] of texts.entries()) {
      const value = figures[i]?.value;
      if (value !== undefined) setText(value, text);
    }
  };
  return { list, show };
}
