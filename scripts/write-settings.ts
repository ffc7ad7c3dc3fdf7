/** Writes docs/settings.md from the one table of settings. A test checks that it is up to date. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format } from 'prettier';
import { modelsAsMarkdown, optionsAsMarkdown } from '../src/config/option-docs.ts';

export const SETTINGS_FILE = join(import.meta.dirname, '..', 'docs', 'settings.md');

/** The page as it should be. */
export async function settingsPage(): Promise<string> {
  const text = `# Settings

Every setting of \`lockstep train\` and \`lockstep coordinator\`: the flag, the key of a YAML file, the
values that are allowed, the default and the unit where there is one, and the meaning. Flags win
over files, later files over earlier ones, files over defaults. Written by
\`scripts/write-settings.ts\`.

${optionsAsMarkdown()}
## Models

Sizes of input and output follow from the data. A setting that a model does not have is refused.
Below each model stand its settings, as they are when nobody says.

${modelsAsMarkdown()}`;
  return format(text, { parser: 'markdown', printWidth: 100, proseWrap: 'always' });
}

if (process.argv[1] === import.meta.filename) writeFileSync(SETTINGS_FILE, await settingsPage());
