/** `lockstep report html|pdf|heatmap|fault-timeline` as their user runs them. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { exampleFile, type ExampleOptions } from '../../src/validate/watch/run-example.contract.ts';
import { temporaryFolder } from '../cluster/processes.ts';
import { lockstep } from '../cluster/lockstep-command.ts';

/** A folder with result files of these names. */
function folderOf(t: TestContext, files: Readonly<Record<string, ExampleOptions>>): string {
  const folder = temporaryFolder(t);
  for (const [name, options] of Object.entries(files))
    writeFileSync(join(folder, name), JSON.stringify(exampleFile(name, options).result));
  return folder;
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

  test('refuses files that are missing, cut or no runs, and outputs it cannot write', async (t) => {
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
