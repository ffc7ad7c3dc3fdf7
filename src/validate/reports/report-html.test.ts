import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { winnersOf } from './html-consolidated.ts';
import { htmlReport } from './report-html.ts';
import { viewsOf } from './run-view.ts';
import { exampleFile, examplePayload, type ExampleOptions } from '../watch/run-example.contract.ts';

const HOSTILE = '<script>alert(1)</script>';

function countOf(page: string, text: string): number {
  return page.split(text).length - 1;
}

/** Nothing that a browser would load or run. */
function assertSelfContained(page: string): void {
  for (const forbidden of [
    /<script|<link|<img|<iframe|<object|<embed|<base/i,
    /https?:/i,
    /@import|url\(/i,
    /\son[a-z]+=/i,
    /javascript:/i,
  ])
    assert.doesNotMatch(page, forbidden);
  assert.match(page, /Content-Security-Policy" content="default-src &#39;none&#39;/);
}

describe('htmlReport of one run', () => {
  const file = exampleFile('runs/two.json');
  const page = htmlReport([file], 'My run');

  test('is one page that loads nothing and runs nothing', () => {
    assertSelfContained(page);
    assert.match(page, /^<!doctype html>\n<html lang="en">/);
  });

  test('has the four charts, the workers, metrics, configuration and what they mean', () => {
    for (const title of ['Loss', 'Throughput', 'Where the time of a step goes', 'All-reduce times'])
      assert.ok(page.includes(`<figure><h3>${title}</h3>`), title);
    assert.equal(countOf(page, '<svg viewBox="0 0 560'), 4);
    for (const text of [
      'rank 0',
      'rank 1',
      'latency_p99_ms',
      'num_steps',
      'How to read this',
      'Hardware',
    ])
      assert.ok(page.includes(text), text);
  });

  test('says what was not measured instead of a number', () => {
    assert.match(page, /power_consumption_watts<\/dt><dd>not measured/);
    assert.doesNotMatch(page, /Scaling efficiency<\/span>/);
  });

  test('shows what a comparison with a baseline said', () => {
    const regression = { baseline_id: 'stable', delta_percent: 7.5, failed_metrics: ['p99'] };
    const pageOf = (status: 'pass' | 'fail'): string =>
      htmlReport(
        [{ ...file, result: { ...file.result!, regression: { ...regression, status } } }],
        'r',
      );

    assert.match(pageOf('fail'), /badge bad">✗ Regression against stable \(7.5 %\): p99/);
    assert.match(pageOf('pass'), /badge good">✓ No regression against stable/);
    assert.match(page, /Not compared with a baseline/);
  });

  test('marks power that is an estimate', () => {
    const metrics = { ...file.result!.metrics, power_consumption_watts: 80 };
    const payload = { ...file.payload, power_metrics: { estimated: true } };

    assert.match(
      htmlReport([{ ...file, payload, result: { ...file.result!, metrics } }], 'r'),
      /80 W.*estimated, not measured/,
    );
  });

  test('takes the plain form, whose steps tell little', () => {
    const { steps, ...rest } = examplePayload();
    const plain = steps.map(
      ({ step, loss, throughput_samples_per_sec, allreduce_time_ms, compute_time_ms }) => ({
        step,
        loss,
        throughput_samples_per_sec,
        allreduce_time_ms,
        compute_time_ms,
      }),
    );
    const small = htmlReport([{ path: 'plain.json', payload: { ...rest, steps: plain } }], 'Plain');

    assert.equal(countOf(small, '<svg viewBox="0 0 560'), 4);
    assert.doesNotMatch(small, /class="f2"/); // no wait in the stacks
  });

  test('shows hostile names as the text they are', () => {
    const payload = {
      ...file.payload,
      config: { [HOSTILE]: HOSTILE, nested: { deep: HOSTILE } },
      start_timestamp: HOSTILE,
      state_digest: HOSTILE,
      collective_backend: HOSTILE,
    };
    const platform = {
      hardware_name: HOSTILE,
      os: HOSTILE,
      framework: HOSTILE,
      framework_version: HOSTILE,
    };
    const regression = {
      baseline_id: HOSTILE,
      delta_percent: 1,
      status: 'fail' as const,
      failed_metrics: [HOSTILE],
    };
    const hostile = {
      ...file,
      path: `${HOSTILE}.json`,
      payload,
      result: { ...file.result!, platform, regression, tool_name: HOSTILE },
    };

    for (const hostilePage of [
      htmlReport([hostile], HOSTILE),
      htmlReport([hostile, file], HOSTILE),
    ]) {
      assertSelfContained(hostilePage);
      assert.ok(hostilePage.includes('&lt;script&gt;alert(1)&lt;/script&gt;'));
    }
  });

  test('stays small for a long run', () => {
    const long = htmlReport([exampleFile('long.json', { steps: 20_000 })], 'Long');
    assert.ok(long.length < 500_000, `${long.length} characters`);
    assert.match(long, /Every 40th step and the last/);
  });

  test('draws a run whose loss is not finite', () => {
    const broken = htmlReport(
      [exampleFile('nan.json', { loss: (step) => (step < 5 ? 1 : NaN) })],
      'Broken',
    );
    assert.match(broken, /5 values are not finite/);
  });
});

describe('htmlReport of several runs', () => {
  const digest = 'ab'.repeat(32);
  const files = (second: ExampleOptions) => [
    exampleFile('a/run.json', { digest }),
    exampleFile('b/run.json', { workers: 4, ...second }),
  ];

  test('names files of the same name by their folders', () => {
    const page = htmlReport(files({ digest }), 'Two');
    assertSelfContained(page);
    assert.ok(page.includes('a/run.json') && page.includes('b/run.json'));
  });

  test('says whether they ended with the same bits', () => {
    assert.match(htmlReport(files({ digest }), 'Two'), /All 2 runs ended with the same bits/);
    assert.match(
      htmlReport(files({ digest: 'cd'.repeat(32) }), 'Two'),
      /ended with different models/,
    );
    assert.doesNotMatch(htmlReport(files({}), 'Two'), /same bits|different models/);
  });

  test('marks settings that differ, and overlays the losses', () => {
    const page = htmlReport(files({ digest }), 'Two');
    assert.match(
      page,
      /workers<\/th><td class=""><span class="differs">2<\/span><\/td><td class=""><span class="differs">4/,
    );
    assert.match(page, /seed<\/th><td class="">42<\/td><td class="">42</);
    assert.match(page, /Loss of all runs/);
  });

  test(
    'finds who is best: the higher or the lower, several when equal, nobody when one has no ' +
      'value',
    () => {
      const views = viewsOf([
        exampleFile('one.json', { steps: 5 }),
        exampleFile('two.json'),
        exampleFile('three.json'),
      ]);
      const winners = (
        better: 'higher' | 'lower',
        of: (steps: number) => number | undefined,
      ): string[] =>
        winnersOf(views, { name: '', unit: '', better, of: ({ steps }) => of(steps.length) }).map(
          ({ name }) => name,
        );

      assert.deepEqual(
        winners('higher', (steps) => steps),
        ['two', 'three'],
      );
      assert.deepEqual(
        winners('lower', (steps) => steps),
        ['one'],
      );
      assert.deepEqual(
        winners('lower', (steps) => (steps === 5 ? undefined : 1)),
        [],
      );
    },
  );
});

describe('htmlReport of a result without steps', () => {
  const { result, path } = exampleFile('autoperf.json');
  const figures = {
    path,
    result: {
      ...result!,
      tool_name: 'autoperfpy',
      workload: { ...result!.workload, workload_type: 'inference' as const, name: HOSTILE },
      metrics: { ...result!.metrics, ttft_ms: 12.5, power_consumption_watts: null },
      tool_payload: { precision: 'fp16', note: HOSTILE },
    },
  };

  test('has the figures that there are, and makes none up', () => {
    const page = htmlReport([figures], 'Inference');

    assertSelfContained(page);
    assert.match(page, /<dt>ttft_ms<\/dt><dd>12\.5/);
    assert.match(page, /power_consumption_watts<\/dt><dd>not measured/);
    assert.doesNotMatch(page, /Final loss|<svg viewBox/);
    assert.match(page, /<dt>precision<\/dt><dd>fp16/);
    assert.equal(countOf(page, '&lt;script&gt;alert(1)'), 2);
  });

  test('is refused beside runs, whose steps it has none to compare with', () => {
    assert.throws(() => htmlReport([exampleFile('runs/two.json'), figures], 'Both'), {
      name: 'ConfigError',
      message: /^reading autoperf\.json: expected steps in tool_payload, .* report of its own$/,
    });
  });
});
