/** The run that the page shows: its view, kept up to date by what the server tells. */
import type { FeedRecord } from '../view/feed-record.ts';
import { applyRecord, isOver, makeRunView, type RunView } from '../view/run-view.ts';

/** How the page is connected with the server. */
export type LinkState = 'connecting' | 'live' | 'away' | 'over';

/** Follows one run, live or told again. */
export class RunSource {
  readonly name: string;
  view: RunView;
  link: LinkState = 'connecting';
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
      this.view = JSON.parse(data) as RunView;
      this.#changed('live');
    });
    this.#stream.addEventListener('message', ({ data }) => {
      for (const record of JSON.parse(String(data)) as readonly FeedRecord[])
        applyRecord(this.view, record);
      this.#changed('live');
    });
    this.#stream.addEventListener('open', () => this.#changed('live'));
    this.#stream.addEventListener('error', () => this.#changed('away'));
  }

  /** Hears nothing more. */
  close(): void {
    this.#stream.close();
  }

  #changed(link: LinkState): void {
    const ended = isOver(this.view);
    // What is over says nothing more, and its server may end.
    if (ended) this.close();
    this.link = ended ? 'over' : link;
    this.#onChange();
  }
}
