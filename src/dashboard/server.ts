/**
 * The web server of a dashboard. Methods and paths that it knows are in one list; nothing that it
 * can be asked for changes anything, but for the cookie of who comes with a link.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { messageOf } from '../base/errors.ts';
import { cannotListen } from '../transport/system-errors.ts';
import { answerOf, type Answer, type RouteContext } from './routes.ts';
import { Gate } from './gate.ts';
import { loadPage, type PageFile } from './page-files.ts';
import type { RunLibrary } from './run-library.ts';

/** Nobody but this machine: others come by `ssh -L`, which encrypts and asks who they are. */
const HOST = '127.0.0.1';
/** The first port that is tried when none is asked for, and how many after it. */
const FIRST_PORT = 3000;
const TRIED_PORTS = 50;
const MAX_CONNECTIONS = 64;
const MAX_HEADER_BYTES = 8 << 10;
const MAX_BODY_BYTES = 1 << 10;
const HEADERS_MS = 5_000;
const REQUEST_MS = 10_000;
/** Connections that are open for longer, as it closes, are cut. */
const CLOSING_MS = 500;

/** Nothing from elsewhere, nothing inline, no frame around it, and nothing remembered by others. */
const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
    "require-trusted-types-for 'script'; trusted-types 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
} as const;

/** Where a dashboard listens, and for whom. */
export interface DashboardOptions {
  readonly library: RunLibrary;
  /** The run that the page opens with; undefined: the table of all. */
  readonly first: string | undefined;
  /** Undefined: 3000, or the next that is free. */
  readonly port: number | undefined;
  /** The flag that asked for the port, for messages. */
  readonly flag: string;
  /** Opens for programs of this user; undefined: for none. */
  readonly userKey: string | undefined;
  /** Told every link that lets one browser in: the first, and another when one was used. */
  readonly onLink: (link: string) => void;
}

/** A dashboard that is open. */
export interface Dashboard {
  readonly port: number;
  /** Ends all connections, once browsers have what they were told last. */
  close(): Promise<void>;
}

/** Opens a dashboard. Throws PeerLostError when the port cannot be had. */
export async function openDashboard(options: DashboardOptions): Promise<Dashboard> {
  const page = loadPage();
  const server = createServer({
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: HEADERS_MS,
    requestTimeout: REQUEST_MS,
  });
  server.maxConnections = MAX_CONNECTIONS;
  const port = await listen(server, options);
  const { library, first } = options;
  const gate = new Gate(port, options.userKey);
  const tellLink = (): void => options.onLink(`http://${HOST}:${port}/#key=${gate.newLinkKey()}`);
  const context: RouteContext = { library, first, gate, onEntered: tellLink };
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    respond(request, response, page, context).catch((error: unknown) => {
      if (response.headersSent) response.destroy();
      else sendText(response, 500, messageOf(error));
    });
  });
  tellLink();
  return {
    port,
    close: async () => {
      library.close();
      // What was told last is still on its way.
      const late = setTimeout(() => server.closeAllConnections(), CLOSING_MS);
      await new Promise<void>((done) => server.close(() => done()));
      clearTimeout(late);
    },
  };
}

async function listen(server: Server, { port, flag }: DashboardOptions): Promise<number> {
  const first = port ?? FIRST_PORT;
  const last = port ?? FIRST_PORT + TRIED_PORTS;
  for (let tried = first; ; tried++) {
    try {
      return await listenOn(server, tried);
    } catch (error) {
      const problem = error as Error & { code?: string };
      if (problem.code !== 'EADDRINUSE' || tried >= last)
        throw cannotListen(problem, { host: HOST, port: tried }, flag);
    }
  }
}

async function listenOn(server: Server, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: HOST, port, exclusive: true }, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
  return (server.address() as { port: number }).port;
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  page: ReadonlyMap<string, PageFile>,
  context: RouteContext,
): Promise<void> {
  const { method = '', headers } = request;
  for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
  const target = request.url ?? '/';
  if (!target.startsWith('/')) return sendText(response, 400, 'this is no path');
  // A path is never a host: what begins with two strokes is none of ours.
  const url = new URL(`http://dashboard${target}`);
  const refusal = context.gate.refuse(method, url.pathname, headers);
  if (refusal !== undefined) return sendText(response, refusal.status, refusal.reason);
  const isReading = method === 'GET' || method === 'HEAD';
  const file = isReading ? page.get(url.pathname) : undefined;
  if (file !== undefined) return sendFile(request, response, file);
  const body = isReading ? '' : await readBody(request);
  if (body === undefined) return sendText(response, 413, 'this is too long');
  send(response, method, await answerOf({ request, method, url, body }, context), request);
}

function send(
  response: ServerResponse,
  method: string,
  answer: Answer,
  request: IncomingMessage,
): void {
  const { status, type, text, headers = {}, stream } = answer;
  response.writeHead(status, { 'cache-control': 'no-store', 'content-type': type, ...headers });
  if (stream === undefined || method === 'HEAD') response.end(method === 'HEAD' ? '' : text);
  else stream(request, response);
}

function sendText(response: ServerResponse, status: number, text: string): void {
  // What is left of the request is not read.
  response.setHeader('connection', 'close');
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' });
  response.end(`${text}\n`);
}

function sendFile(
  { method, headers }: IncomingMessage,
  response: ServerResponse,
  { type, body, packed, etag }: PageFile,
): void {
  const isPacked = /\bgzip\b/.test(headers['accept-encoding'] ?? '');
  const isKnown = headers['if-none-match'] === etag;
  const content = isPacked ? packed : body;
  response.writeHead(isKnown ? 304 : 200, {
    'content-type': type,
    'cache-control': 'no-cache',
    vary: 'accept-encoding',
    etag,
    ...(isPacked && { 'content-encoding': 'gzip' }),
    ...(!isKnown && { 'content-length': content.length }),
  });
  response.end(isKnown || method === 'HEAD' ? undefined : content);
}

/** The body of a request; undefined when it is too long. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) {
    text += String(chunk);
    if (text.length > MAX_BODY_BYTES) return undefined;
  }
  return text;
}
