/** `lockstep validate` and `lockstep report check` as their user runs them. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import type { ValidationReport } from '../../src/validate/compare/compare-runs.ts';
import type { Result } from '../../src/validate/results/result.ts';
import { temporaryFolder } from '../cluster/processes.ts';
import { lockstep } from '../cluster/lockstep-command.ts';
import { trainWrongly } from './wrong-training.ts';

const STEPS = '24';

/**
 * Results of `lockstep run` on one and on two workers, and of a build without gradient exchange.
 */
async function results(
  t: TestContext,
): Promise<{ folder: string; files: Record<'single' | 'multi' | 'wrong', string> }> {
  const folder = temporaryFolder(t);
  const files = {
    single: join(folder, '1.json'),
    multi: join(folder, '2.json'),
    wrong: join(folder, 'wrong.json'),
  };
  for (const [workers, output] of [
    ['1', files.single],
    ['2', files.multi],
  ] as const) {
    const health = ['--health-checkpoint-path', join(folder, 'health.json')];
    const { status, stderr } = await lockstep(
      t,
      'run',
      '--workers',
      workers,
      '--steps',
      STEPS,
      '--output',
      output,
      ...health,
    );
    assert.equal(status, 0, stderr);
  }
  writeFileSync(
    files.wrong,
    JSON.stringify(await trainWrongly({ mistake: 'no-exchange', steps: Number(STEPS) })),
  );
  return { folder, files };
}

describe('lockstep validate', () => {
  test('passes two workers against one, and names a build without exchange', async (t) => {
    const { folder, files } = await results(t);
    const report = join(folder, 'reports/report.json');

    const exact = await lockstep(t, 'validate', files.single, files.multi, '--exact', '--json');
    const loose = await lockstep(t, 'validate', files.single, files.multi, '--tolerance', '0');
    const wrong = await lockstep(
      t,
      ...['validate', files.single, files.wrong, '--output', report, '--annotations', 'github'],
      ...['--junit', join(folder, 'junit.xml')],
    );

    assert.deepEqual([exact.status, loose.status, wrong.status], [0, 0, 1]);
    const passed = JSON.parse(exact.stdout) as ValidationReport;
    assert.deepEqual(
      [passed.overall_passed, passed.num_steps_passed, passed.digests_equal],
      [true, Number(STEPS), true],
    );
    assert.equal(loose.stderr, '');
    assert.match(
      loose.stdout,
      /RESULT: ✓ PASSED: All 24 steps passed correctness check within 0\.00% tolerance/,
    );
    assert.equal(loose.stdout.includes('\u001b'), false, 'no colour when piped');

    const failed = JSON.parse(readFileSync(report, 'utf8')) as ValidationReport;
    assert.deepEqual([failed.overall_passed, failed.diagnosis?.cause], [false, 'missing-exchange']);
    assert.match(wrong.stdout, /It looks like missing gradient exchange/);
    assert.match(
      wrong.stderr,
      /^::error title=lockstep validate%3A all steps::FAILED.*%0Alooks like missing/m,
    );
    const junit = readFileSync(join(folder, 'junit.xml'), 'utf8');
    assert.match(junit, new RegExp(`tests="25" failures="${failed.num_steps_failed + 1}"`));

    const check = await lockstep(t, 'report', 'check', files.single, files.multi, files.wrong);
    assert.deepEqual([check.status, check.stderr], [0, '']);
    assert.equal(check.stdout.match(/^✓ /gm)?.length, 3);
  });

  test(
    'ends with 2 for a file that cannot be read, with 1 for runs that cannot be compared, and ' +
      'writes nothing',
    async (t) => {
      const folder = temporaryFolder(t);
      const file = (name: string, value: unknown): string => {
        writeFileSync(
          join(folder, name),
          typeof value === 'string' ? value : JSON.stringify(value),
        );
        return join(folder, name);
      };
      const good = file('good.json', {
        steps: [
          { step: 0, loss: 1 },
          { step: 1, loss: 0.5 },
        ],
      });
      const cases: [code: number, second: string, flags: string[], said: RegExp][] = [
        [2, join(folder, 'none.json'), [], /none\.json: there is no such file/],
        [
          2,
          file('cut.json', '{"steps": [{"step": 0, "lo'),
          [],
          /ends too early, after 26 bytes: the file is truncated/,
        ],
        [2, file('v2.json', { schema_version: '2.0.0' }), [], /got "2\.0\.0"/],
        [
          1,
          file('short.json', { steps: [{ step: 0, loss: 1 }] }),
          [],
          /got 2 in .*good\.json and 1 in .*short\.json/,
        ],
        [2, file('empty.json', { steps: [] }), [], /it has no steps/],
        [
          2,
          file('text.json', { steps: [{ step: 0, loss: 'low' }] }),
          [],
          /steps\[0\]\.loss: expected a number, got "low"/,
        ],
        [1, good, ['--exact'], /step 0 has no loss_bits/],
        [
          2,
          good,
          ['--tolerance', '5'],
          /--tolerance: expected a fraction from 0 to 1, got "5"\. For 5 % write 0\.05/,
        ],
        [2, good, ['--tolerance', '-1'], /--tolerance: expected a number from 0 to 1, got "-1"/],
        [2, good, ['--tolerance', 'x'], /--tolerance: expected a number from 0 to 1, got "x"/],
        [
          2,
          good,
          ['--exact', '--tolerance', '0.1'],
          /--tolerance: expected none, or 0, with --exact/,
        ],
        [2, good, ['--output', folder], /--output .*this is a folder/],
        [2, good, ['--junit', '/proc/none/junit.xml'], /--junit \/proc\/none\/junit\.xml/],
      ];
      const report = join(folder, 'report.json');

      for (const [code, second, flags, said] of cases) {
        const output = flags.includes('--output') ? [] : ['--output', report];
        const { status, stdout, stderr } = await lockstep(
          t,
          'validate',
          good,
          second,
          ...output,
          ...flags,
          '--json',
        );
        assert.match(stderr, said);
        assert.doesNotMatch(stderr, /\n {4}at /);
        assert.deepEqual([status, stdout, existsSync(report)], [code, '', false], stderr);
      }
    },
  );

  test('fails a loss that is not a number, and names it', async (t) => {
    const folder = temporaryFolder(t);
    const path = join(folder, 'nan.json');
    writeFileSync(path, '{"steps": [{"step": 0, "loss": 1.0}, {"step": 1, "loss": NaN}]}');

    const { status, stdout } = await lockstep(t, 'validate', path, path);

    assert.equal(status, 1);
    assert.match(stdout, /the loss of step 1 in .*nan\.json is NaN/);
  });
});

describe('lockstep report check', () => {
  test('lists all problems of all files, and which of them cannot be read', async (t) => {
    const folder = temporaryFolder(t);
    const result = (await trainWrongly({ mistake: 'none', workers: 1, steps: 2 })) as Result & {
      tool_payload: object;
    };
    const good = join(folder, 'good.json');
    const bad = join(folder, 'bad.json');
    writeFileSync(good, JSON.stringify(result));
    writeFileSync(
      bad,
      JSON.stringify({
        ...result,
        timestamp: 5,
        tool_payload: { ...result.tool_payload, num_steps: 3 },
      }),
    );

    const both = await lockstep(t, 'report', 'check', good, bad, '--json');
    const missing = await lockstep(t, 'report', 'check', join(folder, 'none.json'), good);

    assert.deepEqual([both.status, missing.status], [1, 2]);
    const { files } = JSON.parse(both.stdout) as {
      files: { kind: string; problems: { path: string }[] }[];
    };
    assert.deepEqual(
      files.map(({ kind, problems }) => [kind, ...problems.map(({ path }) => path)]),
      [['result'], ['result', 'timestamp', 'tool_payload.num_steps']],
    );
    assert.match(
      missing.stdout,
      /none\.json:\n {4}there is no such file\n✓ .*good\.json: a canonical result/,
    );
  });

  test('has its schema printed by report schema', async (t) => {
    const { status, stdout } = await lockstep(t, 'report', 'schema');

    assert.equal(status, 0);
    assert.deepEqual(
      JSON.parse(stdout),
      JSON.parse(readFileSync('docs/result.schema.json', 'utf8')),
    );
  });
});
