import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { loadGraph } from '../../test/run-graph.ts';
import { gradientName } from '../autodiff/differentiate.ts';
import { CASES, numbersFor, pattern, recordedCurves } from './model-cases.contract.ts';
import type { Model } from './model.ts';
import { makeStepGraphs } from './step-graphs.ts';

const BATCH = 8;
const ONES = Array<number>(BATCH).fill(1);

interface Batch {
  readonly x: readonly number[];
  readonly y: readonly number[];
}

/** Noise over a picture of the class, as the script draws it. */
function pictures(step: number): Batch {
  const y = ONES.map((_, i) => (i + step) % 5);
  const noise = pattern(BATCH * 300, 1000 + step);
  const classes = y.flatMap((label) => pattern(300, label));
  return { x: noise.map((value, i) => 0.25 * value + 0.75 * classes[i]!), y };
}

/** Each token follows from the one before it and its place. */
function sentences(step: number): Batch {
  const texts = [...ONES.keys()].map((i) =>
    Array.from(
      { length: 7 },
      (_, place) => (((i * 3 + step * 5) % 11) + (place * (place + 1)) / 2) % 11,
    ),
  );
  return {
    x: texts.flatMap((text) => text.slice(0, -1)),
    y: texts.flatMap((text) => text.slice(1)),
  };
}

/** PyTorch's Adam with its defaults, in plain numbers. */
class Adam {
  readonly #moments = new Map<string, { first: Float64Array; second: Float64Array }>();
  readonly #learningRate: number;
  #steps = 0;

  constructor(learningRate: number) {
    this.#learningRate = learningRate;
  }

  step(
    parameters: Map<string, Float32Array>,
    gradientOf: (name: string) => readonly number[],
  ): void {
    this.#steps++;
    for (const [name, values] of parameters) {
      const length = values.length;
      const known = this.#moments.get(name);
      const { first, second } = known ?? {
        first: new Float64Array(length),
        second: new Float64Array(length),
      };
      this.#moments.set(name, { first, second });
      for (const [i, gradient] of gradientOf(name).entries()) {
        first[i] = 0.9 * first[i]! + 0.1 * gradient;
        second[i] = 0.999 * second[i]! + 0.001 * gradient ** 2;
        const deviation = Math.sqrt(second[i] / (1 - 0.999 ** this.#steps)) + 1e-8;
        values[i]! -= (this.#learningRate * first[i]) / (1 - 0.9 ** this.#steps) / deviation;
      }
    }
  }
}

/** The mean loss of each step. */
async function learn(
  model: Model,
  batchOf: (step: number) => Batch,
  learningRate: number,
  steps: number,
) {
  const { train, masks } = makeStepGraphs(model, BATCH);
  const run = await loadGraph(train);
  const parameters = new Map(
    model.parameters.map(({ name, shape }) => [name, Float32Array.from(numbersFor(name, shape))]),
  );
  const adam = new Adam(learningRate);
  const noDropout = masks.map(({ name, shape }) => [
    name,
    Array(shape.reduce((a, b) => a * b)).fill(1),
  ]);
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    const feeds = {
      ...Object.fromEntries(parameters),
      ...Object.fromEntries(noDropout),
      ...batchOf(step),
    };
    const outputs = await run({ ...feeds, sampleWeight: ONES });
    losses.push(outputs.get('loss')![0]! / BATCH);
    adam.step(parameters, (name) => outputs.get(gradientName(name))!.map((value) => value / BATCH));
  }
  return losses;
}

describe('training', () => {
  for (const [name, batchOf] of [
    ['simple_cnn', pictures],
    ['gpt tied', sentences],
  ] as const) {
    test(`of ${name} goes down PyTorch's curve of losses`, async () => {
      const { model } = CASES.find((candidate) => candidate.name === name)!;
      const { losses: expected, learningRate } = recordedCurves().find(
        (curve) => curve.name === name,
      )!;

      const losses = await learn(model, batchOf, learningRate, expected.length);

      for (const [step, loss] of expected.entries())
        assert.ok(
          Math.abs(losses[step]! - loss) < 1e-4,
          `step ${step}: ${loss}, got ${losses[step]}`,
        );
      assert.ok(losses.at(-1)! < losses[0]! / 2, `${losses[0]} only fell to ${losses.at(-1)}`);
    });
  }
});
