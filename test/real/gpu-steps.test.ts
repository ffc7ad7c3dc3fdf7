/**
 * A GPU (in software) against the CPU and PyTorch: losses and gradients of every model, every
 * operator by itself.
 */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { Tensor } from 'onnxruntime-node';
import { softwareGpuMissing, useSoftwareGpu } from '../software-gpu.ts';
import { gradientName } from '../../src/autodiff/differentiate.ts';
import {
  INPUT_NAMES,
  makeCaseGraph,
  readRecorded,
} from '../../src/autodiff/gradient-cases.contract.ts';
import { encodeGraph } from '../../src/graph/file/encode.ts';
import { staticElementCount } from '../../src/graph/values/shape.ts';
import type { Graph } from '../../src/graph/types.ts';
import type { ValueInfo } from '../../src/graph/values/types.ts';
import {
  CASES,
  type ModelCase,
  numbersFor,
  pattern,
} from '../../src/models/model-cases.contract.ts';
import { makeModel } from '../../src/models/models.ts';
import { makeStepGraphs } from '../../src/models/step-graphs.ts';
import type { Device } from '../../src/runtime/device.ts';
import { InPlaceSession } from '../../src/runtime/in-place-session.ts';
import { placeNodes } from '../../src/runtime/node-placement.ts';
import { onnxRuntime } from '../../src/runtime/onnx-runtime.ts';

const BATCH = 4;
/** Share of a tensor's largest element: both add in orders of their own, and have their own exp. */
const TOLERANCE = 2e-5;
/** Absolute difference, for gradients that are 0 but for rounding. */
const NOISE = 1e-7;
const skip = softwareGpuMissing();

const mlp: ModelCase = {
  name: 'mlp',
  model: makeModel(
    'mlp',
    { features: [9], target: { kind: 'classification', classes: 5 } },
    { hidden: [12, 7] },
  ),
  x: pattern(BATCH * 9, 1),
  y: [0, 3, 1, 4],
};

function tensorOf(type: string, values: readonly number[], shape: readonly number[]): Tensor {
  const { Tensor: TensorOf } = onnxRuntime();
  return type === 'int32'
    ? new TensorOf('int32', Int32Array.from(values), shape)
    : new TensorOf('float32', Float32Array.from(values), shape);
}

/** The numbers of an input; one of the samples does not count. */
function valuesOf({ x, y, mask }: ModelCase, { name, shape }: ValueInfo): readonly number[] {
  const sizes = shape.map(Number);
  if (name === 'x') return x;
  if (name === 'y') return y;
  if (name === 'sampleWeight') return [1, 0, 1, 1];
  if (name.startsWith('mask.'))
    return mask?.(sizes) ?? Array<number>(staticElementCount(sizes)).fill(1);
  return numbersFor(name, sizes);
}

/** Every output of the step, as `device` computes it. */
async function computeOn(
  device: Device,
  graph: Graph,
  valuesOfInput: (input: ValueInfo) => readonly number[],
  what: string,
): Promise<ReadonlyMap<string, Float32Array>> {
  const feeds = graph.inputs.map((input) => {
    const tensor = tensorOf(input.type, valuesOfInput(input), input.shape.map(Number));
    return [input.name, tensor] as const;
  });
  const fetches = graph.outputs.map(({ name, shape }) => {
    const sizes = shape.map(Number);
    return [
      name,
      tensorOf('float32', Array<number>(staticElementCount(sizes)).fill(NaN), sizes),
    ] as const;
  });
  const session = await InPlaceSession.create(encodeGraph(graph), what, device);
  await session.run(Object.fromEntries(feeds), Object.fromEntries(fetches));
  return new Map(fetches.map(([name, tensor]) => [name, tensor.data as Float32Array]));
}

describe('a training step on a GPU', { skip }, () => {
  before(useSoftwareGpu);

  for (const sample of [mlp, ...CASES]) {
    test(`has the loss and the gradients that it has on the CPU: ${sample.name}`, async () => {
      const { train } = makeStepGraphs(sample.model, BATCH);

      const values = (input: ValueInfo): readonly number[] => valuesOf(sample, input);
      const cpu = await computeOn('cpu', train, values, sample.name);
      const gpu = await computeOn('webgpu', train, values, sample.name);

      for (const [name, expected] of cpu) {
        const actual = gpu.get(name)!;
        const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        const difference = expected.reduce(
          (most, value, i) => Math.max(most, Math.abs(value - actual[i]!)),
          0,
        );
        assert.ok(
          difference <= TOLERANCE * largest + NOISE,
          `${name}: differs by ${difference}, largest ${largest}`,
        );
      }
    });
  }
});

describe('an operator on a GPU', { skip }, () => {
  before(useSoftwareGpu);

  test("has PyTorch's values and gradients, whatever the operator", async () => {
    for (const one of readRecorded().cases) {
      const inputs = new Map<string, readonly number[]>(
        one.inputs.map((values, i) => [INPUT_NAMES[i]!, values] as const),
      );
      const values = ({ name }: ValueInfo): readonly number[] => inputs.get(name) ?? one.projection;
      const outputs = await computeOn('webgpu', makeCaseGraph(one), values, one.name);

      const expected = one.gradients.map(
        (numbers, i) => [gradientName(INPUT_NAMES[i]!), numbers] as const,
      );
      for (const [name, numbers] of [['output', one.output] as const, ...expected]) {
        const errors = numbers.map(
          (value, i) => Math.abs(outputs.get(name)![i]! - value) / (1 + Math.abs(value)),
        );
        const worst = errors.reduce((most, error) => (error <= most ? most : error), 0);
        // WGSL promises sines to 2^-11 only.
        assert.ok(
          worst <= (/^(?:Sin|Cos)$/.test(one.name) ? 2 ** -11 : 1e-5),
          `${one.name}, ${name}: ${worst}`,
        );
      }
    }
  });
});

describe('placeNodes', { skip }, () => {
  before(useSoftwareGpu);

  test('tells which nodes a GPU computes and which it leaves to the CPU', async () => {
    const { train } = makeStepGraphs(mlp.model, BATCH);

    const placement = await placeNodes(encodeGraph(train), 'webgpu');

    assert.ok(placement!.onDevice > 15, `${placement!.onDevice} nodes on the GPU`);
    assert.equal(placement!.onCpu['LogSoftmax'], 1);
  });
});
