/** What the documents show: their blocks, and the commands in them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { REPOSITORY } from './cluster/processes.ts';

/** The pages for users, whose commands are run. */
export const USER_PAGES: readonly string[] = [
  'README.md',
  'SECURITY.md',
  'examples/README.md',
  ...readdirSync(join(REPOSITORY, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

/** Those that a newcomer reads; all of them at once would take longer than a test file may. */
export const FIRST_PAGES: readonly string[] = [
  'README.md',
  'docs/tutorial.md',
  'docs/use-the-model.md',
  'docs/your-network.md',
  'docs/faq.md',
];

/** Those on validation: they take as long as all others that are not read first. */
export const VALIDATION_PAGES: readonly string[] = [
  'docs/validation.md',
  'docs/validate-your-own-training.md',
];

/** A fenced block of a page. */
export interface Block {
  readonly page: string;
  /** Of the line after the fence, from 1 on. */
  readonly line: number;
  /** What stands behind the fence: `sh`, `text`, nothing. */
  readonly language: string;
  readonly text: string;
}

/** The fenced blocks of a page, in order. */
export function blocksOf(page: string): Block[] {
  const content = readPage(page);
  return [...content.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(
    ({ 1: language = '', 2: text = '', index }) => ({
      page,
      line: content.slice(0, index).split('\n').length + 1,
      language,
      text,
    }),
  );
}

export function readPage(page: string): string {
  return readFileSync(join(REPOSITORY, page), 'utf8');
}

/** The commands of a block, each on one line, without comments and without the machine they are typed on. */
export function commandsOf({ text }: Block): string[] {
  return text
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .map((line) =>
      line
        .replace(/\s+#.*$/, '')
        .replace(MACHINE, '')
        .trim(),
    )
    .filter((line) => line !== '');
}

/** The prompt of a machine, before a command that is typed there: `desk$   npx ...`. */
export const MACHINE: RegExp = /^(?:desk|laptop|mini)\$\s+/;
