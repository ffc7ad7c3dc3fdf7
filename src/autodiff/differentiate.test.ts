import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GraphError, ShapeError } from '../base/errors.ts';
import { GraphBuilder } from '../graph/builder.ts';
import { printGraph } from '../graph/print.ts';
import { differentiateGraph } from './differentiate.ts';
import { crossEntropySum } from './losses.ts';

/** What differentiation appended, as text. */
function appendedBy(g: GraphBuilder, loss: string, withRespectTo: readonly string[]): string[] {
  const before = g.build();
  const after = differentiateGraph(before, loss, withRespectTo);
  assert.deepEqual(after.nodes.slice(0, before.nodes.length), before.nodes);
  const lines = printGraph(after).split('\n');
  return lines
    .slice(lines.length - 1 - (after.nodes.length - before.nodes.length), -1)
    .map((line) => line.trim());
}

function printSquares(): string {
  const g = new GraphBuilder('twice');
  const a = g.input('a', 'float32', [2, 3]);
  g.output('loss', g.reduceSum(g.tanh(g.mul(a, a))));
  return printGraph(differentiateGraph(g.build(), 'loss', ['a']));
}

describe('differentiateGraph', () => {
  test('costs one node per product and bias, and two per Relu', () => {
    const g = new GraphBuilder('layer');
    const x = g.input('x', 'float32', [8, 4]);
    const w = g.input('w', 'float32', [3, 4]);
    const b = g.input('b', 'float32', [3]);
    g.output(
      'loss',
      g.reduceSum(
        g.mul(g.relu(g.gemm(x, w, b, { transB: true })), g.input('t', 'float32', [8, 3])),
      ),
    );

    assert.deepEqual(appendedBy(g, 'loss', ['w', 'b']), [
      'gradient/Relu/HardSigmoid: float32 [8, 3] = HardSigmoid(Relu, ' +
        'alpha=1.2676506002282294e+30, beta=0)',
      'gradient/Relu/Mul: float32 [8, 3] = Mul(t, gradient/Relu/HardSigmoid)',
      'gradient.w: float32 [3, 4] = gradient/Gemm/Gemm: Gemm(gradient/Relu/Mul, x, transA=1)',
      'gradient.b: float32 [3] = gradient/Gemm/MatMul: MatMul(constant.1, gradient/Relu/Mul)',
    ]);
  });

  test('gives weighted softmax minus one-hot for cross entropy: two passes and a scatter', () => {
    const g = new GraphBuilder('loss');
    const logits = g.input('logits', 'float32', [8, 3]);
    const loss = crossEntropySum(
      g,
      logits,
      g.input('y', 'int32', [8]),
      g.input('weights', 'float32', [8]),
    );
    g.output('loss', loss);

    assert.deepEqual(appendedBy(g, 'loss', ['logits']), [
      'gradient/GatherElements/Exp: float32 [8, 3] = Exp(LogSoftmax)',
      'gradient/GatherElements/Neg: float32 [8, 1] = Neg(Unsqueeze_1)',
      'gradient/GatherElements/Mul: float32 [8, 3] = Mul(gradient/GatherElements/Exp, ' +
        'gradient/GatherElements/Neg)',
      'gradient.logits: float32 [8, 3] = gradient/GatherElements/ScatterElements: ' +
        'ScatterElements(gradient/GatherElements/Mul, Unsqueeze, Unsqueeze_1, axis=1, ' +
        'reduction=add)',
    ]);
  });

  test('spends no node on values whose gradient nobody asked for', () => {
    const g = new GraphBuilder('sum');
    const a = g.input('a', 'float32', [2, 2]);
    const b = g.input('b', 'float32', [2, 2]);
    g.output('loss', g.reduceSum(g.gemm(g.exp(a), b)));

    const appended = appendedBy(g, 'loss', ['b']).join('\n');

    assert.match(appended, /transA=1/);
    assert.doesNotMatch(appended, /transB=1|Exp\)/);
  });

  test('gives a constant gradient its full shape', () => {
    const g = new GraphBuilder('sum');
    g.output('loss', g.reduceSum(g.input('a', 'float32', [2, 3])));

    const graph = differentiateGraph(g.build(), 'loss', ['a']);

    assert.deepEqual(graph.outputs.at(-1), { name: 'gradient.a', type: 'float32', shape: [2, 3] });
  });

  test('gives the same graph every time', () => {
    assert.equal(printSquares(), printSquares());
  });

  test('names the node and the differentiable operators when there is no rule', () => {
    const g = new GraphBuilder('jump');
    const a = g.input('a', 'float32', [2]);
    g.output('loss', g.reduceSum(g.within('head', () => g.oneHot(a, 3))));

    assert.throws(() => differentiateGraph(g.build(), 'loss', ['a']), {
      name: 'GraphError',
      message: /^differentiating OneHot at head\/OneHot: .* Freeze the weights before it/,
    });
  });

  test("names the node if a scatter has no gradient, or the loss takes a norm's statistics", () => {
    const g = new GraphBuilder('refused');
    const x = g.input('x', 'float32', [3]);
    const product = g.apply(
      'ScatterElements',
      [x, g.ints([0]), g.slice(x, { axes: [0], starts: [0], ends: [1] })],
      { reduction: 'mul' },
    );
    g.output('product', g.reduceSum(product));
    const [, mean] = g.applyAll('LayerNormalization', [x, x], 2);
    g.output('mean', g.reduceSum(mean!));

    assert.throws(() => differentiateGraph(g.build(), 'product', ['x']), {
      name: 'GraphError',
      message: /ScatterElements at ScatterElements: expected the reduction none or add, got "mul"/,
    });
    assert.throws(() => differentiateGraph(g.build(), 'mean', ['x']), {
      name: 'GraphError',
      message: /LayerNormalization at LayerNormalization: the loss depends on its mean/,
    });
  });

  test('throws GraphError when the loss does not depend on a value', () => {
    const g = new GraphBuilder('apart');
    g.input('b', 'float32', [2]);
    const a = g.input('a', 'float32', [2]);
    g.output('loss', g.reduceSum(g.cast(g.greater(a, g.scalar(0)), 'float32')));

    assert.throws(() => differentiateGraph(g.build(), 'loss', ['b']), GraphError);
    assert.throws(() => differentiateGraph(g.build(), 'loss', ['a']), GraphError);
    assert.throws(() => differentiateGraph(g.build(), 'nothing', ['a']), GraphError);
  });

  test('throws ShapeError when the loss is not one number', () => {
    const g = new GraphBuilder('wide');
    g.output('loss', g.neg(g.input('a', 'float32', [2])));

    assert.throws(() => differentiateGraph(g.build(), 'loss', ['a']), ShapeError);
  });
});
