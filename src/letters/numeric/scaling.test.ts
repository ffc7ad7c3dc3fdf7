import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseLettersText } from './letters-text.ts';
import { measureScaling, scaleRows } from './scaling.ts';

const parse = (text: string): ReturnType<typeof parseLettersText> =>
  parseLettersText(text, { name: 'f', classes: 2 });

describe('measureScaling', () => {
  test('gives all files together mean 0 and variance 1, and a constant feature 0', () => {
    const files = [parse('0,5,1\n2,5,0\n'), parse('4,5,1\n')];

    const scaling = measureScaling(files);
    const scaled = files.flatMap((rows) => [...scaleRows(rows, scaling).x]);

    const first = scaled.filter((_, i) => i % 2 === 0);
    const mean = first.reduce((a, b) => a + b) / 3;
    const variance = first.reduce((a, b) => a + (b - mean) ** 2, 0) / 3;
    assert.ok(Math.abs(mean) < 1e-12 && Math.abs(variance - 1) < 1e-12);
    assert.deepEqual(
      scaled.filter((_, i) => i % 2 === 1),
      [0, 0, 0],
    );
  });
});
