/**
 * Records a run of three workers, one of which is killed, and draws it as a picture that plays:
 * docs/images/killed-worker.svg. What stands there was printed, and when.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';

const ROOT = join(import.meta.dirname, '..');
const PICTURE = join(ROOT, 'docs', 'images', 'killed-worker.svg');
const COMMAND = ['train', '--workers', '3', '--name', 'killed'];
const DEADLINE_MS = 180_000;

/** A line on the terminal, with the codes that colour it. */
interface Line {
  readonly ms: number;
  readonly text: string;
}

const FONT_PX = 13;
const LINE_PX = 19;
const COLUMN_PX = 7.83;
const MARGIN_PX = 16;
/** What colour codes mean here: styles by their number. */
const STYLES: Readonly<Record<string, string>> = {
  '1': 'font-weight:bold',
  '2': 'fill:#8b949e',
  '31': 'fill:#ff7b72',
  '32': 'fill:#7ee787',
  '33': 'fill:#e3b341',
  '36': 'fill:#79c0ff',
};
// oxlint-disable-next-line no-control-regex -- colours begin with an escape character
const COLOUR = /\u001B\[(\d+)m/g;

/** Runs the command, kills rank 1 in the second epoch, and gives every line with its time. */
async function record(): Promise<readonly Line[]> {
  const outDir = mkdtempSync(join(tmpdir(), 'lockstep-recording-'));
  const startMs = performance.now();
  const lines: Line[] = [{ ms: 0, text: `$ npx lockstep ${COMMAND.join(' ')}` }];
  const say = (text: string): void => void lines.push({ ms: performance.now() - startMs, text });
  const child = spawn(
    process.execPath,
    [join(ROOT, 'bin/lockstep.js'), ...COMMAND, '--out-dir', outDir],
    {
      env: { ...process.env, FORCE_COLOR: '1' },
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: DEADLINE_MS,
    },
  );
  let victim: number | undefined;
  const read = (coloured: string): void => {
    const text = coloured.replaceAll(`${outDir}/`, 'experiments/');
    say(text);
    const plain = text.replaceAll(COLOUR, '');
    victim ??= Number(/rank 1 joined at step 0: .*, process (\d+)/.exec(plain)?.[1]) || undefined;
    if (!plain.startsWith('epoch 1  ') || victim === undefined) return;
    say(`\u001B[36m$ kill -9 ${victim}\u001B[39m\u001B[2m    in another terminal\u001B[22m`);
    process.kill(victim, 'SIGKILL');
  };
  createInterface({ input: child.stderr }).on('line', read);
  const [status] = (await once(child, 'close')) as [number | null];
  rmSync(outDir, { recursive: true });
  if (status !== 0) throw new Error(`the run ended with ${status}`);
  return lines;
}

/** The lines as a picture in which each appears when it did; without motion all of them stand. */
function draw(lines: readonly Line[]): string {
  const columns = Math.max(...lines.map(({ text }) => text.replaceAll(COLOUR, '').length));
  const width = Math.ceil(columns * COLUMN_PX + 2 * MARGIN_PX);
  const height = lines.length * LINE_PX + 2 * MARGIN_PX;
  const texts = lines.map(({ ms, text }, i) => {
    const y = MARGIN_PX + (i + 0.75) * LINE_PX;
    const delay = `animation-delay:${(ms / 1000).toFixed(2)}s`;
    return `<text x="${MARGIN_PX}" y="${y}" style="${delay}">${spans(text)}</text>`;
  });
  const title = 'A run of three workers, one of which is killed';
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img">
<title>${title}</title>
<style>
  text { font: ${FONT_PX}px ui-monospace, Menlo, Consolas, monospace; fill: #e6edf3; white-space: pre; }
  @media (prefers-reduced-motion: no-preference) {
    text { opacity: 0; animation: show 0.01s forwards; }
  }
  @keyframes show { to { opacity: 1; } }
</style>
<rect width="100%" height="100%" rx="8" fill="#0d1117"/>
${texts.join('\n')}
</svg>
`;
}

/** Text in pieces of one style each. */
function spans(text: string): string {
  const pieces = text.split(COLOUR);
  let on: string[] = [];
  return pieces
    .map((piece, i) => {
      if (i % 2 === 0) {
        const style = on.map((code) => STYLES[code]).join(';');
        const inner = piece.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
        return piece === '' ? '' : `<tspan style="${style}">${inner}</tspan>`;
      }
      // 22 ends bold and dim, 39 a colour.
      const isOf = (code: string): boolean => (piece === '22') === Number(code) < 3;
      on = piece in STYLES ? [...on, piece] : on.filter((code) => !isOf(code));
      return '';
    })
    .join('');
}

const lines = await record();
mkdirSync(dirname(PICTURE), { recursive: true });
writeFileSync(PICTURE, draw(lines));
console.log(`${PICTURE}: ${lines.length} lines, ${(lines.at(-1)?.ms ?? 0) / 1000} s`);
