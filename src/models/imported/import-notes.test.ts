import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fileOf, RECORDED, taskOf, trainOnce } from '../../../test/exported-networks.ts';
import { gradientName } from '../../autodiff/differentiate.ts';
import { decodeGraphFile } from '../../graph/file/decode.ts';
import { encodeGraph } from '../../graph/file/encode.ts';
import type { GraphFile, GraphNode } from '../../graph/types.ts';
import type { Tensor } from '../../graph/values/types.ts';
import { describeNetwork } from './describe-network.ts';
import { type ImportedModel, importModel } from './imported.ts';

const recorded = RECORDED['mlp-13']!;

/** The small network with `node` at its end, which takes its three scores. */
function endingWith(node: Pick<GraphNode, 'operator' | 'inputs'>, tensor: Tensor): GraphFile {
  const file = fileOf('mlp-13');
  return {
    ...file,
    outputs: [{ ...file.outputs[0]!, name: 'end' }],
    initializers: [...file.initializers, tensor],
    nodes: [...file.nodes, { ...node, name: 'last', outputs: ['end'], attributes: {} }],
  };
}

function numbers(name: string, values: readonly number[]): Tensor {
  return { name, type: 'float32', shape: [values.length], data: Float32Array.from(values) };
}

describe('weights of a network from a file', () => {
  test('with an infinity stay as they are, and gradients pass by them', async () => {
    const node = { operator: 'Add', inputs: ['scores', 'mask'] } as const;
    const file = endingWith(node, numbers('mask', [0, 0, -Infinity]));

    const model = importModel(file, taskOf(recorded));
    const outputs = await trainOnce(model, { ...recorded, y: recorded.y.map(() => 0) });

    assert.ok(!model.parameters.some(({ name }) => name === 'mask'));
    assert.ok(Number.isFinite(outputs.get('loss')![0]));
    const gradient = outputs.get(gradientName('head.bias'))!;
    assert.ok(gradient.every(Number.isFinite) && gradient[0] !== 0 && gradient[2] === 0);
    assert.deepEqual(model.notes, ['mask: stays as it is, since not all its numbers are finite']);
    assert.deepEqual(describeNetwork(file).notes.slice(-1), model.notes);
    const written = model.inference(new Map()).initializers.find(({ name }) => name === 'mask');
    assert.deepEqual([...written!.data], [0, 0, -Infinity]);
  });

  test('that look like buffers are trained, and named with the flag that keeps them', () => {
    const node = { operator: 'Mul', inputs: ['scores', 'factors'] } as const;
    const file = endingWith(node, numbers('factors', [1, 2, 3]));

    const trained = importModel(file, taskOf(recorded));
    const kept = importModel(file, taskOf(recorded), { freeze: ['factors'] });

    assert.ok(trained.parameters.some(({ name }) => name === 'factors'));
    assert.deepEqual(trained.notes, [
      "factors: trained, though only added or multiplied, as a buffer is; --freeze 'factors' " +
        'keeps it as it is',
    ]);
    assert.deepEqual(kept.notes, []);
  });

  test('are no numbers of Constant nodes, in the file that training writes neither', () => {
    const recordedNorm = RECORDED['normalized-13']!;
    const file = fileOf('normalized-13');
    const names = (model: ImportedModel): string[] => model.parameters.map(({ name }) => name);

    const model = importModel(file, taskOf(recordedNorm));
    const written = decodeGraphFile(encodeGraph(model.inference(new Map())));

    // GroupNorm is an InstanceNormalization by ones and zeros, and then its weights.
    const literal = file.initializers.filter(
      ({ name, type, shape }) =>
        file.literals!.has(name) && type === 'float32' && shape.length === 1,
    );
    assert.ok(literal.length >= 2);
    assert.deepEqual(names(model).sort(), Object.keys(recordedNorm.gradients).sort());
    assert.deepEqual(names(importModel(written, taskOf(recordedNorm))), names(model));
  });

  test('without axes are trained, if they are called as parameters are', () => {
    const scalar = (name: string): Tensor => ({ ...numbers(name, [2]), shape: [] });
    const named = (name: string): boolean =>
      importModel(
        endingWith({ operator: 'Mul', inputs: ['scores', name] }, scalar(name)),
        taskOf(recorded),
      ).parameters.some((spec) => spec.name === name);

    assert.deepEqual(
      ['scale', 'head.temperature', '/head/Constant_output_0', 'onnx::Mul_12', '12'].map(named),
      [true, true, false, false, false],
    );
  });

  test('that several layers share are named, with how to export them apart', () => {
    const file = endingWith(
      { operator: 'Add', inputs: ['scores', 'copy'] },
      numbers('unused', [0]),
    );
    const copy: GraphNode = {
      operator: 'Identity',
      name: 'copy',
      inputs: ['head.bias'],
      outputs: ['copy'],
      attributes: {},
    };

    const { notes } = importModel({ ...file, nodes: [copy, ...file.nodes] }, taskOf(recorded));

    assert.equal(notes.length, 1);
    assert.match(
      notes[0]!,
      /^head\.bias: one weight for several layers\. .*TrainingMode\.TRAINING/,
    );
  });

  test('of networks that PyTorch exported for training need no note, unless without axes', () => {
    const noted = Object.keys(RECORDED)
      .filter((name) => name !== 'multi-head-fixed-17')
      .flatMap((name) =>
        importModel(fileOf(name), taskOf(RECORDED[name]!)).notes.map((note) => `${name}: ${note}`),
      );

    assert.deepEqual(noted, [
      'index-attention-17: temperature: trained, though only added or multiplied, as a buffer is; ' +
        "--freeze 'temperature' keeps it as it is",
    ]);
  });
});
