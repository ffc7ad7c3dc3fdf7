/**
 * A real browser without a window, which a test drives over a pipe in the words of the Chrome
 * DevTools Protocol. Whatever a page complains of, and whatever it asks for, is kept.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex, Readable } from 'node:stream';
import { waitFor } from './cluster/processes.ts';
import type { Owner } from './cluster/owner.ts';

const BROWSERS = ['/usr/bin/chromium', '/usr/bin/google-chrome'];
const ANSWER_MS = 30_000;

/** Why tests with a browser are skipped; false when there is one. */
export const NO_BROWSER: string | false = BROWSERS.some((path) => existsSync(path))
  ? false
  : 'no Chromium is installed';

type Parameters = Readonly<Record<string, unknown>>;

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Parameters;
  readonly result?: Parameters;
  readonly error?: { readonly message: string };
  readonly sessionId?: string;
}

/** A page that is open. */
export class BrowserPage {
  /** Lines on the console that are errors or warnings, exceptions, violations of policies. */
  readonly complaints: string[] = [];
  /** Addresses that were asked for. */
  readonly requests: string[] = [];
  readonly #ask: (method: string, params?: Parameters) => Promise<Parameters>;

  constructor(ask: (method: string, params?: Parameters) => Promise<Parameters>) {
    this.#ask = ask;
  }

  /** Goes to an address. */
  async open(address: string): Promise<void> {
    await this.#ask('Page.navigate', { url: address });
  }

  /** What an expression, or a promise of it, comes to on the page, as JSON has it. */
  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = (await this.#ask('Runtime.evaluate', {
      ...{ expression, awaitPromise: true, returnByValue: true },
    })) as { result: { value: T }; exceptionDetails?: { exception?: { description?: string } } };
    assert.equal(exceptionDetails, undefined, exceptionDetails?.exception?.description);
    return result.value;
  }

  /** Waits until an expression comes to something that is true. */
  async until(what: string, expression: string, deadlineMs = 20_000): Promise<void> {
    const untilMs = performance.now() + deadlineMs;
    while (!(await this.evaluate<boolean>(`Boolean(${expression})`))) {
      if (performance.now() > untilMs)
        assert.fail(
          `waited for ${what}; the page: ${await this.evaluate<string>('document.body.innerText')}`,
        );
      await new Promise((later) => setTimeout(later, 20));
    }
  }

  /** Shows the page as wide as that, on a light or dark ground. */
  async show(width: number, height: number, scheme: 'light' | 'dark'): Promise<void> {
    await this.#ask('Emulation.setDeviceMetricsOverride', {
      ...{ width, height, deviceScaleFactor: 1, mobile: width < 500 },
    });
    await this.#ask('Emulation.setEmulatedMedia', {
      features: [{ name: 'prefers-color-scheme', value: scheme }],
    });
  }

  /** A picture of the page, as PNG. */
  async picture(isWhole = false): Promise<Buffer> {
    const { data } = await this.#ask('Page.captureScreenshot', {
      ...{ format: 'png', captureBeyondViewport: isWhole },
    });
    return Buffer.from(String(data), 'base64');
  }

  /** Keeps what the browser tells of the page. */
  hear({ method, params = {} }: Message): void {
    if (method === 'Network.requestWillBeSent')
      this.requests.push((params as { request: { url: string } }).request.url);
    const told = COMPLAINTS[method ?? '']?.(params);
    if (told !== undefined) this.complaints.push(told);
  }
}

const COMPLAINTS: Readonly<Record<string, (params: Parameters) => string | undefined>> = {
  'Runtime.exceptionThrown': (params) => JSON.stringify(params),
  'Runtime.consoleAPICalled': (params) =>
    params['type'] === 'error' || params['type'] === 'warning' ? JSON.stringify(params) : undefined,
  'Log.entryAdded': ({ entry }) => {
    const { level, text, url } = entry as { level: string; text: string; url?: string };
    return level === 'error' || level === 'warning' ? `${text} ${url ?? ''}` : undefined;
  },
};

/** Starts a browser that ends with its owner, and opens an empty page. */
export async function openBrowser(t: Owner): Promise<BrowserPage> {
  const profile = mkdtempSync(join(tmpdir(), 'lockstep-browser-'));
  const child = spawn(
    BROWSERS.find((path) => existsSync(path)) ?? '',
    [
      ...['--headless', '--disable-gpu', '--remote-debugging-pipe', '--no-first-run'],
      ...['--hide-scrollbars', `--user-data-dir=${profile}`],
      ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
    ],
    { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] },
  );
  let isOver = false;
  child.once('close', () => (isOver = true));
  t.after(async () => {
    child.kill('SIGKILL');
    await waitFor('the end of the browser', () => isOver);
    rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
  });
  const [output, input] = [child.stdio[3] as Duplex, child.stdio[4] as Readable];
  // A browser that is killed at the end has not read everything.
  output.on('error', () => {});
  const waiting = new Map<number, (message: Message) => void>();
  const pages = new Map<string, BrowserPage>();
  let count = 0;
  const ask = async (
    method: string,
    params: Parameters,
    sessionId?: string,
  ): Promise<Parameters> => {
    const id = ++count;
    output.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    const answer = await new Promise<Message>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no answer to ${method}`)), ANSWER_MS);
      waiting.set(id, (message) => {
        clearTimeout(timer);
        resolve(message);
      });
    });
    assert.equal(answer.error, undefined, `${method}: ${answer.error?.message}`);
    return answer.result ?? {};
  };
  let rest = '';
  input.setEncoding('utf8').on('data', (text: string) => {
    const messages = (rest + text).split('\0');
    rest = messages.pop() ?? '';
    for (const one of messages) {
      const message = JSON.parse(one) as Message;
      if (message.id === undefined) pages.get(message.sessionId ?? '')?.hear(message);
      else waiting.get(message.id)?.(message);
      waiting.delete(message.id ?? 0);
    }
  });
  const { targetId } = await ask('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await ask('Target.attachToTarget', { targetId, flatten: true });
  const session = String(sessionId);
  const page = new BrowserPage(async (method, params = {}) => ask(method, params, session));
  pages.set(session, page);
  for (const part of ['Page', 'Runtime', 'Log', 'Network'])
    await ask(`${part}.enable`, {}, session);
  return page;
}
