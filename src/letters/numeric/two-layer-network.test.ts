import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RandomWords } from '../../base/random.ts';
import { type Rows, TwoLayerNetwork } from './two-layer-network.ts';
import { type NetworkShape, parameterCount } from './parameters.ts';

const SHAPE: NetworkShape = { features: 5, hidden: 7, classes: 3 };

function numbers(count: number, seed: number, scale: number): Float64Array {
  const words = new RandomWords(seed, 'synthetic');
  return Float64Array.from({ length: count }, (_, i) => scale * (2 * words.uniform(i) - 1));
}

function rows(count: number, seed = 1): Rows {
  const words = new RandomWords(seed, 'split');
  return {
    count,
    x: numbers(count * SHAPE.features, seed, 2),
    labels: Uint8Array.from({ length: count }, (_, i) => words.below(i, SHAPE.classes)),
  };
}

function entropyAt(network: TwoLayerNetwork, parameters: Float64Array): number {
  network.setParameters(parameters);
  return network.evaluate().crossEntropy;
}

describe('TwoLayerNetwork', () => {
  test('points downhill as finite differences do, with a real ReLU', () => {
    const network = new TwoLayerNetwork(SHAPE, 'relu');
    const parameters = numbers(parameterCount(SHAPE), 3, 0.5);
    network.setParameters(parameters);
    network.setRows(rows(70));
    network.accumulate(0, 70);
    const downhill = network.downhill();

    for (let i = 0; i < parameters.length; i++) {
      const step = 1e-5;
      const [up, down] = [1, -1].map((sign) => {
        const moved = parameters.slice();
        moved[i]! += sign * step;
        return entropyAt(network, moved);
      });
      const slope = (up! - down!) / (2 * step);
      assert.ok(
        Math.abs(slope + downhill[i]!) < 2e-4 * (1 + Math.abs(slope)),
        `${i}: ${slope} ${downhill[i]}`,
      );
    }
  });

  test('computes the same whether rows come in one part or the parts are added', () => {
    const network = new TwoLayerNetwork(SHAPE, 'relu');
    network.setParameters(numbers(parameterCount(SHAPE), 3, 0.5));
    network.setRows(rows(100));
    network.accumulate(0, 40);
    const first = network.downhill();
    network.accumulate(40, 100);
    const second = network.downhill();

    const whole = network.accumulate(0, 100);

    const sum = first.map((value, i) => value + second[i]!);
    network.downhill().forEach((value, i) => assert.ok(Math.abs(value - sum[i]!) < 1e-10));
    assert.ok(whole.crossEntropy > 0);
  });

  test('gives rows that only fill a tile up no part in anything', () => {
    const network = new TwoLayerNetwork(SHAPE, 'relu');
    const few = rows(5);
    network.setParameters(numbers(parameterCount(SHAPE), 3, 0.5));
    network.setRows(rows(64, 9));
    network.accumulate(0, 64);
    network.setRows(few);
    network.accumulate(0, 5);
    const afterMany = network.downhill();
    const fresh = new TwoLayerNetwork(SHAPE, 'relu');
    fresh.setParameters(network.parameters());
    fresh.setRows(few);

    fresh.accumulate(0, 5);

    assert.deepEqual(fresh.downhill(), afterMany);
  });

  test('gives back the parameters it was given', () => {
    const network = new TwoLayerNetwork(SHAPE, 'seed');
    const parameters = numbers(parameterCount(SHAPE), 4, 1);

    network.setParameters(parameters);

    assert.deepEqual(network.parameters(), parameters);
  });
});
