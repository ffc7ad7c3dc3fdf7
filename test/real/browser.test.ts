/** Reports in a browser: what it shows, complains of and prints. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { exampleFile } from '../../src/validate/watch/run-example.contract.ts';
import { startProgram, temporaryFolder } from '../cluster/processes.ts';
import { lockstep } from '../cluster/lockstep-command.ts';

const BROWSERS = ['/usr/bin/chromium', '/usr/bin/google-chrome'];
const NO_BROWSER = BROWSERS.some((path) => existsSync(path)) ? false : 'no Chromium is installed';

/** The texts of a page as the browser shows them, and what it complains of. */
async function shownBy(t: TestContext, page: string): Promise<{ text: string; console: string }> {
  const browser = BROWSERS.find((path) => existsSync(path)) ?? '';
  const program = startProgram(t, browser, [
    ...[
      '--headless',
      '--disable-gpu',
      '--enable-logging=stderr',
      `--user-data-dir=${temporaryFolder(t)}`,
    ],
    ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
    ...['--dump-dom', `file://${page}`],
  ]);
  assert.equal((await program.end()).status, 0, program.stderr);
  return {
    text: program.stdout,
    console: program.stderr
      .split('\n')
      .filter((line) => line.includes('CONSOLE'))
      .join('\n'),
  };
}

describe('lockstep report html', () => {
  test(
    'makes a page that a browser shows without complaint, though its data are hostile',
    { skip: NO_BROWSER },
    async (t) => {
      const folder = temporaryFolder(t);
      const { result } = exampleFile('x.json');
      const hostile =
        "</title></style><script>document.title='owned'</script><img src=x " +
        'onerror="document.title=\'owned\'">';
      const file = join(folder, 'hostile.json');
      const platform = {
        hardware_name: hostile,
        os: hostile,
        framework: hostile,
        framework_version: hostile,
      };
      writeFileSync(file, JSON.stringify({ ...result, platform }));
      const page = join(folder, 'page.html');
      assert.equal(
        (
          await lockstep(
            t,
            'report',
            'html',
            '--result',
            file,
            '--output',
            page,
            '--title',
            hostile,
          )
        ).status,
        0,
      );

      const { text, console } = await shownBy(t, page);

      assert.equal(console, '');
      assert.doesNotMatch(text, /<title>owned|<img|<script/);
      assert.match(text, /&lt;script&gt;document/);
      assert.match(text, /<\/html>/);
    },
  );
});

describe('lockstep report pdf', () => {
  test('prints a report, and leaves nothing behind', { skip: NO_BROWSER }, async (t) => {
    const folder = temporaryFolder(t);
    writeFileSync(join(folder, 'one.json'), JSON.stringify(exampleFile('one.json').result));
    const target = join(folder, 'report.pdf');
    const before = readdirSync(tmpdir()).filter((name) => name.startsWith('lockstep-pdf-'));

    const { status, stderr } = await lockstep(
      t,
      'report',
      'pdf',
      '--result',
      join(folder, 'one.json'),
      '--output',
      target,
    );

    assert.equal(status, 0, stderr);
    const pdf = readFileSync(target);
    assert.equal(pdf.subarray(0, 5).toString(), '%PDF-');
    assert.ok(pdf.length > 10_000);
    assert.deepEqual(
      readdirSync(tmpdir()).filter((name) => name.startsWith('lockstep-pdf-')),
      before,
    );
  });
});
