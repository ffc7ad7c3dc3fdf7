import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { encode as encodePng } from 'fast-png';
import { LockstepError } from '../base/errors.ts';
import type { ModelDescription } from '../runs/model-description.ts';
import type { SavedModel } from '../runs/saved-model.ts';
import { type FilePredictions, predictFiles } from './predict-files.ts';

const folder = mkdtempSync(join(tmpdir(), 'lockstep-predict-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

type Changes = Partial<Omit<ModelDescription, 'input'>> & {
  readonly input?: Partial<ModelDescription['input']>;
};

const TABLE: ModelDescription = {
  task: 'classification',
  input: {
    ...{ name: 'input', type: 'float32', shape: ['batch', 2], holds: 'numbers' },
    ...{ about: 'cells', columnNames: ['a', 'b'], labelColumn: 2, labelName: 'kind' },
  },
  output: { name: 'logits', gives: 'numbers' },
  classNames: ['no', 'yes'],
};

/** A model that puts out what it is given, and remembers it. */
class Mirror implements SavedModel {
  readonly description: ModelDescription;
  readonly features: readonly number[];
  given: number[] = [];

  constructor({ input, ...changes }: Changes) {
    this.description = { ...TABLE, ...changes, input: { ...TABLE.input, ...input } };
    this.features = this.description.input.shape.slice(1).map(Number);
  }

  run: SavedModel['run'] = (values, count) => {
    this.given = Array.from(values, Number);
    const scores = Float32Array.from(this.given);
    const size = scores.length / count;
    // Of a sequence two scores a position.
    const shape = this.description.task === 'sequence' ? [size / 2, 2] : [size];
    return Promise.resolve({ scores, shape: [count, ...shape] });
  };

  close: SavedModel['close'] = () => Promise.resolve();
}

async function predict(
  changes: Changes,
  ...files: readonly string[]
): Promise<{ given: number[]; found: FilePredictions }> {
  const mirror = new Mirror(changes);
  const found = await predictFiles(mirror, files);
  return { given: mirror.given, found };
}

describe('rows of a table', () => {
  test('are taken by the names of their columns, in any order, with the share of wrong labels', async () => {
    const path = write('t.csv', 'b,kind,more,a\n1,yes,9,2\n3,no,9,4\n6,yes,9,5\n');

    const { given, found } = await predict({}, path);

    assert.deepEqual(given, [2, 1, 4, 3, 5, 6]);
    assert.deepEqual(
      found.predictions.map(({ input, classes }) => [input, classes]),
      [
        [`${path}:2`, ['no']],
        [`${path}:3`, ['no']],
        [`${path}:4`, ['yes']],
      ],
    );
    assert.equal(found.errorRate, 1 / 3);
    assert.deepEqual(found.classNames, ['no', 'yes']);
  });

  test('are taken in order without a header, with the label in its place or without', async () => {
    const bare = await predict({}, write('bare.csv', '1,2\n'));
    const labelled = await predict({}, write('labelled.tsv', '3\tyes\t4\n'));

    assert.deepEqual([bare.given, bare.found.errorRate], [[1, 2], undefined]);
    assert.deepEqual([labelled.given, labelled.found.errorRate], [[3, 4], 0]);
  });

  test('are pixels, too, for a model of images', async () => {
    const input = { type: 'uint8', shape: ['batch', 1, 2], holds: 'pixels' } as const;

    const { given } = await predict({ input }, write('pixels.csv', '0,255\n'));

    assert.deepEqual(given, [0, 255]);
  });
});

describe('images', () => {
  const pixels = Uint8Array.from({ length: 2 * 3 * 3 }, (_, i) => i * 10);
  const png = encodePng({ width: 3, height: 2, channels: 3, data: pixels });
  const last = { shape: ['batch', 2, 3, 3], hasChannelsLast: true };

  test('are given as their files hold them, channels last or in planes', async () => {
    const path = write('a.png', png);
    const input = { type: 'uint8', holds: 'pixels' } as const;

    const asInFile = await predict({ input: { ...input, ...last } }, path);
    const inPlanes = await predict({ input: { ...input, shape: ['batch', 3, 2, 3] } }, path);
    const grey = await predict({ input: { ...input, shape: ['batch', 2, 3] } }, path);

    assert.deepEqual(asInFile.given, [...pixels]);
    assert.deepEqual(inPlanes.given.slice(0, 6), [0, 30, 60, 90, 120, 150]);
    assert.deepEqual(grey.given.length, 6);
  });

  test('are brought to the size that training brought them to', async () => {
    const shape = ['batch', 1, 1, 3];
    const input = { ...last, type: 'uint8', holds: 'pixels', shape, imageSize: 1 } as const;

    const { given } = await predict({ input: { ...input, shape } }, write('b.png', png));

    assert.deepEqual(given, [75, 85, 95]);
  });

  test('of another size are refused otherwise', async () => {
    const input = { type: 'uint8', shape: ['batch', 4, 4], holds: 'pixels' } as const;

    await assert.rejects(predict({ input }, write('c.png', png)), {
      code: 'CONFIG_INVALID',
      message: /c\.png: expected 4 x 4 pixels, as the model was trained on, found 3 x 2\. /,
    });
  });
});

describe('tokens', () => {
  const input = { type: 'int32', shape: ['batch', 3], holds: 'tokens', about: 'ids' } as const;
  const vocabulary = { kind: 'ids', count: 10 } as const;

  test('are given as ids, or as a file with one sample a line', async () => {
    const path = write('tokens.txt', '1 2 3\n\n4, 5, 6\n');

    assert.deepEqual((await predict({ input, vocabulary }, '7 8 9')).given, [7, 8, 9]);
    assert.deepEqual((await predict({ input, vocabulary }, path)).given, [1, 2, 3, 4, 5, 6]);
  });

  test('get a class for every position of a sequence', async () => {
    const two = { ...input, shape: ['batch', 4] };

    const { found } = await predict({ task: 'sequence', input: two, vocabulary }, '7 9 8 1');

    assert.deepEqual(found.predictions[0]?.classes, ['yes', 'no']);
  });

  test('of a language model go to another command', async () => {
    const text = { kind: 'byte' } as const;

    await assert.rejects(predict({ task: 'sequence', input, vocabulary: text }, '1 2 3'), {
      code: 'CONFIG_INVALID',
      message: /language model, .* lockstep generate /,
    });
  });
});

describe('what comes out', () => {
  const row = write('row.csv', '0,1\n');
  const answers = async (changes: Changes): Promise<object> =>
    (await predict(changes, row)).found.predictions[0]!;
  const rounded = async (changes: Changes): Promise<number[]> => {
    const { probabilities = [] } = (await answers(changes)) as FilePredictions['predictions'][0];
    return probabilities.map((part) => Number(part.toFixed(4)));
  };
  const gives = (what: ModelDescription['output']['gives']): Changes => ({
    output: { name: 'scores', gives: what },
  });

  test('are probabilities by a softmax of logits, or as they are', async () => {
    assert.deepEqual(await rounded(gives('logits')), [0.2689, 0.7311]);
    assert.deepEqual(await rounded(gives('probabilities')), [0, 1]);
  });

  test('are those of two classes where there is one score', async () => {
    const input = { shape: ['batch', 1], columnNames: ['a'] };
    const path = write('one.csv', 'a\n2\n');

    const { found } = await predict({ input, ...gives('logits') }, path);

    const [{ classes, probabilities }] = found.predictions as [FilePredictions['predictions'][0]];
    assert.deepEqual(classes, ['yes']);
    assert.equal(probabilities![1]!.toFixed(4), '0.8808');
  });

  test('are numbers of a regression, and probabilities of yes-or-no answers', async () => {
    const number = await answers({ task: 'regression', ...gives('numbers') });

    assert.deepEqual(number, { input: `${row}:1`, values: [0, 1] });
    assert.deepEqual(await rounded({ task: 'binary', ...gives('logits') }), [0.5, 0.7311]);
  });
});

describe('what cannot be used', () => {
  const images = { type: 'uint8', shape: ['batch', 2, 2], holds: 'pixels' } as const;
  const ids = { type: 'int32', shape: ['batch', 3], holds: 'tokens', about: 'ids' } as const;
  const vocabulary = { kind: 'ids', count: 10 } as const;
  const cases: readonly [string, Changes, string, RegExp][] = [
    ['a file that is not there', {}, 'no.csv', /^predicting for no\.csv: there is no such file$/],
    ['a folder', {}, mkdtempSync(join(folder, '1')), /ends in \.csv, \.tsv: .* rows of a table$/],
    ['a file of another kind', {}, 'a.png', /expected a file that ends in \.csv, \.tsv/],
    ['an image that is a text', { input: images }, 'a.txt', /in \.png, .* takes images, or/],
    ['a column that is missing', {}, write('m.csv', 'a,c\n1,2\n'), /columns a, b, .*: b is miss/],
    ['too few columns', {}, write('f.csv', '1\n'), /rows of 2 cells, or 3 with .* 2, found 1$/],
    ['a word', {}, write('w.csv', '1,2\n1,x\n'), /line 2: column 2: expected a number, found "x"/],
    ['a short row', {}, write('s.csv', '1,2\n1\n'), /line 2: expected 2 cells, found 1$/],
    ['no byte', { input: images }, write('p.csv', '0,1,2,0.5\n'), /number from 0 to 255, .*"0\.5"/],
    ['nothing', {}, write('e.csv', ''), /expected rows, found none$/],
    ['a header alone', {}, write('h.csv', 'a,b\n'), /below the header, found none$/],
    ['bytes that are no text', {}, write('u.csv', Uint8Array.of(255, 254)), /text in UTF-8/],
    ['no image', { input: images }, write('i.png', 'text'), /expected a PNG or JPEG image/],
    ['too few ids', { input: ids }, '1 2', /expected 3 numbers, ids, found 2$/],
    ['words for ids', { input: ids }, 'call me now', /expected 3 numbers, ids, found "call"$/],
    ['an id too high', { input: ids, vocabulary }, '1 2 10', /ids of tokens below 10, got 10$/],
  ];
  for (const [what, changes, file, message] of cases)
    test(`is refused plainly: ${what}`, async () => {
      await assert.rejects(predict(changes, file), (error) => {
        assert.ok(error instanceof LockstepError);
        assert.match(error.message, message);
        return true;
      });
    });
});
