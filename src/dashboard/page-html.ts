/** The page before its program runs. */
import { markup } from '../charts/html.ts';

/** The picture of the tab. */
export const FAVICON: string =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" ' +
  'rx="3" fill="#2563c9"/><path d="M3 11h3V5h3v6h4" fill="none" stroke="#fff" ' +
  'stroke-width="2"/></svg>';

/** The page, which names its modules so that a browser gets all of them at once. */
export function indexHtml(modules: readonly string[]): string {
  const [main = '', ...others] = modules;
  const links = others.map((path) => markup`<link rel="modulepreload" href="${path}">\n`);
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Lockstep</title>
<link rel="icon" href="favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="style.css">
${links}<script type="module" src="${main}"></script>
</head>
<body>
<noscript>This page needs JavaScript. In a terminal there is: lockstep watch</noscript>
</body>
</html>
`.text;
}
