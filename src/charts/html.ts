/** HTML and SVG from data that nobody has checked: every value is escaped that is not `Html`. */
import { printableLines } from '../base/printable.ts';

/** Text that is HTML already. Only `markup` makes it. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** What may stand in a template; `undefined` and `false` leave nothing behind. */
export type HtmlValue = string | number | Html | undefined | false | readonly HtmlValue[];

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['&', '&amp;'],
  ['<', '&lt;'],
  ['>', '&gt;'],
  ['"', '&quot;'],
  ["'", '&#39;'],
]);

/** HTML in which every value of the template is text, in content and in quoted attributes alike. */
export function markup(strings: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  return new Html(strings.map((part, index) => part + textOf(values[index])).join(''));
}

function textOf(value: HtmlValue): string {
  if (value === undefined || value === false) return '';
  if (value instanceof Html) return value.text;
  if (typeof value === 'string') return escapeHtml(value);
  return typeof value === 'number' ? escapeHtml(String(value)) : value.map(textOf).join('');
}

function escapeHtml(text: string): string {
  return printableLines(text).replaceAll(
    /[&<>"']/g,
    (character) => ESCAPES.get(character) ?? character,
  );
}

/** Rows of a table under one heading each. */
export interface TableContent {
  readonly caption?: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly HtmlValue[])[];
  /** Columns whose cells stand to the right, by index. */
  readonly numeric?: readonly number[];
}

/**
 * A table that scrolls on its own where the page is narrow; the first cell of a row is its heading.
 */
export function table({ caption, columns, rows, numeric = [] }: TableContent): Html {
  const isNumeric = new Set(numeric);
  const classOf = (index: number): string => (isNumeric.has(index) ? 'number' : '');
  const headings = columns.map(
    (name, index) => markup`<th scope="col" class="${classOf(index)}">${name}</th>`,
  );
  const cellOf = (cell: HtmlValue, index: number): Html =>
    index === 0
      ? markup`<th scope="row">${cell}</th>`
      : markup`<td class="${classOf(index)}">${cell}</td>`;
  const lines = rows.map((cells) => markup`<tr>${cells.map(cellOf)}</tr>\n`);
  const name = caption ?? columns.join(', ');
  const title = caption !== undefined && markup`<caption>${caption}</caption>\n`;
  return markup`<div class="scroll" tabindex="0" role="region" aria-label="${name}"><table>
${title}<thead><tr>${headings}</tr></thead>
<tbody>
${lines}</tbody></table></div>
`;
}

/** Names and values, one pair a row. */
export function definitions(pairs: readonly (readonly [string, HtmlValue])[]): Html {
  return markup`<dl>
${pairs.map(([name, value]) => markup`<div><dt>${name}</dt><dd>${value}</dd></div>\n`)}</dl>
`;
}

/** What a colour says of a word or a number. */
export type Tone = 'good' | 'warn' | 'bad' | 'neutral';

/** A word in a coloured frame; the word says all that the colour does. */
export function badge(tone: Tone, text: string): Html {
  return markup`<span class="badge ${tone}">${text}</span>`;
}

/** One figure that is read first. */
export interface Card {
  readonly name: string;
  readonly value: string;
  readonly note?: string | undefined;
  readonly tone?: Tone | undefined;
}

/** Cards in a grid. */
export function cards(all: readonly Card[]): Html {
  const items = all.map(({ name, value, note, tone }) => {
    const small = note !== undefined && markup`<span class="note">${note}</span>`;
    const content = markup`<span class="name">${name}</span> <strong>${value}</strong> ${small}`;
    return markup`<li class="card ${tone ?? 'neutral'}">${content}</li>\n`;
  });
  return markup`<ul class="cards">
${items}</ul>
`;
}

/** Part of a page under a heading. */
export function section(title: string, ...content: readonly HtmlValue[]): Html {
  return markup`<section><h2>${title}</h2>
${content}</section>
`;
}

const MILLION = 1e6;

/** A number for people: four significant digits, thousands apart; `NaN` and infinities by name. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e3 * MILLION)) return value.toExponential(3);
  const text = size >= 1e3 ? String(Math.round(value)) : String(Number(value.toPrecision(4)));
  // Not toLocaleString: loading the language data takes 100 ms.
  return size >= 1e3 ? text.replaceAll(/\B(?=(\d{3})+$)/g, ',') : text;
}

/** Any value of a JSON file as text. */
export function formatValue(value: unknown): string {
  if (value === null || value === undefined) return '–';
  if (typeof value === 'number')
    return Number.isInteger(value) ? String(value) : formatNumber(value);
  return typeof value === 'string' ? value : JSON.stringify(value);
}
