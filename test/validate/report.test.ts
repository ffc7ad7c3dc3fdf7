/** `lockstep report html|pdf|heatmap|fault-timeline` as their user runs them. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { exampleFile, type ExampleOptions } from '../../src/validate/watch/run-example.contract.ts';
import { startProgram, temporaryFolder } from '../cluster/processes.ts';
import { lockstep } from './lockstep-command.ts';

const BROWSERS = ['/usr/bin/chromium', '/usr/bin/google-chrome'];
const NO_BROWSER = BROWSERS.some((path) => existsSync(path)) ? false : 'no Chromium is installed';

/** A folder with result files of these names. */
function folderOf(t: TestContext, files: Readonly<Record<string, ExampleOptions>>): string {
  const folder = temporaryFolder(t);
  for (const [name, options] of Object.entries(files))
    writeFileSync(join(folder, name), JSON.stringify(exampleFile(name, options).result));
  return folder;
}

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
  test('draws one run and several, and says where', async (t) => {
    const folder = folderOf(t, { 'one.json': {}, 'two.json': { workers: 4 } });
    const [one, two, page] = ['one.json', 'two.json', 'deep/er/page.html'].map((name) =>
      join(folder, name),
    ) as [string, string, string];

    const single = await lockstep(
      t,
      'report',
      'html',
      '--result',
      one,
      '--output',
      page,
      '--title',
      'Mine & yours',
    );
    assert.equal(single.status, 0, single.stderr);
    assert.equal(single.stderr, `Report saved to: ${page}\n`);
    assert.match(readFileSync(page, 'utf8'), /<title>Mine &amp; yours<\/title>/);

    const both = await lockstep(t, 'report', 'html', '--result', one, two, '--output', page);
    assert.equal(both.status, 0, both.stderr);
    assert.match(readFileSync(page, 'utf8'), /<h1>2 training runs<\/h1>/);
  });

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

  test('refuses files that are missing, truncated or no runs, and outputs that cannot be written', async (t) => {
    const folder = folderOf(t, { 'one.json': {} });
    const path = (name: string): string => join(folder, name);
    writeFileSync(path('cut.json'), readFileSync(path('one.json'), 'utf8').slice(0, 300));
    writeFileSync(path('health.json'), '{"run_id": "a", "workers": [], "is_complete": true}');
    const page = path('page.html');
    const cases: [string[], RegExp][] = [
      [['--result', path('none.json'), '--output', page], /none\.json: there is no such file/],
      [['--result', path('cut.json'), '--output', page], /after 300 bytes: the file is truncated/],
      [['--result', path('health.json'), '--output', page], /got a health file/],
      [['--result', path('one.json'), '--output', folder], /this is a folder/],
      [
        ['--result', path('one.json'), '--output', join(path('one.json'), 'x.html')],
        /x\.html: cannot be written/,
      ],
      [['--output', page], /--result/],
    ];
    for (const [args, message] of cases) {
      const { status, stdout, stderr } = await lockstep(t, 'report', 'html', ...args);
      assert.equal(status, 2, stderr);
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /\n\s+at /);
      assert.equal(stdout, '');
    }
    assert.deepEqual(readdirSync(folder).sort(), ['cut.json', 'health.json', 'one.json']);
  });
});

describe('lockstep report pdf', () => {
  test('prints a report, and leaves nothing behind', { skip: NO_BROWSER }, async (t) => {
    const folder = folderOf(t, { 'one.json': {} });
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

  test('says how to get a browser where there is none, and what needs none', async (t) => {
    const folder = folderOf(t, { 'one.json': {} });
    const target = join(folder, 'report.pdf');

    const { status, stderr } = await lockstep(
      t,
      'report',
      'pdf',
      '--result',
      join(folder, 'one.json'),
      '--output',
      target,
      '--pdf-backend',
      'no-such-browser',
    );

    assert.equal(status, 2);
    assert.match(
      stderr,
      /no-such-browser: there is no such program.*apt-get install chromium.*report html/,
    );
    assert.ok(!existsSync(target));
  });

  test('says what a browser said that failed', async (t) => {
    const folder = folderOf(t, { 'one.json': {} });
    const broken = join(folder, 'browser');
    writeFileSync(broken, '#!/bin/sh\necho "no display" >&2\nexit 3\n', { mode: 0o755 });

    const { status, stderr } = await lockstep(
      t,
      'report',
      'pdf',
      '--result',
      join(folder, 'one.json'),
      '--output',
      join(folder, 'r.pdf'),
      '--pdf-backend',
      broken,
    );

    assert.equal(status, 1);
    assert.match(stderr, /it failed \(exit code 3\): no display/);
  });
});

describe('lockstep report heatmap', () => {
  test('draws the runs of a folder, and names files that are left out', async (t) => {
    const slow = { workers: 4, computeMs: (rank: number) => (rank === 3 ? 9 : 2) };
    const folder = folderOf(t, { 'a.json': {}, 'b.json': slow });
    writeFileSync(join(folder, 'broken.json'), '{');
    writeFileSync(
      join(folder, 'health.json'),
      '{"run_id": "a", "workers": [], "is_complete": true}',
    );
    const page = join(folder, 'map.html');

    const { status, stderr } = await lockstep(
      t,
      'report',
      'heatmap',
      '--results-dir',
      folder,
      '--metric',
      'compute_time_ms',
      '--output',
      page,
    );

    assert.equal(status, 0, stderr);
    assert.match(stderr, /note: left out: .*broken\.json/);
    assert.match(readFileSync(page, 'utf8'), /<li>b, rank 3: 9<\/li>/);
  });

  test('refuses a folder without runs, and a metric that there is not', async (t) => {
    const folder = temporaryFolder(t);
    for (const args of [
      ['--results-dir', folder],
      ['--results-dir', join(folder, 'none')],
      ['--metric', 'speed'],
    ]) {
      const { status, stderr } = await lockstep(
        t,
        'report',
        'heatmap',
        ...args,
        '--output',
        join(folder, 'm.html'),
      );
      assert.equal(status, 2, stderr);
    }
    assert.deepEqual(readdirSync(folder), []);
  });
});

describe('lockstep report fault-timeline', () => {
  test('draws a fault report, and refuses another file', async (t) => {
    const folder = folderOf(t, { 'run.json': {} });
    const [report, page] = [join(folder, 'faults.json'), join(folder, 'faults.html')];
    const results = [
      {
        fault_type: 'kill',
        affected_rank: 1,
        was_detected: false,
        reason: 'nothing was noticed',
        injection_step: 3,
      },
    ];
    writeFileSync(
      report,
      JSON.stringify({ num_faults: 1, num_detected: 0, num_missed: 1, summary: 's', results }),
    );

    const drawn = await lockstep(t, 'report', 'fault-timeline', '--json', report, '--output', page);
    assert.equal(drawn.status, 0, drawn.stderr);
    assert.match(readFileSync(page, 'utf8'), /✗ 1 of 1 fault missed/);

    const refused = await lockstep(
      t,
      'report',
      'fault-timeline',
      '--json',
      join(folder, 'run.json'),
      '--output',
      page,
    );
    assert.equal(refused.status, 2);
    assert.match(refused.stderr, /expected a fault report.*got a canonical result/);
  });
});
