import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parts } from '../../../test/patterns.ts';
import {
  assertClose,
  assertSketch,
  BATCH,
  fileOf,
  modelOf,
  RECORDED,
  taskOf,
  trainOnce,
} from '../../../test/exported-networks.ts';
import { gradientName } from '../../autodiff/differentiate.ts';
import { ConfigError, ShapeError } from '../../base/errors.ts';
import type { GraphFile, GraphNode } from '../../graph/types.ts';
import type { Tensor } from '../../graph/values/types.ts';
import { type ImportedModel, importModel } from './imported.ts';
import type { ModelTask } from '../model.ts';
import { makeStepGraphs } from '../step-graphs.ts';

describe('freezing', () => {
  const namesOf = (model: ImportedModel): string[] => model.parameters.map(({ name }) => name);

  test('leaves out what a pattern names, and trains the rest as before', async () => {
    const recorded = RECORDED['mlp-13']!;
    const model = modelOf('mlp-13', ['hidden.*']);

    const outputs = await trainOnce(model, recorded);

    assert.deepEqual(namesOf(model), ['head.weight', 'head.bias']);
    assert.deepEqual(model.sorted.frozen, ['hidden.weight', 'hidden.bias']);
    assertClose(outputs.get('loss')![0]!, recorded.losses[0]!, 1e-4, 'loss');
    for (const name of namesOf(model))
      assertSketch(outputs.get(gradientName(name))!, recorded.gradients[name]!, name);
  });

  test('keeps a BatchNorm on its running statistics, in training too', async () => {
    const { trained, statistics } = modelOf('cnn-13', ['bn?.running_mean']).sorted;

    assert.deepEqual(statistics, []);
    assert.ok(trained.some(({ name }) => name === 'bn1.weight'));
    const { train } = makeStepGraphs(modelOf('cnn-13', ['bn1.*']), BATCH);
    const normalisations = train.nodes.filter(({ operator }) => operator === 'BatchNormalization');
    const [first, second] = normalisations.map(({ inputs }) => inputs[3]!);
    assert.equal(first, 'net/bn1.running_mean');
    assert.notEqual(second, 'bn2.running_mean');
  });

  test('takes brackets and dots of names as they are', () => {
    assert.throws(() => modelOf('mlp-13', ['hidden?weight', 'hidden[.]*']), ConfigError);
    assert.deepEqual(namesOf(modelOf('mlp-13', ['*.bias', 'hidden?weight'])), ['head.weight']);
  });

  test('names the weights when a pattern fits none, and refuses to train nothing', () => {
    assert.throws(() => modelOf('mlp-13', ['hiden.weight']), {
      code: 'CONFIG_INVALID',
      message: 'freeze: no weight is called hiden.weight. Did you mean "hidden.weight"?',
    });
    assert.throws(() => modelOf('mlp-13', ['*']), {
      code: 'CONFIG_INVALID',
      message: 'model mlp-13.onnx: expected weights to train, but freeze * leaves none',
    });
  });
});

describe('a network that ends in probabilities', () => {
  const ending = (operator: 'Softmax' | 'Sigmoid'): GraphFile => {
    const file = fileOf('norm-gelu-17');
    const last = {
      operator,
      name: 'last',
      inputs: ['scores'],
      outputs: ['p'],
      attributes: {},
    } as const;
    return { ...file, outputs: [{ ...file.outputs[0]!, name: 'p' }], nodes: [...file.nodes, last] };
  };
  const hasEnding = (file: GraphFile, task: ModelTask, loss: 'auto' | 'mse' | 'bce'): boolean =>
    makeStepGraphs(importModel(file, task, { loss }), BATCH).evaluate.nodes.some(
      ({ name }) => name === 'net/last',
    );

  test('gives its scores to a cross-entropy, and its probabilities to a squared error', () => {
    const binary: ModelTask = { features: [6], target: { kind: 'binary', outputs: 2 } };
    const classes: ModelTask = { features: [6], target: { kind: 'classification', classes: 2 } };

    assert.equal(hasEnding(ending('Sigmoid'), binary, 'auto'), false);
    assert.equal(hasEnding(ending('Sigmoid'), binary, 'mse'), true);
    assert.equal(hasEnding(ending('Softmax'), classes, 'auto'), false);
    assert.equal(hasEnding(ending('Sigmoid'), classes, 'auto'), true);
  });
});

describe('a network that answers yes or no', () => {
  /** Of [batch, 6]; one score, of the first two differences. */
  const single = (isProbability: boolean): GraphFile => {
    const file = fileOf('norm-gelu-17');
    const head = {
      name: 'head',
      type: 'float32',
      shape: [2, 1],
      data: Float32Array.of(1, -1),
    } as const;
    const score = {
      operator: 'MatMul',
      name: 'head',
      inputs: ['scores', 'head'],
      outputs: ['z'],
      attributes: {},
    } as const;
    const end = { ...score, operator: 'Sigmoid', name: 'last', inputs: ['z'], outputs: ['p'] };
    return {
      ...file,
      initializers: [...file.initializers, head],
      outputs: [{ ...file.outputs[0]!, name: isProbability ? 'p' : 'z', shape: ['batch', 1] }],
      nodes: [...file.nodes, score, ...(isProbability ? [end as GraphNode] : [])],
    };
  };
  const recorded = RECORDED['norm-gelu-17']!;
  const labels = [0, 1, 1, 0];
  const train = async (model: ImportedModel): Promise<ReadonlyMap<string, number[]>> =>
    trainOnce(model, { ...recorded, y: labels });

  test('has one loss and one gradient for labels, and for numbers that are all 0 or 1', async () => {
    const classes: ModelTask = { features: [6], target: { kind: 'classification', classes: 2 } };
    const numbers: ModelTask = { features: [6], target: { kind: 'regression', outputs: 1 } };
    const [reference, ...others] = await Promise.all(
      [false, true].flatMap((isProbability) => {
        const file = single(isProbability);
        const ofNumbers = importModel(file, numbers, { hasBinaryTargets: true });
        assert.equal(ofNumbers.usualLoss, 'bce');
        assert.equal(ofNumbers.notes.length, 1);
        return [train(importModel(file, classes)), train(ofNumbers)];
      }),
    );

    assert.ok(reference!.get('loss')![0]! > 0);
    for (const outputs of others)
      for (const name of ['loss', gradientName('head')])
        for (const [i, value] of outputs.get(name)!.entries())
          assertClose(value, reference!.get(name)![i]!, 1e-6, name);
  });

  test('has a squared error when that is asked for, or a target is another number', () => {
    const numbers: ModelTask = { features: [6], target: { kind: 'regression', outputs: 1 } };

    assert.equal(importModel(single(true), numbers).usualLoss, undefined);
    const asked = importModel(single(true), numbers, { hasBinaryTargets: true, loss: 'mse' });
    assert.deepEqual([asked.usualLoss, asked.notes], [undefined, []]);
  });
});

describe('a network that answers for every pixel', () => {
  const masks: ModelTask = {
    features: [3, 7, 6],
    target: { kind: 'segmentation', classes: 2, size: [7, 6] },
  };
  const masked = RECORDED['masker-17']!;

  test('may give one score for two classes, with the loss of yes or no', async () => {
    const model = importModel(fileOf('masker-17'), masks);

    const outputs = await trainOnce(model, masked);

    assertClose(outputs.get('loss')![0]!, masked.losses[0]!, 1e-5, 'loss');
    for (const { name } of model.parameters)
      assertSketch(outputs.get(gradientName(name))!, masked.gradients[name]!, name);
  });

  test('learns numbers that are all 0 or 1 by bce, whether their channel is written or not', () => {
    for (const shape of [
      [1, 7, 6],
      [7, 6],
    ]) {
      const task: ModelTask = {
        features: [3, 7, 6],
        target: { kind: 'regression', outputs: 42, shape },
      };
      const { usualLoss } = importModel(fileOf('masker-17'), task, { hasBinaryTargets: true });
      assert.equal(usualLoss, 'bce');
      makeStepGraphs(importModel(fileOf('masker-17'), task), BATCH);
    }
  });

  test('is refused with the shape that it needs, [classes, height, width]', () => {
    const task = (target: ModelTask['target']): ModelTask => ({ features: [2, 6, 6], target });
    const refused = (target: ModelTask['target'], message: RegExp): void => {
      assert.throws(
        () => makeStepGraphs(importModel(fileOf('segmenter-17'), task(target)), BATCH),
        message,
      );
    };

    refused(
      { kind: 'segmentation', classes: 5, size: [6, 6] },
      /is float32 \[4, 3, 6, 6\], and a segmentation needs float32 \[4, 5, 6, 6\]\. /,
    );
    refused(
      { kind: 'regression', outputs: 36, shape: [1, 6, 6] },
      /is float32 \[4, 3, 6, 6\], and a regression needs float32 \[4, 1, 6, 6\]\. /,
    );
  });
});

describe('a network and data that do not fit', () => {
  const classification = (classes: number) => ({ kind: 'classification', classes }) as const;

  test('takes samples of another shape with as many numbers', () => {
    const file = fileOf('cnn-13');

    const model = importModel(file, { features: [784], target: classification(10) });

    const { train } = makeStepGraphs(model, 2);
    assert.deepEqual(train.inputs.find(({ name }) => name === 'x')!.shape, [2, 784]);
  });

  const refused: Readonly<Record<string, readonly [string, ModelTask, RegExp]>> = {
    'images of another size': [
      'cnn-13',
      { features: [3, 32, 32], target: classification(10) },
      parts(
        /cnn-13\.onnx and the data do not fit: its input image takes numbers \[1, 28, 28\].*/,
        /the data have numbers \[3, 32, 32\]/,
      ),
    ],
    'tokens for a network of numbers': [
      'mlp-13',
      { features: [12], target: classification(3), vocabulary: 50 },
      /takes numbers \[3, 4\].*the data have tokens 0 to 49 \[12\]/,
    ],
    'numbers for a network of tokens': [
      'embedding-13',
      { features: [7], target: classification(4) },
      /takes tokens \[7\].*the data have numbers \[7\]/,
    ],
    'more tokens than the table has rows': [
      'embedding-13',
      { features: [7], target: classification(4), vocabulary: 12 },
      /the table embedding\.weight at \/embedding\/Gather has 11 rows, the data have 12 tokens/,
    ],
    'another number of classes': [
      'cnn-13',
      { features: [1, 28, 28], target: classification(100) },
      parts(
        /its output scores is float32 \[4, 10\], and a classification needs float32 \[4, 100\]\. /,
        /Give its last layer \[100\] outputs/,
      ),
    ],
    'a label per position for one answer': [
      'embedding-13',
      { features: [7], target: { kind: 'sequence', classes: 11, length: 7 }, vocabulary: 11 },
      /its output scores is float32 \[4, 4\], and a sequence needs float32 \[4, 7, 11\]/,
    ],
  };
  for (const [what, [name, task, message]] of Object.entries(refused)) {
    test(`names both: ${what}`, () => {
      assert.throws(
        () => makeStepGraphs(importModel(fileOf(name), task), BATCH),
        (error: unknown) => {
          assert.ok(error instanceof ShapeError, String(error));
          assert.match(error.message, message);
          return true;
        },
      );
    });
  }

  test('tells how to export a network whose batch size cannot be freed', () => {
    assert.throws(() => modelOf('multi-head-fixed-17'), {
      code: 'GRAPH_UNSUPPORTED',
      message: parts(
        /^Reshape at \/attention\/Reshape: .*exported for batches of 1 samples; /,
        /export it again with dynamic_axes=\{'image': \{0: 'batch'\}\}\.$/,
      ),
    });
  });

  test('lists inputs and outputs when there are several', () => {
    const file = fileOf('mlp-13');
    const second = { name: 'mask', type: 'bool', shape: ['batch'] } as const;

    assert.throws(
      () => importModel({ ...file, inputs: [...file.inputs, second] }, taskOf(RECORDED['mlp-13']!)),
      parts(
        /expected one input and one output, got inputs image \[batch, 3, 4\], /,
        /mask \[batch\] and outputs scores/,
      ),
    );
  });
});

describe('a network that is made to hurt', () => {
  const task: ModelTask = { features: [4], target: { kind: 'classification', classes: 4 } };

  /** x [batch, 4] * w -> y, with more nodes before the end. */
  function networkWith(
    nodes: readonly Omit<GraphNode, 'name'>[],
    initializers: readonly Tensor[] = [],
  ): GraphFile {
    const last = nodes.at(-1)?.outputs[0] ?? 'x';
    const all = [
      ...nodes,
      { operator: 'Mul', inputs: [last, 'w'], outputs: ['y'], attributes: {} } as const,
    ];
    return {
      name: 'hostile.onnx',
      inputs: [{ name: 'x', type: 'float32', shape: ['batch', 4] }],
      outputs: [{ name: 'y', type: 'float32', shape: ['batch', 4] }],
      initializers: [
        { name: 'w', type: 'float32', shape: [4], data: new Float32Array(4) },
        ...initializers,
      ],
      nodes: all.map((node, index) => ({ ...node, name: `node.${index}` })),
    };
  }
  const sizes = (name: string, ...values: number[]): Tensor => ({
    name,
    type: 'int64',
    shape: [values.length],
    data: BigInt64Array.from(values, BigInt),
  });

  test('trains when nothing is wrong with it', () => {
    assert.deepEqual(
      importModel(networkWith([]), task).sorted.trained.map(({ name }) => name),
      ['w'],
    );
  });

  test('refuses values that double until they fill the memory', () => {
    const doublings = Array.from({ length: 64 }, (_, i) => ({
      operator: 'Concat' as const,
      inputs: [i === 0 ? 'x' : `x${i - 1}`, i === 0 ? 'x' : `x${i - 1}`],
      outputs: [`x${i}`],
      attributes: { axis: 1 },
    }));

    assert.throws(() => importModel(networkWith(doublings), task), /more than 2\^36 elements/);
  });

  test('refuses constants that fill the memory, one large or many', () => {
    const large = networkWith(
      [{ operator: 'ConstantOfShape', inputs: ['s'], outputs: ['c'], attributes: {} }],
      [sizes('s', 2 ** 16, 2 ** 16)],
    );
    const many = networkWith(
      Array.from({ length: 100 }, (_, i) => ({
        operator: 'ConstantOfShape' as const,
        inputs: ['s'],
        outputs: [`c${i}`],
        attributes: {},
      })),
      [sizes('s', 2 ** 22)],
    );

    assert.throws(
      () => importModel(large, task),
      /ConstantOfShape at node\.0: expected a constant of at most/,
    );
    assert.throws(
      () => importModel(many, task),
      /ConstantOfShape at node\.\d+: the constants .* are too many/,
    );
  });

  test('refuses weights that are called like values of the training step', () => {
    const file = networkWith([]);
    const renamed = {
      ...file,
      initializers: [{ ...file.initializers[0]!, name: 'sampleWeight' }],
      nodes: [{ ...file.nodes[0]!, inputs: ['x', 'sampleWeight'] }],
    };

    assert.throws(
      () => importModel(renamed, task),
      /weight sampleWeight: the training step needs this name/,
    );
  });

  test('refuses running statistics that two nodes share, unless they are frozen', () => {
    const four = (name: string): Tensor => ({
      name,
      type: 'float32',
      shape: [4],
      data: new Float32Array(4).fill(1),
    });
    const norm = (input: string, output: string): Omit<GraphNode, 'name'> => ({
      operator: 'BatchNormalization',
      inputs: [input, 'scale', 'bias', 'mean', 'variance'],
      outputs: [output],
      attributes: {},
    });
    const file = networkWith(
      [norm('x', 'a'), norm('a', 'b')],
      ['scale', 'bias', 'mean', 'variance'].map(four),
    );

    assert.throws(
      () => importModel(file, task),
      /BatchNormalization at node\.1: its running statistic mean is that of node\.0, too/,
    );
    assert.deepEqual(importModel(file, task, { freeze: ['mean'] }).sorted.frozen, [
      'mean',
      'variance',
    ]);
  });

  test('refuses a Dropout that leaves nothing', () => {
    const file = networkWith(
      [{ operator: 'Dropout', inputs: ['x', 'ratio'], outputs: ['d'], attributes: {} }],
      [{ name: 'ratio', type: 'float32', shape: [], data: Float32Array.of(1) }],
    );

    assert.throws(
      () => makeStepGraphs(importModel(file, task), 2),
      /Dropout at node\.0: expected a ratio/,
    );
  });
});
