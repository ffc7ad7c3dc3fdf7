import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parts } from '../../test/patterns.ts';
import { ConfigError } from '../base/errors.ts';
import { CASES } from './model-cases.contract.ts';
import { parameterCountOf, stateElementCountOf, type Model, type ModelTask } from './model.ts';
import { makeModel, MODEL_NAMES } from './models.ts';
import { makeStepGraphs } from './step-graphs.ts';

const classes = (count: number) => ({ kind: 'classification', classes: count }) as const;
const number = { kind: 'regression', outputs: 1 } as const;

const thumbnails: ModelTask = { features: [3, 32, 32], target: classes(10) };
const photographs: ModelTask = { features: [3, 224, 224], target: classes(1000) };
const flat: ModelTask = { features: [784], target: classes(10) };
const sequences: ModelTask = { features: [32, 256], target: number };
const text = (vocabulary: number, length = 128): ModelTask => ({
  features: [length],
  vocabulary,
  target: classes(2),
});
const language = (vocabulary: number, length = 64): ModelTask => ({
  features: [length],
  vocabulary,
  target: { kind: 'sequence', classes: vocabulary, length },
});

function shapesOf(model: Model): string[] {
  return model.parameters.map(({ name, shape }) => `${name} [${shape.join()}]`);
}

describe('MODELS', () => {
  test('have a recorded case each, except mlp', () => {
    assert.deepEqual(
      new Set(CASES.map(({ model }) => model.name)),
      new Set(MODEL_NAMES.filter((name) => name !== 'mlp')),
    );
  });

  // The heterogeneous-cluster trainer's SimpleCNN; MiniCluster's workloads; torchvision's
  // documentation of ResNet; Hugging Face's BertForSequenceClassification of bert-base-uncased;
  // GPT2Model's 124,439,808 and a linear head.
  const published: readonly (readonly [string, ModelTask, Record<string, unknown>, number])[] = [
    ['simple_cnn', thumbnails, {}, 2_473_610],
    ['mlp', { features: [10], target: number }, { hidden: [128] }, 1_537],
    ['transformer', sequences, {}, 790_017],
    ['embedding', { ...text(10_000, 16), target: number }, {}, 1_313_281],
    ['resnet18', photographs, {}, 11_689_512],
    ['resnet50', photographs, {}, 25_557_032],
    ['bert', text(30_522), {}, 109_483_778],
    ['gpt2', text(50_257), {}, 124_439_808 + 768 * 2 + 2],
  ];
  for (const [name, task, options, count] of published) {
    test(`gives ${name} its published number of parameters, ${count}`, () => {
      assert.equal(parameterCountOf(makeModel(name, task, options)), count);
    });
  }

  test('gives a resnet another head for other classes, and a small stem for thumbnails', () => {
    const tenClasses = makeModel('resnet50', { ...photographs, target: classes(10) });
    const small = makeModel('resnet50', { ...photographs, features: [3, 32, 32] });

    assert.equal(parameterCountOf(tenClasses), 25_557_032 - 990 * 2049);
    assert.equal(parameterCountOf(small), 25_557_032 - 64 * 3 * (49 - 9));
    assert.equal(stateElementCountOf(small) - parameterCountOf(small), 2 * 26_560);
    assert.deepEqual(
      shapesOf(makeModel('resnet50', photographs, { stem: 'small' })).slice(0, 1),
      shapesOf(small).slice(0, 1),
    );
  });

  test('names and shapes parameters as torchvision and Hugging Face do', () => {
    const resnet = shapesOf(makeModel('resnet18', photographs));
    const bert = shapesOf(makeModel('bert', text(30_522)));
    const gpt2 = shapesOf(makeModel('gpt2', text(50_257)));

    assert.equal(resnet[0], 'conv1.weight [64,3,7,7]');
    assert.ok(resnet.includes('layer2.0.downsample.0.weight [128,64,1,1]'));
    assert.ok(resnet.includes('layer4.1.bn2.running_var [512]'));
    assert.equal(bert[0], 'bert.embeddings.word_embeddings.weight [30522,768]');
    assert.ok(bert.includes('bert.encoder.layer.11.attention.self.query.weight [768,768]'));
    assert.ok(bert.includes('bert.pooler.dense.bias [768]'));
    assert.equal(gpt2[0], 'transformer.wte.weight [50257,768]');
    assert.ok(gpt2.includes('transformer.h.11.attn.c_attn.weight [768,2304]'));
    assert.equal(gpt2.at(-1), 'classifier.bias [2]');
  });

  test('takes images of any size from 8 by 8, with any number of channels', () => {
    const cnn = makeModel(
      'simple_cnn',
      { features: [1, 28, 31], target: classes(10) },
      { width: 4 },
    );

    assert.ok(shapesOf(cnn).includes('conv1.weight [4,1,3,3]'));
    assert.ok(shapesOf(cnn).includes('fc1.weight [32,144]'));
  });

  test('gives sizes that follow from the width where none are given', () => {
    const bert = shapesOf(makeModel('bert', text(100), { width: 128, layers: 2, tokenTable: 100 }));
    const gpt = shapesOf(makeModel('gpt', language(65)));

    assert.ok(bert.includes('bert.encoder.layer.1.intermediate.dense.weight [512,128]'));
    assert.ok(gpt.includes('transformer.h.3.mlp.c_fc.weight [128,512]'));
    assert.ok(!gpt.some((shape) => shape.startsWith('lm_head')));
  });

  test('draws dropout where the model has it, and nowhere when its rate is 0', () => {
    const masks = (name: string, task: ModelTask, options: Record<string, unknown>): string[] =>
      makeStepGraphs(makeModel(name, task, options), 2).masks.map(
        ({ shape, rate }) => `${rate} [${shape.join()}]`,
      );
    const tiny = { layers: 1, width: 8, heads: 2, tokenTable: 9 };

    assert.deepEqual(masks('simple_cnn', thumbnails, { width: 2 }), ['0.5 [2,16]']);
    assert.deepEqual(masks('simple_cnn', thumbnails, { width: 2, dropout: 0 }), []);
    assert.deepEqual(masks('gpt', language(9, 6), { layers: 1 }), []);
    const hidden = '0.1 [2,6,8]';
    assert.deepEqual(masks('bert', text(9, 6), tiny), [
      hidden,
      '0.1 [2,2,6,6]',
      hidden,
      hidden,
      '0.1 [2,8]',
    ]);
    assert.deepEqual(masks('gpt2', text(9, 6), tiny), [hidden, '0.1 [2,2,6,6]', hidden, hidden]);
  });

  const refused: readonly (readonly [string, ModelTask, Record<string, unknown>, RegExp])[] = [
    [
      'simple_cnn',
      flat,
      {},
      parts(
        /expected images \[channels, height, width\], 8 by 8 at least, /,
        /got samples of numbers \[784\]/,
      ),
    ],
    [
      'simple_cnn',
      { ...thumbnails, features: [3, 7, 32] },
      {},
      /8 by 8 at least, got samples of numbers \[3, 7, 32\]/,
    ],
    [
      'resnet18',
      text(256),
      {},
      parts(
        /expected images .*got samples of tokens 0 to 255 \[128\]; /,
        /for such data: embedding, bert, gpt2$/,
      ),
    ],
    [
      'resnet18',
      thumbnails,
      { layers: [1, 1, 1, 1, 1, 1, 1, 1, 1] },
      /layers: expected 1 to 8 whole numbers/,
    ],
    [
      'mlp',
      text(256),
      {},
      /expected numbers, got samples of tokens 0 to 255 \[128\]; for such data: embedding/,
    ],
    ['mlp', { ...language(9), features: [64] }, {}, /expected numbers/],
    ['bert', thumbnails, {}, /expected tokens \[length\], got samples of numbers \[3, 32, 32\]/],
    [
      'bert',
      language(256),
      {},
      parts(
        /one answer each, got samples of tokens 0 to 255 \[64\], each with a label; /,
        /for such data: gpt$/,
      ),
    ],
    [
      'bert',
      text(40_000),
      {},
      /its token_table has 30522 rows, the data have a vocabulary of 40000; give token_table/,
    ],
    [
      'bert',
      text(256, 600),
      {},
      /its position_table has 512 rows, the data have sequences of 600 tokens/,
    ],
    ['bert', text(256), { heads: 5 }, /heads: expected a divisor of the width 768, got 5/],
    ['bert', text(256), { layers: [2, 2] }, /layers: expected one number, got \[2, 2\]/],
    ['gpt2', text(60_000), {}, /token_table has 50257 rows/],
    [
      'gpt',
      text(256),
      {},
      parts(
        /expected tokens with a label for each, got samples of tokens 0 to 255 \[128\]; /,
        /for such data: embedding/,
      ),
    ],
    [
      'gpt',
      { ...language(9), vocabulary: 12 },
      {},
      /tied_head: expected false for 9 labels of 12 tokens, got true/,
    ],
    [
      'transformer',
      flat,
      {},
      /expected number sequences \[length, width\], got samples of numbers \[784\]/,
    ],
    ['transformer', sequences, { heads: 7 }, /heads: expected a divisor of the width 256, got 7/],
    ['embedding', flat, {}, /expected tokens \[length\], got samples of numbers \[784\]/],
    [
      'embedding',
      text(50),
      { tokenTable: 40 },
      /token_table has 40 rows, the data have a vocabulary of 50/,
    ],
    [
      'simple_cnn',
      thumbnails,
      { heads: 2 },
      /simple_cnn option heads: expected one of width, dropout, got "heads"/,
    ],
    [
      'simple_cnn',
      thumbnails,
      { dropout: 1 },
      /simple_cnn option dropout: expected a number from 0 to below 1, got 1/,
    ],
    ['gpt', language(9), { activation: 'rulu' }, /got "rulu"; did you mean "relu"\?/],
  ];
  for (const [name, task, options, message] of refused) {
    test(`refuses ${name} on ${JSON.stringify(task)} with ${JSON.stringify(options)}`, () => {
      assert.throws(
        () => makeModel(name, task, options),
        (error) => error instanceof ConfigError && message.test(error.message),
      );
    });
  }
});
