import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { runGraph } from '../../test/run-graph.ts';
import { GraphBuilder } from '../graph/builder.ts';
import type { ValueInfo } from '../graph/values/types.ts';
import { differentiateGraph, gradientName } from './differentiate.ts';

type Draw = (g: GraphBuilder, x: ValueInfo) => ValueInfo;

const SCALE = Math.sqrt(2 / Math.PI);
const half = (g: GraphBuilder, x: ValueInfo): ValueInfo => g.mul(x, g.scalar(0.5));
const sides = (g: GraphBuilder, x: ValueInfo): ValueInfo =>
  g.add(g.erf(g.div(x, g.scalar(Math.SQRT2))), g.scalar(1));

const GELUS: Readonly<Record<string, Draw>> = {
  'by our builder': (g, x) => g.gelu(x),
  'by our builder, tanh': (g, x) => g.gelu(x, 'tanh'),
  'half of x first': (g, x) => g.mul(half(g, x), sides(g, x)),
  'half of the sides, product by x on the left': (g, x) => g.mul(half(g, sides(g, x)), x),
  'a multiplied inner value': (g, x) =>
    half(g, g.mul(g.add(g.scalar(1), g.erf(g.mul(g.scalar(Math.SQRT1_2), x))), x)),
  'the cube as products': (g, x) => {
    const cube = g.mul(x, g.mul(x, x));
    const inner = g.mul(g.scalar(SCALE), g.add(x, g.mul(g.scalar(0.044715), cube)));
    return g.mul(half(g, x), g.add(g.scalar(1), g.tanh(inner)));
  },
  'x a product by a constant': (g, x) => g.gelu(g.mul(x, g.scalar(1.5))),
};

const OTHERS: Readonly<Record<string, Draw>> = {
  'another inner scale': (g, x) => half(g, g.mul(x, g.add(g.erf(x), g.scalar(1)))),
  'another cubic term': (g, x) => {
    const inner = g.mul(g.add(x, g.mul(g.pow(x, 3), g.scalar(0.05))), g.scalar(SCALE));
    return half(g, g.mul(x, g.add(g.tanh(inner), g.scalar(1))));
  },
  'another outer factor': (g, x) => g.mul(x, sides(g, x)),
  'another value outside': (g, x) => half(g, g.mul(g.sin(x), sides(g, x))),
};

/** x -> loss = sum(f(x)), with the gradient. */
function differentiated(draw: Draw): ReturnType<typeof differentiateGraph> {
  const g = new GraphBuilder('gelu');
  g.output('loss', g.reduceSum(draw(g, g.input('x', 'float32', [5]))));
  return differentiateGraph(g.build(), 'loss', ['x']);
}

const X = [-2.5, -0.7, 0.1, 0.9, 3];
const STEP = 2 ** -7;

async function assertSlopes(draw: Draw): Promise<void> {
  const graph = differentiated(draw);
  const gradient = (await runGraph(graph, { x: X })).get(gradientName('x'))!;
  const g = new GraphBuilder('values');
  g.output('y', draw(g, g.input('x', 'float32', [5])));
  const at = async (shift: number): Promise<number[]> =>
    (await runGraph(g.build(), { x: X.map((x) => x + shift) })).get('y')!;
  const [above, below] = [await at(STEP), await at(-STEP)];

  for (const [i, slope] of gradient.entries()) {
    const expected = (above[i]! - below[i]!) / (2 * STEP);
    assert.ok(Math.abs(slope - expected) < 2e-4, `at ${X[i]}: expected ${expected}, got ${slope}`);
  }
}

function isFused(draw: Draw): boolean {
  return differentiated(draw).nodes.some(({ operator }) => operator === 'HardSigmoid');
}

describe('findGelus', () => {
  for (const [name, draw] of Object.entries(GELUS)) {
    test(`takes the gradient at once, and rightly: ${name}`, async () => {
      assert.ok(isFused(draw));
      await assertSlopes(draw);
    });
  }

  for (const [name, draw] of Object.entries(OTHERS)) {
    test(`leaves what is no Gelu to the rules: ${name}`, async () => {
      assert.ok(!isFused(draw));
      await assertSlopes(draw);
    });
  }

  test('adds the gradient of a value in between that the loss uses, too', async () => {
    await assertSlopes((g, x) => {
      const s = sides(g, x);
      return g.add(half(g, g.mul(x, s)), g.mul(s, s));
    });
  });
});
