import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RandomWords } from '../base/random.ts';
import { makeArenaLayout } from '../kernels/layout.ts';
import { gridExponents, mergeMaxima } from '../plan/grid.ts';
import { outerOptimizerOf } from './outer-update.ts';
import { RoundState } from './round-state.ts';
import { optimizerScalars } from '../optim/scalars.ts';
import { AVERAGING } from './averaging.ts';

const PARAMETERS = [
  { name: 'weight', shape: [5, 7], statisticMomentum: null },
  { name: 'bias', shape: [3], statisticMomentum: null },
];
const LENGTH = 38;
const ZEROS: readonly number[] = Array.from({ length: LENGTH }, () => 0);

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
  const weights = new RoundState(PARAMETERS, AVERAGING);
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
  weights.update({
    exponents,
    update: { sampleCount, scalars: { ...optimizerScalars(AVERAGING, 1, 1) } },
  });
  return weights.packed();
}

/** What of a change travels: the largest fifth of each tensor, by sorting, as int8; float64. */
function travels(change: readonly number[], words: RandomWords): number[] {
  const { tensors } = makeArenaLayout(PARAMETERS);
  let before = 0;
  return tensors.flatMap(({ offset, length }) => {
    const part = change.slice(before, (before += length));
    const sizes = part.map(Math.abs).sort((a, b) => b - a);
    const least = sizes[Math.ceil(0.2 * length) - 1]!;
    // The finest power of two of which 127 reach the largest element.
    const unit = 2 ** Math.ceil(Math.log2(sizes[0]! / 127));
    return part.map((value, i) =>
      Math.abs(value) < least ? 0 : unit * Math.floor(value / unit + words.uniform(offset + i)),
    );
  });
}

describe('RoundState', () => {
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
    const weights = new RoundState(PARAMETERS, AVERAGING);
    const end = numbers(1);
    end[36] = NaN;

    const { maxima } = weights.add(weights.changeTo(end, 10), [0, 0]);

    assert.ok(maxima[0]! > 0);
    assert.equal(maxima[1], null);
  });

  test('measures what it would add, with a checksum that adds up as the sum does', () => {
    const weights = new RoundState(PARAMETERS, AVERAGING);
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

  test('follows the outer gradient with Nesterov momentum as DiLoCo does, and keeps the state', () => {
    const outer = outerOptimizerOf({ outerMomentum: 0.9 });
    const state = new RoundState(PARAMETERS, outer);
    const start = numbers(0);
    state.set(Float32Array.from([...start, ...new Float32Array(LENGTH)]));
    // The algorithm of the paper, in float64.
    let expected = [...start];
    let velocity = expected.map(() => 0);
    for (let round = 0; round < 3; round++) {
      const end = numbers(round + 1);
      state.clearSum();
      const change = state.changeTo(end, 100);
      const maxima = state.measure(change, [0, 0]).maxima.map((maximum) => maximum ?? 0);
      const exponents = gridExponents(maxima, 1);
      state.add(change, exponents);
      const scalars = { ...optimizerScalars(outer, round + 1, 0.7) };
      state.update({ exponents, update: { sampleCount: 100, scalars } });
      const gradient = expected.map((weight, i) => weight - end[i]!);
      velocity = velocity.map((value, i) => 0.9 * value + gradient[i]!);
      expected = expected.map((weight, i) => weight - 0.7 * (gradient[i]! + 0.9 * velocity[i]!));
    }

    const [weights, momentum] = [
      state.packed().subarray(0, LENGTH),
      state.packed().subarray(LENGTH),
    ];
    assert.deepEqual(weights, state.weights());
    for (let i = 0; i < LENGTH; i++) {
      assert.ok(Math.abs(weights[i]! - expected[i]!) < 1e-5, `weight ${i}`);
      assert.ok(Math.abs(momentum[i]! - velocity[i]!) < 1e-5, `momentum ${i}`);
    }
    const copy = new RoundState(PARAMETERS, outer);
    copy.set(state.packed());
    assert.deepEqual(copy.packed(), state.packed());
  });

  test('makes up in later rounds for what did not travel, by the formulas of EF21', () => {
    const outer = outerOptimizerOf({ outerMomentum: 0.5 });
    const state = new RoundState(PARAMETERS, outer, true);
    state.set(Float32Array.from([...numbers(0), ...new Float32Array(2 * LENGTH)]));
    const samples = [100, 300];
    const expected = { weights: [...numbers(0)], velocity: ZEROS, estimate: ZEROS };
    for (let round = 0; round < 20; round++) {
      const moved = (k: number, i: number): number => 0.1 * numbers(10 * round + k)[i]! + (i % 5);
      const wordsOf = (k: number): RandomWords => new RandomWords(1, 'compress', round, k);
      const start = state.weights();
      const changes = samples.map((count, k) =>
        state.changeTo(
          start.map((weight, i) => weight - moved(k, i)),
          count,
          { words: wordsOf(k), topKPart: 0.2 },
        ),
      );
      const maxima = changes.map((change) => state.measure(change, [0, 0]).maxima.map(Number));
      const exponents = gridExponents(maxima.reduce(mergeMaxima), samples.length);
      state.clearSum();
      for (const change of changes) state.add(change, exponents);
      const scalars = { ...optimizerScalars(outer, round + 1, 0.7) };
      state.update({ exponents, update: { sampleCount: 400, scalars } });

      const { estimate } = expected;
      const sent = samples.map((count, k) =>
        travels(
          ZEROS.map((_, i) => count * (moved(k, i) - estimate[i]!)),
          wordsOf(k),
        ),
      );
      expected.estimate = estimate.map((value, i) => value + (sent[0]![i]! + sent[1]![i]!) / 400);
      const gradient = expected.estimate;
      expected.velocity = expected.velocity.map((value, i) => 0.5 * value + gradient[i]!);
      const step = expected.velocity.map((value, i) => gradient[i]! + 0.5 * value);
      expected.weights = expected.weights.map((weight, i) => weight - 0.7 * step[i]!);
    }

    const packed = state.packed();
    const { weights, velocity, estimate } = expected;
    for (const [i, value] of [...weights, ...velocity, ...estimate].entries())
      assert.ok(Math.abs(packed[i]! - value) < 1e-4 * (1 + Math.abs(value)), `element ${i}`);
    // A fifth travels in a round; everything has arrived, though not all in the same one.
    for (const [i, value] of estimate.entries())
      assert.ok(Math.abs(value - (i % 5)) < 0.2, `element ${i}: ${value}`);
  });

  test('averages running statistics whatever the update of the weights is, and rounds none', () => {
    const [weight, bias] = PARAMETERS;
    const parameters = [weight!, { ...bias!, statisticMomentum: 0.1 }];
    const outer = outerOptimizerOf({ outerMomentum: 0.9 });
    const state = new RoundState(parameters, outer);
    state.set(Float32Array.from([...numbers(0), ...numbers(9)]));
    const end = numbers(1);

    const change = state.changeTo(end, 100, { words: new RandomWords(1, 'compress') });
    const maxima = state.measure(change, [0, 0]).maxima.map((maximum) => maximum ?? 0);
    const exponents = gridExponents(maxima, 1);
    state.clearSum();
    state.add(change, exponents);
    const scalars = { ...optimizerScalars(outer, 1, 0.7) };
    state.update({ exponents, update: { sampleCount: 100, scalars } });

    const weights = state.weights();
    for (let i = 35; i < LENGTH; i++) assert.ok(Math.abs(weights[i]! - end[i]!) < 1e-6);
    assert.ok(Math.abs(weights[0]! - end[0]!) > 1e-3, 'weights are updated otherwise');
  });
});
