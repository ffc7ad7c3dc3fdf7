/** A drawing that fits its place, in the colours of the page. */
import { element } from './dom.ts';

/** What is drawn with: sizes are in pixels of the page. */
export interface Drawing {
  readonly pen: CanvasRenderingContext2D;
  readonly width: number;
  readonly height: number;
  readonly colour: (name: string) => string;
}

/** A canvas of a fixed height with a text for those who do not see it. */
export class Canvas {
  readonly root: HTMLCanvasElement;
  readonly #height: number;

  constructor(height: number, isInteractive = false) {
    this.#height = height;
    const tabindex = isInteractive ? 0 : undefined;
    this.root = element('canvas', { role: 'img', 'aria-label': 'not drawn yet', tabindex });
    this.root.style.height = `${height}px`;
  }

  /** Clears the canvas and gives what to draw with; undefined while it is not shown. */
  begin(label: string): Drawing | undefined {
    const { root } = this;
    const width = root.clientWidth;
    if (width === 0) return undefined;
    const scale = window.devicePixelRatio;
    const height = this.#height;
    const [columns, rows] = [Math.round(width * scale), Math.round(height * scale)];
    if (root.width !== columns) root.width = columns;
    if (root.height !== rows) root.height = rows;
    const pen = root.getContext('2d');
    if (pen === null) return undefined;
    if (root.getAttribute('aria-label') !== label) root.setAttribute('aria-label', label);
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = '12px system-ui, "DejaVu Sans", sans-serif';
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string): string => style.getPropertyValue(`--${name}`).trim();
    return { pen, width, height, colour };
  }
}
