/** What can be asked for: a list of methods and paths, each with its answer. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { STREAM_HEADERS, streamFeed } from './event-stream.ts';
import type { Gate } from './gate.ts';
import * as seed from './seed-answers.ts';
import { metricsText } from './prometheus.ts';
import { replayInto } from './replay.ts';
import type { RunFeed } from './run-feed.ts';
import type { RunLibrary } from './run-library.ts';

const DEFAULT_LIMIT = 200;
const MAX_LIMIT = 5_000;
const MAX_SPEED = 1_000;
const JSON_TYPE = 'application/json; charset=utf-8';
const TEXT_TYPE = 'text/plain; charset=utf-8';

/** What answers are made from. */
export interface RouteContext {
  readonly library: RunLibrary;
  readonly first: string | undefined;
  readonly gate: Gate;
  /** Told that somebody has come in with the link. */
  readonly onEntered: () => void;
}

/** A request, read. */
interface Ask {
  readonly request: IncomingMessage;
  readonly method: string;
  readonly url: URL;
  readonly body: string;
}

/** What is sent back: a text, or a stream that goes on. */
export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly text: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly stream?: (request: IncomingMessage, response: ServerResponse) => void;
}

type Handler = (
  ask: Ask,
  context: RouteContext,
  words: readonly string[],
) => Answer | Promise<Answer>;

interface Route {
  readonly method: 'GET' | 'POST';
  readonly path: RegExp;
  /** Whether who has not come in may ask, too. */
  readonly isOpen?: boolean;
  readonly answer: Handler;
}

const ROUTES: readonly Route[] = [
  { method: 'POST', path: /^\/api\/session$/, isOpen: true, answer: enter },
  {
    method: 'GET',
    path: /^\/api\/session$/,
    isOpen: true,
    answer: ({ request }, { gate, first }) =>
      json(gate.isIn(request.headers) ? { isIn: true, first: first ?? null } : { isIn: false }),
  },
  { method: 'GET', path: /^\/api\/health$/, isOpen: true, answer: () => json({ status: 'ok' }) },
  { method: 'GET', path: /^\/api\/runs$/, answer: listRuns },
  {
    method: 'GET',
    path: /^\/api\/runs\/([^/]+)$/,
    answer: async (_, context, [name]) => withFeed(context, name, ({ view }) => json(view)),
  },
  {
    method: 'GET',
    path: /^\/api\/runs\/([^/]+)\/events$/,
    answer: async (_, context, [name]) =>
      withFeed(context, name, (feed) =>
        streamed((request, response) => streamFeed(feed, request, response)),
      ),
  },
  { method: 'GET', path: /^\/api\/runs\/([^/]+)\/replay$/, answer: replay },
  { method: 'GET', path: /^\/api\/runs\/([^/]+)\/logs$/, answer: listLogs },
  { method: 'GET', path: /^\/api\/runs\/([^/]+)\/logs\/(\d{1,6})$/, answer: showLog },
  { method: 'GET', path: /^\/api\/system$/, answer: () => json(seed.system()) },
  { method: 'GET', path: /^\/api\/nodes$/, answer: withCurrent(seed.nodes) },
  { method: 'GET', path: /^\/api\/cluster\/status$/, answer: withCurrent(seed.clusterStatus) },
  { method: 'GET', path: /^\/api\/metrics\/latest$/, answer: withCurrent(seed.latestMetrics) },
  { method: 'GET', path: /^\/api\/metrics\/history\/([^/]+)$/, answer: history },
  { method: 'GET', path: /^\/api\/jobs$/, answer: listJobs },
  {
    method: 'GET',
    path: /^\/api\/jobs\/([^/]+)\/metrics$/,
    answer: async (_, context, [name]) =>
      withFeed(context, name, ({ view }) => json(seed.latestMetrics(view))),
  },
  { method: 'GET', path: /^\/api\/experiments$/, answer: listExperiments },
  { method: 'GET', path: /^\/metrics$/, answer: prometheus },
];

/** The answer to a request; what is in no row of the list is refused. */
export async function answerOf(ask: Ask, context: RouteContext): Promise<Answer> {
  const { url, method, request } = ask;
  const fitting = ROUTES.filter(({ path }) => path.test(url.pathname));
  if (fitting.length === 0) return problem(404, `there is nothing at ${url.pathname}`);
  const route = fitting.find((one) => one.method === (method === 'HEAD' ? 'GET' : method));
  if (route === undefined) {
    const allow = fitting.map((one) => one.method).join(', ');
    return { ...problem(405, `this can be asked for with ${allow} only`), headers: { allow } };
  }
  if (route.isOpen !== true && !context.gate.isIn(request.headers))
    return problem(401, 'open the dashboard by the link that was printed where it was started');
  const words = (route.path.exec(url.pathname) ?? []).slice(1).map(decoded);
  return route.answer(ask, context, words);
}

function enter({ body }: Ask, { gate, onEntered }: RouteContext): Answer {
  const cookie = gate.enter(body.trim());
  if (cookie === undefined)
    return problem(401, 'this link was used already, or is none of this dashboard');
  onEntered();
  return { ...json({ isIn: true }), headers: { 'set-cookie': cookie } };
}

async function listRuns({ url }: Ask, { library }: RouteContext): Promise<Answer> {
  const { runs, count } = await library.list(limitOf(url));
  return json({ folder: library.folder, live: library.live?.name ?? null, count, runs });
}

async function listJobs({ url }: Ask, { library }: RouteContext): Promise<Answer> {
  const { runs } = await library.list(limitOf(url));
  return json({ jobs: runs.map((run) => seed.job(run, library.live?.feed.view)) });
}

async function listExperiments({ url }: Ask, { library }: RouteContext): Promise<Answer> {
  const { runs } = await library.list(limitOf(url));
  return json({ experiments: runs.map((run) => seed.experiment(run, library.folder)) });
}

async function history(
  { url }: Ask,
  context: RouteContext,
  [name]: readonly string[],
): Promise<Answer> {
  return withFeed(context, name, ({ view }) => json(seed.history(view, limitOf(url, 100))));
}

async function replay(
  { url }: Ask,
  context: RouteContext,
  [name = '']: readonly string[],
): Promise<Answer> {
  const { library } = context;
  const speed = Number(url.searchParams.get('speed') ?? '1');
  if (!(speed > 0 && speed <= MAX_SPEED))
    return problem(400, `speed: expected a number above 0 and up to ${MAX_SPEED}`);
  if (!(await library.has(name))) return noSuchRun(name);
  const summary = await library.summaryOf(name);
  return streamed((request, response) => {
    const { feed, log } = library.replay(name);
    const over = new AbortController();
    response.once('close', () => over.abort());
    streamFeed(feed, request, response);
    void replayInto(feed, log, summary, { speed, signal: over.signal });
  });
}

async function listLogs(
  _: Ask,
  { library }: RouteContext,
  [name = '']: readonly string[],
): Promise<Answer> {
  if (!(await library.has(name))) return noSuchRun(name);
  return json({ ranks: await library.ranksWithLog(name) });
}

async function showLog(
  _: Ask,
  { library }: RouteContext,
  words: readonly string[],
): Promise<Answer> {
  const [name = '', rank = ''] = words;
  const text = (await library.has(name)) ? await library.logOf(name, Number(rank)) : undefined;
  if (text === undefined) return problem(404, `there is no log of rank ${rank} of this run`);
  return { status: 200, type: TEXT_TYPE, text };
}

async function prometheus(_: Ask, { library }: RouteContext): Promise<Answer> {
  const feed = await currentFeed(library);
  const type = 'text/plain; version=0.0.4; charset=utf-8';
  return { status: 200, type, text: feed === undefined ? '' : metricsText(feed.view) };
}

/** Answers about the run that is under way here, or else the newest. */
function withCurrent(of: (view: RunFeed['view']) => object): Handler {
  return async (_, { library }) => {
    const feed = await currentFeed(library);
    return feed === undefined ? problem(404, 'there is no run yet') : json(of(feed.view));
  };
}

async function currentFeed(library: RunLibrary): Promise<RunFeed | undefined> {
  if (library.live !== undefined) return library.live.feed;
  const [newest] = (await library.list(1)).runs;
  return newest === undefined ? undefined : library.open(newest.name);
}

async function withFeed(
  { library }: RouteContext,
  name: string | undefined,
  answer: (feed: RunFeed) => Answer,
): Promise<Answer> {
  const feed = await library.open(name ?? '');
  return feed === undefined ? noSuchRun(name ?? '') : answer(feed);
}

function noSuchRun(name: string): Answer {
  return problem(404, `there is no run ${name.slice(0, 100)}`);
}

function limitOf(url: URL, usual = DEFAULT_LIMIT): number {
  const limit = Number(url.searchParams.get('limit') ?? usual);
  return Number.isInteger(limit) && limit > 0 ? Math.min(limit, MAX_LIMIT) : usual;
}

/** A part of a path; what is no text stays as it is, and names nothing. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function json(value: object): Answer {
  return { status: 200, type: JSON_TYPE, text: JSON.stringify(value) };
}

function problem(status: number, error: string): Answer {
  return { status, type: JSON_TYPE, text: JSON.stringify({ error }) };
}

function streamed(stream: NonNullable<Answer['stream']>): Answer {
  return { status: 200, type: STREAM_HEADERS['content-type'], text: '', stream };
}
