import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { SampleForm } from '../data/sample-form.ts';
import { withPreamble } from '../models/preamble.ts';
import { makeModel } from '../models/models.ts';
import type { Model } from '../models/model.ts';
import { makeInferenceFile } from '../models/step-graphs.ts';
import {
  describeModel,
  metadataOf,
  type ModelDescription,
  parseDescription,
} from './model-description.ts';

const TABLE: SampleForm = {
  features: [2],
  storedAs: 'float32',
  target: { kind: 'classification', classes: 2 },
  classNames: ['no', 'yes'],
  normalisation: { scale: [2, 4], shift: [0, 1] },
  fileForm: { columnNames: ['a', 'b'], labelColumn: 3, labelName: 'c' },
};
const PHOTOS: SampleForm = {
  features: [3, 8, 8],
  storedAs: 'uint8',
  target: { kind: 'classification', classes: 3 },
  normalisation: { scale: [2], shift: [0] },
  fileForm: { layout: 'channels-last', imageSize: 8 },
};
const NOVEL: SampleForm = {
  features: [4],
  storedAs: 'int32',
  target: { kind: 'sequence', classes: 3, length: 4 },
  vocabulary: 3,
  classNames: ['\n', 'a', 'é'],
  normalisation: { scale: [1], shift: [0] },
};
const CURVE: SampleForm = {
  features: [2],
  storedAs: 'float32',
  target: { kind: 'regression', outputs: 1 },
  normalisation: { scale: [1], shift: [0] },
};

function describedAs(
  form: SampleForm,
  name = 'mlp',
  changes: Partial<Model> = {},
): ModelDescription {
  const sizes = name === 'mlp' ? { hidden: [3] } : { layers: [1], width: 4, heads: 1 };
  const model = { ...makeModel(name, form, sizes), ...changes };
  const zeros = model.parameters.map(({ name: parameter, shape }) => {
    return [parameter, new Float32Array(shape.reduce((a, b) => a * b, 1))] as const;
  });
  const file = withPreamble(makeInferenceFile(model, new Map(zeros)), form);
  return describeModel(file, { model, loss: 'auto', form });
}

describe('describeModel', () => {
  test('says of a model of a table which columns it takes, unscaled', () => {
    assert.deepEqual(describedAs(TABLE), {
      task: 'classification',
      input: {
        ...{ name: 'input', type: 'float32', shape: ['batch', 2], holds: 'numbers' },
        about: 'cells of a row of the table (a, b), not scaled: the model does that',
        ...{ scale: [2, 4], shift: [0, 1] },
        ...{ columnNames: ['a', 'b'], labelColumn: 3, labelName: 'c' },
      },
      output: { name: 'logits', gives: 'logits' },
      classNames: ['no', 'yes'],
    });
  });

  test('says of a model of images how they lie, and numbers the classes without names', () => {
    const { input, classNames } = describedAs(PHOTOS);

    assert.deepEqual([input.type, input.shape], ['uint8', ['batch', 8, 8, 3]]);
    assert.deepEqual([input.holds, input.hasChannelsLast, input.imageSize], ['pixels', true, 8]);
    assert.match(input.about, /^bytes of pixels .* brought to 8 x 8, not scaled: /);
    assert.deepEqual(classNames, ['0', '1', '2']);
  });

  test('has the characters of a language model, once', () => {
    const { input, vocabulary, classNames } = describedAs(NOVEL, 'gpt');

    assert.deepEqual([input.type, input.about], ['int32', 'ids of tokens, 0 to 2']);
    assert.deepEqual(vocabulary, { kind: 'char', characters: ['\n', 'a', 'é'] });
    assert.equal(classNames, undefined);
  });

  test('says what comes out: numbers, scores, or probabilities already', () => {
    assert.equal(describedAs(CURVE).output.gives, 'numbers');
    assert.equal(describedAs(CURVE, 'mlp', { usualLoss: 'bce' }).output.gives, 'logits');
    assert.equal(
      describedAs(TABLE, 'mlp', { givesProbabilities: true }).output.gives,
      'probabilities',
    );
  });
});

describe('parseDescription', () => {
  test('reads back what was written, beside other entries', () => {
    for (const described of [
      describedAs(TABLE),
      describedAs(PHOTOS),
      describedAs(NOVEL, 'gpt'),
      describedAs(CURVE),
    ])
      assert.deepEqual(parseDescription(metadataOf(described, { run: 'x' }), 'f'), described);
  });

  test('knows nothing of files from elsewhere', () => {
    assert.equal(parseDescription(undefined, 'f'), undefined);
    assert.equal(parseDescription(new Map([['author', 'me']]), 'f'), undefined);
  });

  test('refuses what Lockstep would not write', () => {
    const good = metadataOf(describedAs(TABLE), {});
    for (const [key, value] of [
      ['input', '{'],
      ['input', '{"name":"input"}'],
      ['output', '[]'],
      ['classNames', '"cat"'],
      ['task', 'poetry'],
    ] as const)
      assert.throws(() => parseDescription(new Map([...good, [key, value]]), 'model.onnx'), {
        code: 'GRAPH_UNSUPPORTED',
        message: /^model\.onnx: its metadata are not as Lockstep writes them: /,
      });
  });
});
