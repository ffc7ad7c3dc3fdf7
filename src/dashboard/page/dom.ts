/** Elements from data: every text is text. */

/** What an element can hold. */
export type Child = Node | string | number | undefined | false | readonly Child[];

/** Makes an element with attributes; `class` and listeners (`onclick`) among them. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<
    Record<string, string | number | boolean | ((event: Event) => void) | undefined>
  > = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (typeof value === 'function') made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? '' : String(value));
  }
  append(made, children);
  return made;
}

function append(parent: HTMLElement, children: readonly Child[]): void {
  for (const child of children) {
    if (child === undefined || child === false) continue;
    if (typeof child === 'string' || typeof child === 'number') parent.append(String(child));
    else if (child instanceof Node) parent.append(child);
    else append(parent, child);
  }
}

/** Puts a text into an element, if it is another than before: nothing moves for nothing. */
export function setText(target: Node, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

/** Gives an element a class, if it has another. */
export function setClass(target: Element, name: string): void {
  if (target.className !== name) target.className = name;
}

/** A panel with a heading. */
export function panel(title: string, ...children: readonly Child[]): HTMLElement {
  return element('section', { class: 'panel' }, element('h2', {}, title), ...children);
}

/** A part of the page that is drawn anew whenever something has changed. */
export interface Pane {
  readonly root: HTMLElement;
  /** Draws what is there now. */
  draw(): void;
  /** Ends what goes on beside it. */
  close?(): void;
}
