/** How the dashboard looks. Colours are those of the reports. */
import { DARK_COLOURS, LIGHT_COLOURS } from '../charts/colours.ts';

/** The style sheet of the page. */
export const PAGE_STYLE: string = `
:root { color-scheme: light dark; ${LIGHT_COLOURS} }
@media (prefers-color-scheme: dark) { :root { ${DARK_COLOURS} } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
.page { max-width: 1240px; margin: 0 auto; padding: 0 20px 32px; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: 6px 14px; padding: 16px 0 8px; }
h1 { font-size: 19px; margin: 0; overflow-wrap: anywhere; min-width: 0; }
h1 small { font-weight: 400; color: var(--faint); margin-right: 8px; font-size: 15px; }
h2 { font-size: 15px; margin: 0 0 8px; }
header .link { margin-left: auto; color: var(--faint); font-size: 13px; }
nav { display: flex; gap: 2px; overflow-x: auto; border-bottom: 1px solid var(--line);
  margin-bottom: 16px; scrollbar-width: none; }
nav a { padding: 8px 12px; color: var(--faint); text-decoration: none; white-space: nowrap;
  border-bottom: 2px solid transparent; }
nav a:hover { color: var(--ink); }
nav a[aria-current] { color: var(--ink); border-color: var(--c0); font-weight: 600; }
.badge { display: inline-block; padding: 1px 10px; border-radius: 999px; font-size: 13px;
  font-weight: 600; background: var(--grid); color: var(--faint); white-space: nowrap; }
.badge.good { background: var(--good-ground); color: var(--good); }
.badge.warn { background: var(--warn-ground); color: var(--warn); white-space: normal; }
.badge.bad { background: var(--bad-ground); color: var(--bad); }
.panel { background: var(--panel); border: 1px solid var(--line); border-radius: 8px;
  padding: 14px 16px; margin-bottom: 16px; min-width: 0; }
.two { display: grid; gap: 16px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); }
.two > * { margin-bottom: 0; } .two { margin-bottom: 16px; }
.answers { display: grid; gap: 12px 24px; margin: 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); }
.answers dt { color: var(--faint); font-size: 13px; }
.answers dd { margin: 2px 0 0; font-size: 17px; font-weight: 600; line-height: 1.3;
  overflow-wrap: anywhere; padding-left: 10px; border-left: 4px solid var(--line); }
.answers dd.good { border-color: var(--good); } .answers dd.warn { border-color: var(--warn);
  color: var(--warn); }
.answers dd.bad { border-color: var(--bad); color: var(--bad); }
.progress { height: 8px; border-radius: 4px; background: var(--grid); margin: 14px 0 0;
  overflow: hidden; }
.progress i { display: block; height: 100%; background: var(--c0); border-radius: 4px; }
.figures { display: grid; gap: 12px; margin: 14px 0 0;
  grid-template-columns: repeat(auto-fit, minmax(118px, 1fr)); }
.figures div { min-width: 0; }
.figures dt { color: var(--faint); font-size: 13px; }
.figures dd { margin: 0; font-size: 19px; font-weight: 600; font-variant-numeric: tabular-nums; }
.workers { list-style: none; margin: 0 0 16px; padding: 0; display: grid; gap: 12px;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 265px), 1fr)); }
.worker { background: var(--panel); border: 1px solid var(--line);
  border-left: 5px solid var(--good);
  border-radius: 8px; padding: 12px 14px; min-width: 0; }
.worker.warn { border-left-color: var(--warn); } .worker.plain { border-left-color: var(--line); }
.worker.bad { border-color: var(--bad); border-left-color: var(--bad);
  background: var(--bad-ground); }
.worker h3 { margin: 0; font-size: 15px; display: flex; justify-content: space-between; gap: 8px; }
.worker p { margin: 2px 0; font-size: 13px; color: var(--faint); overflow-wrap: anywhere; }
.worker.bad p { color: var(--bad); }
.worker .row { display: flex; justify-content: space-between; gap: 8px; font-size: 13px;
  font-variant-numeric: tabular-nums; color: var(--ink); margin-top: 6px; }
.split { display: flex; height: 10px; border-radius: 3px; overflow: hidden;
  background: var(--grid); margin-top: 6px; }
.split i { display: block; height: 100%; }
.compute { background: var(--c0); } .communicate { background: var(--c1); }
.wait { background: var(--c7); }
.other { background: var(--c3); }
.legend { display: flex; flex-wrap: wrap; gap: 2px 14px; font-size: 13px; color: var(--faint);
  list-style: none; margin: 0 0 6px; padding: 0; }
.legend i { display: inline-block; width: 12px; height: 10px; border-radius: 2px;
  margin-right: 5px; }
canvas { display: block; width: 100%; }
.tools { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; margin-bottom: 8px;
  font-size: 13px; }
button, select, input { font: inherit; font-size: 14px; color: var(--ink); background: var(--panel);
  border: 1px solid var(--line); border-radius: 6px; padding: 4px 10px; min-height: 30px; }
button { cursor: pointer; } button:hover { border-color: var(--c0); }
.log { list-style: none; margin: 0; padding: 0; font: 13px/1.5 ui-monospace, "SF Mono", Consolas,
  "DejaVu Sans Mono", monospace; }
.log li { display: grid; grid-template-columns: 76px 1fr; gap: 8px; padding: 3px 0;
  border-top: 1px solid var(--grid); overflow-wrap: anywhere; }
.log li:first-child { border-top: 0; } .log time { color: var(--faint); }
.log .good span { color: var(--good); } .log .warn span { color: var(--warn); }
.log .bad span { color: var(--bad); }
.marks { list-style: none; margin: 6px 0 0; padding: 0; font-size: 13px; display: flex;
  flex-wrap: wrap; gap: 2px 16px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px;
  font-variant-numeric: tabular-nums; }
tbody th { min-width: 170px; }
th, td { text-align: left; padding: 6px 10px; border-top: 1px solid var(--grid); }
thead th { border-top: 0; color: var(--faint); font-weight: 600; font-size: 13px;
  white-space: nowrap; }
.number { text-align: right; white-space: nowrap; }
pre { margin: 0; font: 12px/1.5 ui-monospace, "SF Mono", Consolas, "DejaVu Sans Mono", monospace;
  white-space: pre-wrap; overflow-wrap: anywhere; max-height: 65vh; overflow-y: auto; }
.faint { color: var(--faint); font-size: 13px; margin: 6px 0 0; }
.told { min-height: 1.45em; font-variant-numeric: tabular-nums; }
a { color: var(--c0); }
:focus-visible { outline: 2px solid var(--c0); outline-offset: 2px; }
@media (max-width: 520px) { .page { padding: 0 12px 24px; } nav a { padding: 8px 9px; }
  .log li { grid-template-columns: 1fr; gap: 0; }
  .figures { grid-template-columns: repeat(2, 1fr); }
  header .link { margin-left: 0; } }
@media (prefers-reduced-motion: no-preference) { .progress i { transition: width 0.2s linear; } }
`;
