import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkWithOnnx, onnxCheckerMissing } from '../../test/onnx-checker.ts';
import { runGraph } from '../../test/run-graph.ts';
import { GraphBuilder } from '../graph/builder.ts';
import { encodeGraph } from '../graph/file/encode.ts';
import type { Graph } from '../graph/types.ts';
import type { ValueInfo } from '../graph/values/types.ts';
import { differentiableOperators } from './gradient-cases.contract.ts';
import { GRADIENT_RULES } from './gradient-rules.ts';

/**
 * Every operator that no gradient passes, with what it gives for
 * a = [[1, -2, 3], [4, 5, -6]] and n = [7, -3, 2].
 */
const CASES: Readonly<
  Record<
    string,
    readonly [(g: GraphBuilder, a: ValueInfo, n: ValueInfo) => ValueInfo, readonly number[]]
  >
> = {
  Mod: [(g, _, n) => g.apply('Mod', [n, g.constant('int32', [], [4])]), [3, 1, 2]],
  Equal: [(g, _, n) => g.equal(n, g.constant('int32', [], [2])), [0, 0, 1]],
  Greater: [(g, a) => g.greater(a, g.scalar(1)), [0, 0, 1, 1, 1, 0]],
  GreaterOrEqual: [(g, a) => g.apply('GreaterOrEqual', [a, g.scalar(1)]), [1, 0, 1, 1, 1, 0]],
  Less: [(g, a) => g.less(a, g.scalar(1)), [0, 1, 0, 0, 0, 1]],
  LessOrEqual: [(g, a) => g.apply('LessOrEqual', [a, g.scalar(1)]), [1, 1, 0, 0, 0, 1]],
  And: [(g, a, n) => g.apply('And', [positive(g, a), odd(g, n)]), [1, 0, 0, 1, 1, 0]],
  Or: [(g, a, n) => g.apply('Or', [positive(g, a), odd(g, n)]), [1, 1, 1, 1, 1, 0]],
  Xor: [(g, a, n) => g.apply('Xor', [positive(g, a), odd(g, n)]), [0, 1, 1, 0, 0, 0]],
  Not: [(g, a) => g.apply('Not', [positive(g, a)]), [0, 1, 0, 0, 0, 1]],
  'Min of integers': [(g, _, n) => g.min(n, g.constant('int32', [], [2])), [2, -3, 2]],
  'Abs of integers': [(g, _, n) => g.abs(n), [7, 3, 2]],
  'Clip of integers': [(g, _, n) => g.apply('Clip', [n, g.constant('int32', [], [0])]), [7, 0, 2]],
  ReduceProd: [(g, a) => g.apply('ReduceProd', [a], { axes: [1], keepdims: 0 }), [-6, -120]],
  ArgMax: [(g, a) => g.argMax(a), [2, 1]],
  ArgMin: [(g, a) => g.apply('ArgMin', [a], { axis: 1, keepdims: 0 }), [1, 2]],
  OneHot: [(g, _, n) => g.oneHot(n, 3), [0, 0, 0, 1, 0, 0, 0, 0, 1]],
  ConstantOfShape: [(g) => g.apply('ConstantOfShape', [g.ints([2])]), [0, 0]],
  Shape: [(g, a) => g.apply('Shape', [a], { start: -1 }), [3]],
  Size: [(g, a) => g.apply('Size', [a]), [6]],
  Range: [
    (g) =>
      g.apply(
        'Range',
        [5, 0, -2].map((value) => g.constant('int64', [], [value])),
      ),
    [5, 3, 1],
  ],
  MaxUnpool: [
    (g, a) =>
      g.maxUnpool(
        g.reshape(a, [1, 3, 2]),
        g.constant('int64', [1, 3, 2], [0, 3, 5, 6, 9, 10]),
        [1, 3, 4],
        [2],
      ),
    [1, 0, 0, -2, 0, 3, 4, 0, 0, 5, -6, 0],
  ],
  'Concat of shapes': [(g, a) => g.concat([g.apply('Shape', [a]), g.ints([9])], 0), [2, 3, 9]],
  'Slice backwards': [
    (g, _, n) => g.slice(n, { axes: [0], starts: [-1], ends: [-9], steps: [-2] }),
    [2, 7],
  ],
  'Split in equal parts': [(g, a) => g.applyAll('Split', [a], 3, { axis: 1 })[2]!, [3, -6]],
};

function positive(g: GraphBuilder, a: ValueInfo): ValueInfo {
  return g.greater(a, g.scalar(0));
}

function odd(g: GraphBuilder, n: ValueInfo): ValueInfo {
  return g.cast(g.apply('Mod', [n, g.constant('int32', [], [2])]), 'bool');
}

function makeGraph(): Graph {
  const g = new GraphBuilder('operators');
  const a = g.input('a', 'float32', [2, 3]);
  const n = g.input('n', 'int32', [3]);
  for (const [name, [draw]] of Object.entries(CASES)) g.output(`${name}:`, draw(g, a, n));
  return g.build();
}

describe('operators that no gradient passes', () => {
  test('have a case each', () => {
    const others = Object.keys(GRADIENT_RULES).filter(
      (name) => !differentiableOperators().includes(name),
    );
    const covered = new Set(Object.keys(CASES).map((name) => name.split(' ')[0]));

    assert.deepEqual(
      others.filter((name) => !covered.has(name)),
      [],
    );
  });

  test('have the shapes that we infer and the values of their definitions', async () => {
    const outputs = await runGraph(makeGraph(), { a: [1, -2, 3, 4, 5, -6], n: [7, -3, 2] });

    const expected = Object.entries(CASES).map(
      ([name, [, values]]) => [`${name}:`, values] as const,
    );
    assert.deepEqual(outputs, new Map(expected));
  });

  test("make a model that ONNX's own checker accepts", { skip: onnxCheckerMissing() }, () => {
    assert.equal(checkWithOnnx([encodeGraph(makeGraph())]), '');
  });
});
