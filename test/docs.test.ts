import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { SETTINGS_FILE, settingsPage } from '../scripts/write-settings.ts';
import { parseTrainConfig } from '../src/config/parse-train-config.ts';

const root = join(import.meta.dirname, '..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');

/** Flags with values of every `lockstep train` or `lockstep coordinator` command in a page. */
function trainCommandsIn(page: string): string[][] {
  return [...page.matchAll(/lockstep (?:train|coordinator)\b([^\n#`|]*)/g)].map((match) =>
    (match[1] ?? '').trim().split(/\s+/),
  );
}

describe('the documents', () => {
  test('list every setting as the program knows it', async () => {
    assert.equal(readFileSync(SETTINGS_FILE, 'utf8'), await settingsPage());
  });

  test('show only flags that exist, with values that are allowed', () => {
    const commands = trainCommandsIn(readme);
    assert.ok(commands.length >= 5);
    for (const words of commands) {
      const flags: Record<string, string> = {};
      for (const [index, word] of words.entries()) {
        if (word.startsWith('--') && word !== '--json' && word !== '--help')
          flags[word.slice(2)] = words[index + 1] ?? '';
      }
      parseTrainConfig([], flags);
    }
  });

  test('link only to files that are there', () => {
    for (const page of ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md']) {
      const text = readFileSync(join(root, page), 'utf8');
      for (const [, target] of text.matchAll(/\]\((?!http)([^)#]+)/g))
        readFileSync(join(root, target ?? ''));
    }
  });
});
