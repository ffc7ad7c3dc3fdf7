/** What is asked for and not told: the runs of the folder, and what workers have said. */
import { element, type Pane, panel } from './dom.ts';
import { timeSpanText, numberText, percentText } from './format.ts';

const LOOK_MS = 2_000;

/** A run as `/api/runs` tells it. */
interface RunEntry {
  readonly name: string;
  readonly status: string;
  readonly summary?: {
    readonly model?: string;
    readonly dataset?: string;
    readonly steps?: number;
    readonly testAccuracy?: number;
    readonly validationAccuracy?: number;
    readonly samplesPerSecond?: number;
    readonly workers?: readonly unknown[];
    readonly wallSeconds?: number;
  };
}

interface RunTable {
  readonly folder: string;
  readonly count: number;
  readonly runs: readonly RunEntry[];
}

/** The newest runs of the folder; each opens, or is told again. */
export function runsPane(): Pane {
  const body = element('tbody');
  const note = element('p', { class: 'faint' }, 'loading…');
  const names = [
    'Run',
    'Status',
    'Model',
    'Data',
    'Steps',
    'Test accuracy',
    'Samples/s',
    'Workers',
    'Took',
    'Again',
  ];
  const root = panel(
    'Runs',
    note,
    element(
      'div',
      { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Runs' },
      element(
        'table',
        {},
        element(
          'thead',
          {},
          element(
            'tr',
            {},
            names.map((name) => element('th', { scope: 'col' }, name)),
          ),
        ),
        body,
      ),
    ),
  );
  const load = async (): Promise<void> => {
    const answer = await fetch('api/runs');
    if (!answer.ok) return;
    const { folder, count, runs } = (await answer.json()) as RunTable;
    note.textContent = `${runs.length} of ${count} in ${folder}, newest first`;
    body.replaceChildren(...runs.map(rowOf));
  };
  void load();
  return { root, draw: () => {} };
}

function rowOf({ name, status, summary }: RunEntry): HTMLElement {
  const tone = { finished: 'good', running: 'good', failed: 'bad' }[status] ?? 'warn';
  const path = encodeURIComponent(name);
  const number = (text: string): HTMLElement => element('td', { class: 'number' }, text);
  return element(
    'tr',
    {},
    element('th', { scope: 'row' }, element('a', { href: `#overview/${path}` }, name)),
    element('td', {}, element('span', { class: `badge ${tone}` }, status)),
    element('td', {}, summary?.model ?? '–'),
    element('td', {}, summary?.dataset ?? '–'),
    number(numberText(summary?.steps)),
    number(percentText(summary?.testAccuracy ?? summary?.validationAccuracy, 2)),
    number(numberText(summary?.samplesPerSecond)),
    number(numberText(summary?.workers?.length)),
    number(timeSpanText(summary?.wallSeconds === undefined ? null : 1000 * summary.wallSeconds)),
    element(
      'td',
      {},
      element(
        'a',
        { href: `#overview/${path}/10`, 'aria-label': `10×: replay ${name} ten times as fast` },
        '10×',
      ),
    ),
  );
}

/** What the workers of a run have said, of which lines can be picked by a word. */
export function logsPane(name: string): Pane {
  const ranks = element('select', { 'aria-label': 'rank', onchange: () => void load() });
  const search = element('input', {
    type: 'search',
    placeholder: 'lines with…',
    'aria-label': 'search',
    oninput: () => show(),
  });
  const output = element('pre', { role: 'region', tabindex: 0, 'aria-label': 'log' });
  const note = element('p', { class: 'faint' }, 'loading…');
  let text = '';
  const path = `api/runs/${encodeURIComponent(name)}/logs`;
  const show = (): void => {
    const word = search.value.toLowerCase();
    const lines = text.split('\n').filter((line) => line.toLowerCase().includes(word));
    const isAtEnd = output.scrollHeight - output.scrollTop - output.clientHeight < 20;
    output.textContent = lines.join('\n');
    if (isAtEnd) output.scrollTop = output.scrollHeight;
  };
  const load = async (): Promise<void> => {
    if (ranks.value === '') return;
    const answer = await fetch(`${path}/${ranks.value}`);
    if (!answer.ok) return;
    text = await answer.text();
    note.textContent = text === '' ? 'This worker has said nothing.' : '';
    show();
  };
  const begin = async (): Promise<void> => {
    const answer = await fetch(path);
    const all = answer.ok ? ((await answer.json()) as { ranks: readonly number[] }).ranks : [];
    ranks.replaceChildren(...all.map((rank) => element('option', { value: rank }, `rank ${rank}`)));
    if (all.length === 0)
      note.textContent = 'Workers of this machine only have logs here, and there are none.';
    await load();
  };
  void begin();
  const timer = setInterval(() => void load(), LOOK_MS);
  const root = panel(
    'What workers say',
    element('div', { class: 'tools' }, ranks, search),
    note,
    output,
  );
  return { root, draw: () => {}, close: () => clearInterval(timer) };
}
