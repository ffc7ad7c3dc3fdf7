/** PDF by way of a browser of the Chromium family, if this machine has one. */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  accessSync,
  constants,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, isAbsolute, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ConfigError, RuntimeError } from '../../base/errors.ts';

/** Names of the programs that can print, in the order of preference. */
const BROWSERS = [
  'chromium',
  'chromium-browser',
  'google-chrome',
  'google-chrome-stable',
  'chrome',
  'microsoft-edge',
  'chrome-headless-shell',
];
/** Where macOS keeps them. */
const APPLICATIONS = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
];
const TIMEOUT_MS = 60_000;
const MAX_STDERR_CHARACTERS = 4_000;

/**
 * The path of the browser to print with: of `backend`, a name or a path, or with `auto` of the
 * first one found.
 *
 * `searchPath` is the environment's PATH.
 * Throws: ConfigError, which tells how to get one.
 */
export function findBrowser(backend: string, searchPath: string): string {
  const wanted = backend === 'auto' ? BROWSERS : [backend];
  const folders = searchPath.split(delimiter).filter((folder) => isAbsolute(folder));
  for (const name of wanted) {
    const places = name.includes('/')
      ? [resolve(name)]
      : folders.map((folder) => join(folder, name));
    const found = places.find(isProgram);
    if (found !== undefined) return found;
  }
  const application = backend === 'auto' ? APPLICATIONS.find(existsSync) : undefined;
  if (application !== undefined) return application;
  const what =
    backend === 'auto'
      ? 'a PDF is printed by Chromium or Chrome, and there is none in PATH'
      : `--pdf-backend ${backend}: there is no such program`;
  throw new ConfigError(
    `${what}. Install one (Debian and Ubuntu: apt-get install chromium), give its path with ` +
      '--pdf-backend, or use lockstep report html, whose file every browser can print.',
  );
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false; // Not being there is the answer.
  }
}

/** A page as PDF; undefined when interrupted. Throws: RuntimeError with the browser's own words. */
export async function printPdf(
  browser: string,
  page: string,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-pdf-'));
  try {
    const [source, target] = [join(folder, 'report.html'), join(folder, 'report.pdf')];
    writeFileSync(source, page);
    const failure = await runBrowser(browser, argumentsOf(folder, source, target), signal);
    if (signal.aborted) return undefined;
    if (failure !== undefined || !existsSync(target))
      throw new RuntimeError(
        `printing with ${browser}: it ${failure ?? 'wrote no file'}. lockstep report html ` +
          'needs no browser.',
      );
    const pdf = readFileSync(target);
    if (pdf.subarray(0, 5).toString('latin1') !== '%PDF-')
      throw new RuntimeError(`printing with ${browser}: it wrote something else than a PDF`);
    return pdf;
  } finally {
    // Processes of the browser that are ending may still write into their profile.
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}

function argumentsOf(folder: string, source: string, target: string): string[] {
  return [
    '--headless',
    '--disable-gpu',
    '--disable-extensions',
    '--disable-background-networking',
    '--no-first-run',
    '--no-default-browser-check',
    `--user-data-dir=${join(folder, 'profile')}`,
    '--no-pdf-header-footer',
    `--print-to-pdf=${target}`,
    // The browser cannot make its sandbox as root. The page is ours: it holds no program and loads
    // nothing.
    ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
    pathToFileURL(source).href,
  ];
}

/**
 * Why it did not end well, in words that follow "it"; undefined when it did, or was interrupted.
 */
async function runBrowser(
  browser: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<string | undefined> {
  if (signal.aborted) return undefined;
  // A group of its own: the browser starts processes, and all of them are ended together.
  const child = spawn(browser, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
    windowsHide: true,
  });
  let words = '';
  child.stderr
    .setEncoding('utf8')
    .on('data', (text: string) => (words = (words + text).slice(-MAX_STDERR_CHARACTERS)));
  const kill = (): void => killGroup(child);
  process.once('exit', kill);
  signal.addEventListener('abort', kill);
  let hangs = false;
  const timer = setTimeout(() => {
    hangs = true;
    kill();
  }, TIMEOUT_MS);
  try {
    return await new Promise<string | undefined>((done) => {
      child.once('error', (error) => done(`could not be started: ${error.message}`));
      child.once('exit', (status, ending) => {
        if (hangs) done(`did not finish within ${TIMEOUT_MS / 1000} s`);
        else
          done(
            status === 0
              ? undefined
              : `failed (${ending ?? `exit code ${status}`}): ${words.trim()}`,
          );
      });
    });
  } finally {
    clearTimeout(timer);
    kill();
    signal.removeEventListener('abort', kill);
    process.removeListener('exit', kill);
  }
}

/** Ends a process and all that it has started. */
function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // All of them have ended.
  }
}
