/** The scripts that complete words, in the shells that they are for. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { startLockstep, temporaryFolder } from '../cluster/processes.ts';

/** A folder with the script of a shell, and with a file whose name is completed. */
async function folderWith(t: TestContext, shell: string): Promise<string> {
  const folder = temporaryFolder(t);
  const program = startLockstep(t, ['completion', shell]);
  assert.equal((await program.end()).status, 0, program.stderr);
  writeFileSync(join(folder, 'script'), program.stdout);
  writeFileSync(join(folder, 'settings.yaml'), '');
  return folder;
}

/** What a shell says to a program of its own. */
function said(shell: string, folder: string, program: string): string {
  const { stdout, stderr, status } = spawnSync(shell, ['-c', program], {
    cwd: folder,
    encoding: 'utf8',
    timeout: 20_000,
    env: { PATH: process.env['PATH'], HOME: folder, TERM: 'dumb' },
  });
  assert.deepEqual([status, stderr], [0, '']);
  return stdout;
}

function skipWithout(shell: string): { readonly skip: string | false } {
  const isThere = spawnSync(shell, ['--version'], { timeout: 60_000 }).status === 0;
  return { skip: isThere ? false : `${shell} is missing: apt-get install ${shell}` };
}

describe('lockstep completion', () => {
  test('bash', async (t) => {
    const folder = await folderWith(t, 'bash');
    const complete = (...words: string[]): string[] =>
      said(
        'bash',
        folder,
        `source ./script; compopt() { echo "options $*"; }
         COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}
         _lockstep; printf '%s\\n' "\${COMPREPLY[@]}" | sort`,
      )
        .trim()
        .split('\n');

    assert.deepEqual(complete('lockstep', 'tr'), ['train']);
    assert.deepEqual(complete('lockstep', 'help', 'report', 'h'), ['heatmap', 'help', 'html']);
    assert.deepEqual(complete('lockstep', 'train', '--mom'), ['--momentum']);
    assert.deepEqual(complete('lockstep', 'train', '--optimizer', 'ada'), ['adam', 'adamw']);
    assert.deepEqual(complete('lockstep', 'train', '--model', 's'), [
      'options -o filenames',
      'script',
      'settings.yaml',
      'simple_cnn',
    ]);
    assert.deepEqual(complete('lockstep', 'train', '--batch-s'), ['']);
    // Nothing offered: bash itself completes names of files, as it is told here.
    assert.deepEqual(complete('lockstep', 'train', 's'), ['']);
    assert.match(said('bash', folder, 'source ./script; complete -p lockstep'), / -o default /);
  });

  test('fish', skipWithout('fish'), async (t) => {
    const folder = await folderWith(t, 'fish');
    const complete = (line: string): string[] =>
      said('fish', folder, `source ./script; complete -C '${line}'`)
        .trim()
        .split('\n')
        .map((one) => one.split('\t')[0]!);

    assert.deepEqual(complete('lockstep tr'), ['train']);
    assert.deepEqual(complete('lockstep help report h'), ['heatmap', 'help', 'html']);
    assert.deepEqual(complete('lockstep train --mom'), ['--momentum']);
    assert.deepEqual(complete('lockstep train --optimizer ada'), ['adam', 'adamw']);
    assert.deepEqual(complete('lockstep train --optimizer set'), ['']);
    assert.deepEqual(complete('lockstep train --model se'), ['settings.yaml']);
    assert.deepEqual(complete('lockstep train se'), ['settings.yaml']);
    assert.deepEqual(complete('lockstep report set'), ['']);
  });

  test('zsh', skipWithout('zsh'), async (t) => {
    const folder = await folderWith(t, 'zsh');
    // Types into a shell in a terminal of its own, and waits until the word is there.
    const complete = (typed: string, expected: string): string =>
      said(
        'zsh',
        folder,
        `zmodload zsh/zpty; zpty typist zsh -f -i
         zpty -w typist 'autoload -Uz compinit; compinit -u -D; source ./script; echo rea''dy'
         zpty -r typist seen '*ready*'
         zpty -w -n typist ${JSON.stringify(typed)}$'\\t'
         zpty -r typist seen '*${expected}*'; print -r -- "$seen"; zpty -d typist`,
      );

    assert.match(complete('lockstep tr', 'train'), /train/);
    assert.match(complete('lockstep report ht', 'html'), /html/);
    assert.match(complete('lockstep train --mom', 'momentum'), /--momentum/);
    assert.match(complete('lockstep train --optimizer mo', 'momentum'), /momentum/);
    assert.match(complete('lockstep train --config se', 'settings.yaml'), /settings\.yaml/);
  });
});
