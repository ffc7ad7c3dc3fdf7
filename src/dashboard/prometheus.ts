/** The state of a run as Prometheus reads it. */
import type { RunView } from './view/run-view.ts';
import { samplesPerSecond, shareOf } from './view/verdicts.ts';
import { isThere } from './view/worker-view.ts';

interface Sample {
  readonly labels?: Readonly<Record<string, string | number>>;
  readonly value: number | null;
}

interface Family {
  readonly name: string;
  readonly type: 'gauge' | 'counter';
  readonly help: string;
  readonly samples: readonly Sample[];
}

/** All that is measured, in the text format of version 0.0.4. */
export function metricsText(view: RunView): string {
  return familiesOf(view)
    .map(({ name, type, help, samples }) => {
      const lines = samples
        .filter(({ value }) => value !== null && Number.isFinite(value))
        .map(
          ({ labels = {}, value }) =>
            `${name}${labelsText({ run: view.name, ...labels })} ${value}\n`,
        );
      return lines.length === 0
        ? ''
        : `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
    })
    .join('');
}

function familiesOf(view: RunView): readonly Family[] {
  const one = (name: string, help: string, value: number | null): Family => ({
    ...{ name: `lockstep_${name}`, type: 'gauge', help },
    samples: [{ value }],
  });
  const perRank = (
    name: string,
    help: string,
    of: (worker: RunView['workers'][number]) => number,
    type: Family['type'] = 'gauge',
  ): Family => ({
    ...{ name: `lockstep_worker_${name}`, type, help },
    samples: view.workers.map((worker) => ({
      labels: { rank: worker.rank, host: worker.host, device: worker.device },
      value: of(worker),
    })),
  });
  return [
    one('step', 'Updates committed.', view.step),
    one('steps', 'Updates of the whole run.', view.sizes?.steps ?? null),
    one('epoch', 'Epoch of the last step, from 0.', view.epoch),
    one('train_loss', 'Mean loss of the last steps.', view.loss),
    one('train_accuracy_ratio', 'Mean accuracy of the last steps.', view.accuracy),
    one('test_loss', 'Loss of the last evaluation.', view.evaluation?.loss ?? null),
    one(
      'test_accuracy_ratio',
      'Accuracy of the last evaluation.',
      view.evaluation?.accuracy ?? null,
    ),
    one('learning_rate', 'Learning rate of the last step.', view.learningRate),
    one('samples_per_second', 'Samples per second over the last steps.', samplesPerSecond(view)),
    one(
      'step_seconds',
      'Mean time of the last steps.',
      view.stepMs === null ? null : view.stepMs / 1000,
    ),
    one('workers', 'Workers that are there.', view.workers.filter(isThere).length),
    perRank('up', 'Whether the worker is there.', (worker) => Number(isThere(worker))),
    perRank('share_ratio', 'Part of the work that the worker gets.', (w) => shareOf(w, view)),
    perRank('compute_seconds', 'Time computing in a step.', ({ mean }) => mean.computeMs / 1000),
    perRank(
      'communicate_seconds',
      'Time sending sums in a step.',
      ({ mean }) => mean.communicateMs / 1000,
    ),
    perRank('wait_seconds', 'Time waiting in a step.', ({ mean }) => mean.waitMs / 1000),
    perRank('samples_total', 'Samples computed.', ({ samples }) => samples, 'counter'),
    {
      ...{ name: 'lockstep_events_total', type: 'counter' },
      help: 'Events of the run, but for steps.',
      samples: Object.entries(view.counts).map(([kind, value]) => ({ labels: { kind }, value })),
    },
  ];
}

function labelsText(labels: Readonly<Record<string, string | number>>): string {
  const texts = Object.entries(labels).map(
    ([name, value]) => `${name}="${escaped(String(value))}"`,
  );
  return `{${texts.join(',')}}`;
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
