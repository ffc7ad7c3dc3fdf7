/**
 * Small models of every kind, with the inputs of scripts/record-pytorch-models.py.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { staticElementCount } from '../graph/values/shape.ts';
import type { Model, ModelTask } from './model.ts';
import { makeModel } from './models.ts';

export interface ModelCase {
  readonly name: string;
  readonly model: Model;
  /** The inputs of a batch of 4. */
  readonly x: readonly number[];
  readonly y: readonly number[];
  /** Dropout as it was recorded; absent: all ones. */
  readonly mask?: (shape: readonly number[]) => number[];
}

export interface RecordedModel {
  readonly name: string;
  readonly loss: number;
  readonly gradients: Readonly<
    Record<string, { readonly norm: number; readonly first: readonly number[] }>
  >;
}

/** Mean losses of 50 steps of Adam, from the same weights. */
export interface RecordedCurve {
  readonly name: string;
  readonly learningRate: number;
  readonly losses: readonly number[];
}

export function recordedModels(): readonly RecordedModel[] {
  return readFixture().models;
}

export function recordedCurves(): readonly RecordedCurve[] {
  return readFixture().learned;
}

function readFixture(): { readonly models: RecordedModel[]; readonly learned: RecordedCurve[] } {
  const file = join(import.meta.dirname, '../../test/fixtures/pytorch-models.json');
  return JSON.parse(readFileSync(file, 'utf8')) as ReturnType<typeof readFixture>;
}

/** Numbers in [-1, 1) with 24 bits, as the script computes them. */
export function pattern(count: number, salt: number): number[] {
  return Array.from({ length: count }, (_, i) => {
    const word = ((i + 1) * 2654435761 + salt * 2246822519) % 2 ** 32;
    return (2 * Math.floor(word / 256)) / 2 ** 24 - 1;
  });
}

/** A parameter's values, as the script computes them from its name and shape. */
export function numbersFor(name: string, shape: readonly number[]): number[] {
  const salt =
    Array.from(name).reduce((sum, letter, i) => sum + (i + 1) * letter.charCodeAt(0), 0) % 1000;
  const count = staticElementCount(shape);
  const values = pattern(count, salt);
  const [rows = 1] = shape;
  if (shape.length >= 2) return values.map((value) => value * Math.sqrt(3 / (count / rows)));
  const middle = /(?:weight|running_var)$/.test(name) ? 1 : 0;
  return values.map((value) => middle + 0.25 * value);
}

const integers = (count: number, step: number, classes: number): number[] =>
  Array.from({ length: count }, (_, i) => (i * step) % classes);

const classification = { kind: 'classification', classes: 5 } as const;
const images = (size: number): ModelTask => ({ features: [3, size, size], target: classification });
const tokens = (vocabulary: number): ModelTask => ({
  features: [6],
  vocabulary,
  target: classification,
});
const text: ModelTask = { ...tokens(11), target: { kind: 'sequence', classes: 11, length: 6 } };
const sequences: ModelTask = { features: [5, 8], target: { kind: 'regression', outputs: 1 } };

const labels = integers(4, 3, 5);
const ids = integers(24, 7, 11);
const following = integers(24, 5, 12);
const picture = (size: number): number[] => pattern(4 * 3 * size ** 2, 50);
const small = { layers: [2], width: 8, heads: 2, tokenTable: 13, positionTable: 9 };

export const CASES: readonly ModelCase[] = [
  {
    name: 'simple_cnn',
    model: makeModel('simple_cnn', images(10), { width: 4 }),
    x: picture(10),
    y: labels,
    mask: (shape) => pattern(staticElementCount(shape), 700).map((value) => (value > 0 ? 2 : 0)),
  },
  {
    name: 'resnet18',
    model: makeModel('resnet18', images(8), { layers: [1, 1], width: 4 }),
    x: picture(8),
    y: labels,
  },
  {
    name: 'resnet50',
    model: makeModel('resnet50', images(20), { layers: [1, 1], width: 4, stem: 'large' }),
    x: picture(20),
    y: labels,
  },
  {
    name: 'transformer',
    model: makeModel('transformer', sequences, { heads: 2, feedForward: 12 }),
    x: pattern(4 * 5 * 8, 52),
    y: pattern(4, 51),
  },
  {
    name: 'embedding',
    model: makeModel('embedding', tokens(11), { width: 8, feedForward: 12 }),
    x: ids,
    y: labels,
  },
  { name: 'bert', model: makeModel('bert', tokens(11), small), x: ids, y: labels },
  { name: 'gpt2', model: makeModel('gpt2', tokens(11), small), x: ids, y: labels },
  {
    name: 'gpt',
    model: makeModel('gpt', text, { layers: [2], width: 8, heads: 2, tiedHead: false }),
    x: ids,
    y: following,
  },
  {
    name: 'gpt tied',
    model: makeModel('gpt', text, { layers: [2], width: 8, heads: 2 }),
    x: ids,
    y: following,
  },
];
