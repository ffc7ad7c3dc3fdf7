/**
 * The page as the build left it: modules that a browser loads as they are, each with what it
 * imports. Everything is read once, and nothing else can be asked for.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join, posix, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { siblingModule } from '../base/module-url.ts';
import { LockstepError } from '../base/errors.ts';
import { FAVICON, indexHtml } from './page-html.ts';
import { PAGE_STYLE } from './page-style.ts';

/** A file of the page. */
export interface PageFile {
  readonly type: string;
  readonly body: Buffer;
  readonly packed: Buffer;
  readonly etag: string;
}

const ENTRY = 'dashboard/page/main.js';
const IMPORT = /\b(?:from|import)\s*['"](\.{1,2}\/[^'"]+\.js)['"]/g;

/** All files of the page by their paths in its address. Throws when it was not built. */
export function loadPage(): ReadonlyMap<string, PageFile> {
  const root = resolve(fileURLToPath(siblingModule(import.meta.url, 'x')), '../..');
  const modules = new Map<string, string>();
  collect(root, ENTRY, modules);
  const files = new Map<string, PageFile>();
  for (const [path, text] of modules) files.set(`/m/${path}`, fileOf('text/javascript', text));
  files.set('/', fileOf('text/html', indexHtml([...modules.keys()].map((path) => `m/${path}`))));
  files.set('/style.css', fileOf('text/css', PAGE_STYLE));
  files.set('/favicon.svg', fileOf('image/svg+xml', FAVICON));
  return files;
}

function collect(root: string, path: string, modules: Map<string, string>): void {
  if (modules.has(path)) return;
  const text = readModule(join(root, ...path.split('/')));
  modules.set(path, text);
  for (const [, target = ''] of text.matchAll(IMPORT))
    collect(root, posix.join(posix.dirname(path), target), modules);
}

function readModule(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new LockstepError(
      'FILE_FAILED',
      `reading the page of the dashboard: there is no ${path.split(sep).join('/')}. Run ` +
        '`npm run build`, or install Lockstep again.',
      {},
      { cause: error },
    );
  }
}

function fileOf(type: string, text: string): PageFile {
  const body = Buffer.from(text);
  const etag = `"${createHash('sha256').update(body).digest('hex').slice(0, 16)}"`;
  const isText = !type.startsWith('image/');
  return {
    type: isText ? `${type}; charset=utf-8` : type,
    ...{ body, packed: gzipSync(body), etag },
  };
}
