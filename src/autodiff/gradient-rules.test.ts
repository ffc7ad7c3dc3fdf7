import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkWithOnnx, onnxCheckerMissing } from '../../test/onnx-checker.ts';
import { loadGraph, type Feeds } from '../../test/run-graph.ts';
import { checkGraph } from '../graph/check.ts';
import { decodeGraph } from '../graph/file/decode.ts';
import { encodeGraph } from '../graph/file/encode.ts';
import { gradientName } from './differentiate.ts';
import {
  CASES,
  differentiableOperators,
  INPUT_NAMES,
  makeCaseGraph,
  readRecorded,
  type RecordedCase,
} from './gradient-cases.contract.ts';

const recorded = readRecorded();

function feedsOf(one: RecordedCase): Record<string, readonly number[]> {
  const inputs = one.inputs.map((values, i) => [INPUT_NAMES[i], values] as const);
  return { ...Object.fromEntries(inputs), projection: one.projection };
}

function assertClose(
  actual: readonly number[],
  expected: readonly number[],
  tolerance: number,
  what: string,
) {
  assert.equal(actual.length, expected.length, what);
  for (const [i, value] of expected.entries()) {
    const error = Math.abs(actual[i]! - value);
    assert.ok(
      error <= tolerance * (1 + Math.abs(value)),
      `${what}[${i}]: expected ${value}, got ${actual[i]}`,
    );
  }
}

describe('GRADIENT_RULES', () => {
  test('has a case for every differentiable operator, and every case is recorded', () => {
    const covered = new Set(Object.keys(CASES).map((name) => name.split(' ')[0]));
    const uncovered = differentiableOperators().filter((operator) => !covered.has(operator));

    assert.deepEqual(uncovered, []);
    assert.deepEqual(Object.keys(CASES).sort(), recorded.cases.map(({ name }) => name).sort());
  });

  for (const one of recorded.cases) {
    test(`gives PyTorch's values: ${one.name}`, async () => {
      const run = await loadGraph(makeCaseGraph(one));

      const outputs = await run(feedsOf(one));

      assertClose(outputs.get('output')!, one.output, 2e-6, 'output');
      for (const [i, gradient] of one.gradients.entries()) {
        const name = gradientName(INPUT_NAMES[i]!);
        assertClose(outputs.get(name)!, gradient, 5e-6, name);
      }
    });

    // Central differences: of the output, summed in float64,
    // so that only the output's own rounding counts.
    test(`agrees with finite differences: ${one.name}`, async () => {
      const graph = makeCaseGraph(one);
      const run = await loadGraph(graph);
      const feeds = feedsOf(one);
      const outputs = await run(feeds);
      const lossAt = async (at: Feeds): Promise<number> => {
        const { projection } = one;
        return (await run(at)).get('output')!.reduce((sum, y, i) => sum + y * projection[i]!, 0);
      };

      for (const [i, values] of one.inputs.entries()) {
        const name = INPUT_NAMES[i]!;
        const numeric: number[] = [];
        for (const [k, value] of values.entries()) {
          const [up, down] = [Math.fround(value + 0.01), Math.fround(value - 0.01)];
          const above = await lossAt({ ...feeds, [name]: values.with(k, up) });
          const below = await lossAt({ ...feeds, [name]: values.with(k, down) });
          numeric.push((above - below) / (up - down));
        }
        assertClose(outputs.get(gradientName(name))!, numeric, 1e-3, name);
      }
    });
  }

  test('emits graphs that our own checker accepts and that survive encoding', () => {
    for (const one of recorded.cases) {
      const graph = makeCaseGraph(one);

      checkGraph(graph);
      assert.deepEqual(decodeGraph(encodeGraph(graph)), graph, one.name);
    }
  });

  test("emits models that ONNX's own checker accepts", { skip: onnxCheckerMissing() }, () => {
    const models = recorded.cases.map((one) => encodeGraph(makeCaseGraph(one)));

    assert.equal(checkWithOnnx(models), '');
  });
});
