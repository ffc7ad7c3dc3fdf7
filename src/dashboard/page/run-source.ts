/** The run that the page shows: its view, kept up to date by what the server tells. */
import type { FeedRecord } from '../view/feed-record.ts';
import { applyRecord, isOver, makeRunView, type RunView } from '../view/run-view.ts';

/** How the page is connected with the server. */
export type LinkState = 'connecting' | 'live' | 'away' | 'shut' | 'over';

/** Follows one run, live or told again. */
export class RunSource {
  readonly name: string;
  view: RunView;
  link: LinkState = 'connecting';
  /** Their time of day when ours on the page was 0. */
  #toldMs = 0;
  readonly #stream: EventSource;
  readonly #onChange: () => void;

  /** With `speed` the run is told again from its beginning, so many times faster. */
  constructor(name: string, speed: number | undefined, onChange: () => void) {
    this.name = name;
    this.view = makeRunView(name);
    this.#onChange = onChange;
    const path = `api/runs/${encodeURIComponent(name)}`;
    this.#stream = new EventSource(
      speed === undefined ? `${path}/events` : `${path}/replay?speed=${speed}`,
    );
    this.#stream.addEventListener('view', ({ data }: MessageEvent<string>) => {
      const { nowMs, view } = JSON.parse(data) as { nowMs: number; view: RunView };
      this.view = view;
      this.#hear(nowMs);
    });
    this.#stream.addEventListener('message', ({ data }: MessageEvent<string>) => {
      const told = JSON.parse(data) as { nowMs: number; records: readonly FeedRecord[] };
      for (const record of told.records) applyRecord(this.view, record);
      this.#hear(told.nowMs);
    });
    this.#stream.addEventListener('open', () => this.#changed('live'));
    this.#stream.addEventListener('error', () =>
      this.#changed(this.#stream.readyState === EventSource.CLOSED ? 'shut' : 'away'),
    );
  }

  /** Hears nothing more. */
  close(): void {
    this.#stream.close();
  }

  /** The time of day where the run is told from. */
  get nowMs(): number {
    return this.#toldMs + performance.now();
  }

  #hear(nowMs: number): void {
    this.#toldMs = nowMs - performance.now();
    this.#changed('live');
  }

  #changed(link: LinkState): void {
    const ended = isOver(this.view);
    // What is over says nothing more, and its server may end.
    if (ended) this.close();
    this.link = ended ? 'over' : link;
    this.#onChange();
  }
}
