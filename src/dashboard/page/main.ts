/** The page: comes in by the link, follows a run, and draws what has changed once a frame. */
import { element, type Pane, setClass, setText } from './dom.ts';
import { logsPane, runsPane } from './file-panes.ts';
import { clusterPane, eventsPane, overviewPane, timelinePane, trainingPane } from './panes.ts';
import { RunSource } from './run-source.ts';
import type { RunView } from '../view/run-view.ts';

const TABS = {
  overview: 'Overview',
  cluster: 'Cluster',
  training: 'Training',
  timeline: 'Timeline',
  events: 'Events',
  logs: 'Logs',
  runs: 'Runs',
} as const;
type Tab = keyof typeof TABS;

/** What the address of the page says: a tab, a run, how many times faster it is told again. */
interface Place {
  readonly tab: Tab;
  readonly run: string | undefined;
  readonly speed: number | undefined;
}

const LINK_WORDS = {
  connecting: 'connecting…',
  live: '● live',
  away: '○ connection lost, trying again…',
  shut: '○ not let in any more: open the link that is printed',
  over: 'the run is over',
} as const;

const TICK_MS = 1_000;

/** Draws the whole page. */
class Page {
  readonly #title = element('h1');
  readonly #badge = element('span', { class: 'badge' });
  readonly #link = element('span', { class: 'link', role: 'status' });
  readonly #nav = element('nav', { 'aria-label': 'Parts' });
  readonly #main = element('main');
  #source: RunSource | undefined;
  #pane: Pane | undefined;
  #place: Place | undefined;
  #isDue = false;

  constructor() {
    const header = element('header', {}, this.#title, this.#badge, this.#link);
    document.body.append(element('div', { class: 'page' }, header, this.#nav, this.#main));
    window.addEventListener('hashchange', () => this.follow());
    window.addEventListener('resize', () => this.#draw());
    window
      .matchMedia('(prefers-color-scheme: dark)')
      .addEventListener('change', () => this.#draw());
    // When nothing is told, that is shown, too.
    setInterval(() => this.#draw(), TICK_MS);
  }

  /** Shows what the address says. */
  follow(): void {
    const place = placeOf(location.hash);
    const isSame = place.run === this.#place?.run && place.speed === this.#place?.speed;
    this.#place = place;
    if (!isSame) {
      this.#source?.close();
      this.#source =
        place.run === undefined
          ? undefined
          : new RunSource(place.run, place.speed, () => this.#draw());
    }
    this.#pane?.close?.();
    this.#pane = this.#paneOf(place);
    this.#main.replaceChildren(this.#pane.root);
    this.#nav.replaceChildren(...this.#linksOf(place));
    this.#draw();
  }

  #paneOf({ tab, run }: Place): Pane {
    const source = this.#source;
    if (source === undefined || run === undefined || tab === 'runs') return runsPane();
    const view = (): RunView => source.view;
    switch (tab) {
      case 'overview':
        return overviewPane(view, () => source.nowMs);
      case 'cluster':
        return clusterPane(view);
      case 'training':
        return trainingPane(view);
      case 'timeline':
        return timelinePane(view);
      case 'events':
        return eventsPane(view);
      case 'logs':
        return logsPane(run);
      default:
        return tab satisfies never;
    }
  }

  #linksOf({ tab, run, speed }: Place): HTMLElement[] {
    const tail =
      run === undefined
        ? ''
        : `/${encodeURIComponent(run)}${speed === undefined ? '' : `/${speed}`}`;
    const tabs = run === undefined ? (['runs'] as const) : (Object.keys(TABS) as Tab[]);
    return tabs.map((one) =>
      element('a', { href: `#${one}${tail}`, 'aria-current': one === tab && 'page' }, TABS[one]),
    );
  }

  /** Draws with the next frame, however often it is asked to. */
  #draw(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      this.#drawNow();
    });
  }

  #drawNow(): void {
    const source = this.#source;
    const { run, speed } = this.#place ?? {};
    const name = run ?? 'Runs';
    if (this.#title.dataset['name'] !== name) {
      this.#title.dataset['name'] = name;
      this.#title.replaceChildren(element('small', {}, 'Lockstep'), name);
    }
    const { phase, step } = source?.view ?? {};
    const tone = { failed: 'bad', waiting: 'bad', interrupted: 'warn', starting: '' }[
      String(phase)
    ];
    setText(this.#badge, phase ?? '');
    setClass(this.#badge, `badge ${tone ?? 'good'}`);
    this.#badge.hidden = phase === undefined;
    const words = source === undefined ? '' : LINK_WORDS[source.link];
    setText(
      this.#link,
      speed === undefined ? words : `told again, ${speed} times as fast; ${words}`,
    );
    const title = `${phase === 'training' ? `${step} · ` : ''}${name} · Lockstep`;
    if (document.title !== title) document.title = title;
    this.#pane?.draw();
  }
}

function placeOf(hash: string): Place {
  const [tab = '', run, speed] = hash.replace(/^#/, '').split('/');
  return {
    tab: Object.hasOwn(TABS, tab) ? (tab as Tab) : 'overview',
    run: run === undefined || run === '' ? undefined : decodeURIComponent(run),
    speed: speed === undefined ? undefined : Number(speed) || 1,
  };
}

/** Comes in with the key of the link, if there is one, and says whether it is in. */
async function enter(): Promise<{ readonly isIn: boolean; readonly first?: string | null }> {
  const key = /^#key=([\w-]+)/.exec(location.hash)?.[1];
  if (key !== undefined) {
    history.replaceState(null, '', location.pathname);
    await fetch('api/session', { method: 'POST', body: key });
  }
  const answer = await fetch('api/session');
  return (await answer.json()) as { isIn: boolean; first?: string | null };
}

const { isIn, first } = await enter();
if (!isIn)
  document.body.append(
    element(
      'main',
      { class: 'page' },
      element('h1', {}, 'Lockstep'),
      element(
        'p',
        {},
        'Open the dashboard by the link that was printed where it was started. A link lets one ' +
          'browser in; when it was used, another one is printed.',
      ),
    ),
  );
else {
  if (location.hash === '' && first !== null && first !== undefined)
    history.replaceState(null, '', `#overview/${encodeURIComponent(first)}`);
  new Page().follow();
}
