/** How pages look: colours for light and dark, and on paper. Long rules go on behind a `\`. */
import { DARK_COLOURS, LIGHT_COLOURS } from '../../charts/colours.ts';

/** A line and a filled shape for every series of a chart. */
const SERIES = Array.from(
  { length: 8 },
  (_, i) => `svg .s${i} { stroke: var(--c${i}); } svg .f${i} { fill: var(--c${i}); }`,
).join('\n');

/** The style sheet of every page. */
export const PAGE_STYLE: string = `
:root { color-scheme: light dark; ${LIGHT_COLOURS} }
@media (prefers-color-scheme: dark) { :root { ${DARK_COLOURS} } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main, header, footer { max-width: 1120px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 32px; display: flex; flex-wrap: wrap; gap: 8px 16px; align-items: center; \
justify-content: space-between; }
header p { flex-basis: 100%; max-width: none; margin: 0; color: var(--faint); \
overflow-wrap: anywhere; }
h1 { font-size: 26px; line-height: 1.25; margin: 0; letter-spacing: -0.01em; \
overflow-wrap: anywhere; min-width: 0; }
h2 { font-size: 18px; margin: 36px 0 12px; }
h3 { font-size: 15px; margin: 0 0 4px; overflow-wrap: anywhere; }
p { max-width: 75ch; }
code, .code { font: 13px/1.5 ui-monospace, "SF Mono", Consolas, "DejaVu Sans Mono", monospace; \
overflow-wrap: anywhere; }
footer { margin-top: 40px; padding-bottom: 32px; color: var(--faint); font-size: 13px; }
.badge { display: inline-block; padding: 2px 10px; border-radius: 999px; font-size: 13px; \
font-weight: 600;
  background: var(--grid); color: var(--faint); overflow-wrap: anywhere; }
.badge.good { background: var(--good-ground); color: var(--good); }
.badge.warn { background: var(--warn-ground); color: var(--warn); }
.badge.bad { background: var(--bad-ground); color: var(--bad); }
.cards { list-style: none; padding: 0; margin: 24px 0 0; display: grid; gap: 12px;
  grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); }
.card { background: var(--panel); border: 1px solid var(--line); \
border-left: 4px solid var(--line); border-radius: 8px; padding: 12px 14px; }
.card.good { border-left-color: var(--good); } .card.warn { border-left-color: var(--warn); } \
.card.bad { border-left-color: var(--bad); }
.card .name, .card .note { display: block; color: var(--faint); font-size: 13px; }
.card strong { display: block; font-size: 22px; line-height: 1.3; \
font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.pair { display: grid; gap: 16px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), \
1fr)); }
figure, .panel { margin: 0; background: var(--panel); border: 1px solid var(--line); \
border-radius: 8px; padding: 14px 16px; min-width: 0; }
figure + figure, .panel + .panel, figure + .panel, .panel + figure { margin-top: 16px; }
.pair > figure, .pair > .panel { margin-top: 0; }
figcaption { color: var(--faint); font-size: 13px; }
svg { display: block; width: 100%; height: auto; margin-top: 6px; overflow: visible; }
svg text { fill: var(--faint); font-size: 12px; font-variant-numeric: tabular-nums; }
svg .strong { fill: var(--ink); }
svg .grid { stroke: var(--grid); } svg .axis { stroke: var(--line); }
svg .line { fill: none; stroke-linejoin: round; stroke-linecap: round; }
svg .mark { stroke: var(--bad); stroke-width: 1.5; stroke-dasharray: 4 3; } \
svg .mark-text { fill: var(--bad); font-weight: 600; }
svg .hit { fill: transparent; } svg .hit:hover { fill: var(--ink); fill-opacity: 0.07; }
svg .span { stroke-width: 6; stroke-linecap: round; stroke-opacity: 0.55; } \
svg .span.good, svg .end.good { stroke: var(--good); } svg .span.bad { stroke: var(--bad); }
svg .start { fill: var(--c1); } svg .end { fill: var(--panel); stroke-width: 3; } \
svg text.good { fill: var(--good); } svg text.bad { fill: var(--bad); }
svg .on-high { fill: var(--panel); }
svg .straggler { fill: none; stroke: var(--bad); stroke-width: 3; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 2px 16px; padding: 0; \
margin: 6px 0 0; font-size: 13px; }
.legend li { overflow-wrap: anywhere; } .legend svg { display: inline-block; width: 22px; \
height: 10px; margin: 0 6px 0 0; }
${SERIES}
.scroll { overflow-x: auto; background: var(--panel); border: 1px solid var(--line); \
border-radius: 8px; }
.scroll + .scroll { margin-top: 16px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; \
font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: 10px 14px 4px; color: var(--faint); font-size: 13px; }
th, td { text-align: left; padding: 6px 14px; border-top: 1px solid var(--grid); \
vertical-align: top; }
thead th { border-top: 0; color: var(--faint); font-weight: 600; font-size: 13px; \
white-space: nowrap; }
tbody th { font-weight: 500; } td, tbody th { overflow-wrap: break-word; } \
table .badge { white-space: nowrap; } .reason { display: block; overflow-wrap: anywhere; \
max-width: 460px; color: var(--faint); font-size: 13px; font-weight: 400; min-width: 260px; } \
.number { text-align: right; white-space: nowrap; }
.differs { background: var(--warn-ground); color: var(--warn); border-radius: 4px; padding: 0 6px; }
.names { margin: 0; padding: 0 0 0 18px; columns: 2 380px; font-size: 14px; }
dl { margin: 0; font-size: 14px; }
dl div { display: grid; grid-template-columns: minmax(150px, 46%) 1fr; gap: 12px; padding: 5px 0; \
border-top: 1px solid var(--grid); }
dl div:first-child { border-top: 0; } dt { color: var(--faint); } dd { margin: 0; \
overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
dt { overflow-wrap: anywhere; } .prose { columns: 2 420px; column-gap: 32px; } \
.prose p { margin: 0 0 10px; break-inside: avoid; }
.pair + .panel, .scroll + .panel { margin-top: 16px; } .advice { margin: 0; padding-left: 18px; }
details { margin-top: 16px; } summary { cursor: pointer; color: var(--faint); margin-bottom: 8px; }
:focus-visible { outline: 2px solid var(--c0); outline-offset: 2px; }
@media print {
  :root { ${LIGHT_COLOURS} color-scheme: light; }
  @page { size: A4; margin: 14mm; }
  body { background: none; font-size: 12px; print-color-adjust: exact; \
-webkit-print-color-adjust: exact; }
  main, header, footer { padding-left: 0; padding-right: 0; max-width: none; }
  figure, .card, .panel, tr { break-inside: avoid; } h2 { break-after: avoid; } \
.scroll { overflow: visible; }
  .pair { grid-template-columns: 1fr 1fr; } .cards { grid-template-columns: repeat(3, 1fr); } \
details:not([open]) { display: none; }
}`;
