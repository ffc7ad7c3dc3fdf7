/** The frame of every page: one file that loads and runs nothing, in light, dark and on paper. */
import { VERSION } from '../../launch/software.ts';
import { Html, type HtmlValue, markup } from '../../charts/html.ts';
import { PAGE_STYLE } from './page-style.ts';

/** What a page shows from top to bottom. */
export interface Page {
  readonly title: string;
  /** Under the title: what, how much, when. */
  readonly facts: readonly string[];
  /** Beside the title, mostly a badge. */
  readonly verdict?: HtmlValue;
  readonly body: HtmlValue;
}

/** Gives the page as text. Its policy forbids scripts and every load, whatever a result holds. */
export function renderPage({ title, facts, verdict, body }: Page): string {
  const policy =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
  const page = markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="lockstep ${VERSION}">
<title>${title}</title>
<style>${new Html(PAGE_STYLE)}</style>
</head>
<body>
<header><h1>${title}</h1><div>${verdict}</div><p>${facts.join(' · ')}</p></header>
<main>
${body}</main>
<footer>Written by Lockstep ${VERSION}. This file loads nothing and runs nothing.</footer>
</body>
</html>
`;
  return page.text;
}
