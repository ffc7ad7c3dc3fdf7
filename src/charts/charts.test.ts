import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { linearScale, logScale } from './chart-frame.ts';
import { histogram, lineChart, meansOf, stackedChart } from './charts.ts';
import { barChart, ringChart, shortened } from './share-charts.ts';

const TEXT = { title: 'A chart', xLabel: 'step', yLabel: 'ms' };

function pointsOf(count: number, of: (i: number) => number): [number, number][] {
  return Array.from({ length: count }, (_, i) => [i, of(i)]);
}

describe('linearScale', () => {
  test('has round ticks that hold all values', () => {
    assert.deepEqual(linearScale(0, 9.2, 0, 100).ticks, [0, 2, 4, 6, 8, 10]);
    assert.deepEqual(linearScale(0.013, 0.27, 0, 100).ticks, [0, 0.1, 0.2, 0.3]);
  });

  test('puts values in proportion between its ends, or exactly from the first to the last', () => {
    assert.equal(linearScale(0, 10, 100, 200).at(5), 150);
    assert.equal(linearScale(3, 13, 0, 100, true).at(3), 0);
    assert.equal(linearScale(3, 13, 0, 100, true).at(13), 100);
  });

  test('has room for a single value', () => {
    const { ticks, at } = linearScale(7, 7, 0, 100);
    assert.ok(ticks.length > 1);
    assert.ok(at(7) > 0 && at(7) < 100);
    assert.ok(Number.isFinite(linearScale(0, 0, 0, 100).at(0)));
  });
});

describe('logScale', () => {
  test('gives every power of ten the same way', () => {
    const { ticks, at } = logScale(0.02, 30, 0, 400);
    assert.deepEqual(ticks, [0.01, 0.1, 1, 10, 100]);
    assert.equal(Math.round(at(1)), 200);
  });
});

describe('lineChart', () => {
  test('leaves out what is not finite, and says how much', () => {
    const { text } = lineChart(TEXT, [
      {
        name: 'loss',
        points: [
          [0, 1],
          [1, NaN],
          [2, 0.5],
          [3, Infinity],
        ],
      },
    ]);
    assert.match(text, /2 values are not finite/);
    assert.doesNotMatch(text, /NaN[^ ]*"/);
  });

  test('says that there is nothing when nothing is finite', () => {
    assert.match(
      lineChart(TEXT, [{ name: 'loss', points: [[0, NaN]] }]).text,
      /no numbers to draw/,
    );
    assert.match(lineChart(TEXT, []).text, /no numbers to draw/);
  });

  test('draws long runs by their extremes: small, and no peak is lost', () => {
    const { text } = lineChart(TEXT, [
      { name: 'ms', points: pointsOf(200_000, (i) => (i === 77_777 ? 1000 : 1)) },
    ]);
    assert.ok(text.length < 60_000, `${text.length} characters`);
    // The peak is the top of the plot.
    assert.match(text, /L[\d.]+ 12[ML"]/);
  });

  test('counts powers of ten only where asked and where values spread', () => {
    const [spread, narrow] = [pointsOf(10, (i) => 10 ** -i), pointsOf(10, (i) => 1 + i)];
    const isLog = (points: [number, number][], mayBeLog: boolean): boolean =>
      lineChart(TEXT, [{ name: 'loss', points }], { mayBeLog }).text.includes('powers of ten');
    assert.deepEqual(
      [isLog(spread, true), isLog(spread, false), isLog(narrow, true)],
      [true, false, false],
    );
  });

  test('tells those who do not see it where the lines begin and end', () => {
    const { text } = lineChart(TEXT, [
      {
        name: 'loss',
        points: [
          [0, 4],
          [9, 0.5],
        ],
      },
    ]);
    assert.match(text, /aria-label="A chart: loss from 4 to 0.5 over 2 points"/);
  });
});

describe('stackedChart', () => {
  test('stacks parts to the height of their sum', () => {
    const { text } = stackedChart(TEXT, [
      { name: 'compute', points: [[0, 6]] },
      { name: 'wait', points: [[0, 4]] },
    ]);
    const heights = [
      ...text.matchAll(/<rect x="[\d.]+" width="[\d.]+" y="[\d.]+" height="([\d.]+)"/g),
    ].map((match) => Number(match[1]));
    // The axis ends at 10, the plot is 198 high.
    assert.deepEqual(heights.map(Math.round), [119, 79]);
  });

  test('draws long runs by means', () => {
    assert.deepEqual(
      meansOf(
        [
          [0, 2],
          [1, 4],
          [2, 6],
          [3, 8],
        ],
        2,
      ),
      [
        [0.5, 3],
        [2.5, 7],
      ],
    );
  });
});

describe('histogram', () => {
  test('counts every finite value once, and marks the value it is given', () => {
    const values = [...Array.from({ length: 98 }, (_, i) => 1 + i / 100), NaN, 10];
    const { text } = histogram(TEXT, values, { name: 'p99', value: 9 });
    const counts = [...text.matchAll(/<title>[\d.]+ to [\d.]+: (\d+)<\/title>/g)].map((match) =>
      Number(match[1]),
    );
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      99,
    );
    assert.match(text, /class="mark-text"[^>]*>p99 9</);
  });
});

describe('barChart and ringChart', () => {
  test('draw bars in proportion and shares of the whole ring', () => {
    const bars = [
      { name: 'a', value: 30 },
      { name: 'b', value: 10 },
      { name: '<c>', value: NaN },
    ];
    const widths = [
      ...barChart({ title: 't', caption: 'c', unit: 's' }, bars).text.matchAll(
        /<rect class="f\d" x="[\d.]+" y="\d+" width="([\d.]+)"/g,
      ),
    ].map((match) => Number(match[1]));
    assert.equal(widths.length, 3);
    assert.ok(Math.abs(widths[0]! / widths[1]! - 3) < 0.01 && widths[2] === 0);
    assert.match(ringChart({ title: 't', caption: 'c' }, bars.slice(0, 2)).text, /a: 30 of 40/);
  });

  test('shorten long names in the middle', () => {
    assert.equal(shortened('a'.repeat(30) + 'end', 11), 'aaaaa…aaend');
    assert.equal(shortened('short'), 'short');
  });
});
