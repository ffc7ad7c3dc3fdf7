import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RandomWords } from '../base/random.ts';
import { gridExponents, mergeMaxima } from '../plan/grid.ts';
import { AveragedWeights } from './averaged-weights.ts';
import { optimizerScalars } from '../optim/scalars.ts';
import { AVERAGING } from './averaging.ts';

const PARAMETERS = [
  { name: 'weight', shape: [5, 7], statisticMomentum: null },
  { name: 'bias', shape: [3], statisticMomentum: null },
];
const LENGTH = 38;

function numbers(seed: number): Float32Array {
  const words = new RandomWords(seed, 'probe');
  return Float32Array.from({ length: LENGTH }, (_, i) => words.uniform(i) - 0.5);
}

/** Averages what shards of these sizes ended with, added in this order, and gives the weights. */
function averageOf(
  start: Float32Array,
  ends: readonly { readonly end: Float32Array; readonly samples: number }[],
  order: readonly number[],
): Float32Array {
  const weights = new AveragedWeights(PARAMETERS);
  weights.set(start);
  const changes = ends.map(({ end, samples }) => weights.changeTo(end, samples));
  const ones = PARAMETERS.map(() => 1);
  const maxima = changes
    .map((change) => weights.measure(change, ones).maxima.map((maximum) => maximum ?? 0))
    .reduce(mergeMaxima);
  const exponents = gridExponents(maxima, ends.length);
  weights.clearSum();
  for (const shard of order) weights.add(changes[shard]!, exponents);
  const sampleCount = ends.reduce((sum, { samples }) => sum + samples, 0);
  weights.average({
    exponents,
    update: { sampleCount, scalars: { ...optimizerScalars(AVERAGING, 1, 1) } },
  });
  return weights.packed();
}

describe('AveragedWeights', () => {
  const ends = [
    { end: numbers(1), samples: 100 },
    { end: numbers(2), samples: 300 },
    { end: numbers(3), samples: 37 },
  ];

  test('gives the mean of the shards, weighted by their samples', () => {
    const average = averageOf(numbers(0), ends, [0, 1, 2]);

    for (let i = 0; i < LENGTH; i++) {
      const mean = ends.reduce((sum, { end, samples }) => sum + samples * end[i]!, 0) / 437;
      assert.ok(Math.abs(average[i]! - mean) < 1e-6, `element ${i}: ${average[i]} for ${mean}`);
    }
  });

  test('gives the same bits in whatever order shards are added', () => {
    const orders = [
      [0, 1, 2],
      [2, 0, 1],
      [1, 2, 0],
    ];
    const [first, ...others] = orders.map((order) => averageOf(numbers(0), ends, order));

    for (const other of others) assert.deepEqual(other, first);
  });

  test('ends where its only shard ended, but for the last bits', () => {
    const end = numbers(1);
    const average = averageOf(numbers(0), [{ end, samples: 1000 }], [0]);

    assert.ok(average.every((value, i) => Math.abs(value - end[i]!) < 2e-7));
  });

  test('shows a shard that is not finite as maxima that are none', () => {
    const weights = new AveragedWeights(PARAMETERS);
    const end = numbers(1);
    end[36] = NaN;

    const { maxima } = weights.add(weights.changeTo(end, 10), [0, 0]);

    assert.ok(maxima[0]! > 0);
    assert.equal(maxima[1], null);
  });

  test('measures what it would add, with a checksum that adds up as the sum does', () => {
    const weights = new AveragedWeights(PARAMETERS);
    const change = weights.changeTo(numbers(1), 10);
    const twice = weights.changeTo(
      numbers(1).map((value) => 2 * value),
      10,
    );

    const measured = weights.measure(change, [8, 9]);

    assert.ok(
      weights.sum.every((byte) => byte === 0),
      'measuring adds nothing',
    );
    assert.deepEqual(weights.add(change, [8, 9]), measured);
    assert.notEqual(weights.measure(twice, [8, 9]).checksum, measured.checksum);
  });
});
