import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import {
  convForms,
  convWorkKey,
  convWorkOf,
  type ConvForm,
  type ConvWork,
} from '../autodiff/conv-forms.ts';
import type { Model } from '../models/model.ts';
import { makeModel } from '../models/models.ts';
import { makeEvaluateGraph } from '../models/step-graphs.ts';
import { chooseConvForms } from './form-cache.ts';

const folder = mkdtempSync(join(tmpdir(), 'lockstep-forms-'));
after(() => rmSync(folder, { recursive: true }));

const model = makeModel('simple_cnn', {
  features: [3, 8, 8],
  target: { kind: 'classification', classes: 3 },
});

/**
 * Chooses with a measurement that always takes form `choice` of the valid ones; counts and notes.
 */
function chooser(cacheDir: string, choice: number) {
  const notes: string[] = [];
  let measurements = 0;
  const measure = async (works: readonly ConvWork[]): Promise<Map<string, ConvForm>> => {
    measurements++;
    return new Map(works.map((one) => [convWorkKey(one), convForms(one).at(choice)!]));
  };
  const choose = async (of: Model = model, microBatch = 2): Promise<string> => {
    const forms = await chooseConvForms(of, microBatch, {
      cacheDir,
      onNote: (note) => notes.push(note),
      measure,
    });
    const works = convWorkOf(makeEvaluateGraph(of, microBatch));
    return works.map((work) => forms?.(work) ?? 'default').join(' ');
  };
  return { choose, notes, measurements: () => measurements };
}

const newFolder = (): string => mkdtempSync(join(folder, 'cache-'));

describe('chooseConvForms', () => {
  test('measures once, and gives what was measured from then on', async () => {
    const cacheDir = newFolder();
    const [first, second] = [chooser(cacheDir, -1), chooser(cacheDir, 0)];

    const measured = await first.choose();
    const cached = await second.choose();

    assert.equal(cached, measured);
    assert.deepEqual([first.measurements(), second.measurements()], [1, 0]);
    assert.deepEqual([...first.notes, ...second.notes], []);
  });

  test('measures anew for another micro-batch', async () => {
    const one = chooser(newFolder(), -1);

    await one.choose(model, 2);
    await one.choose(model, 4);

    assert.equal(one.measurements(), 2);
  });

  test('lets the first of two runs that measure at the same time decide for both', async () => {
    const cacheDir = newFolder();
    const [first, second] = [chooser(cacheDir, -1), chooser(cacheDir, 0)];

    const [a, b] = await Promise.all([first.choose(), second.choose()]);

    assert.deepEqual([first.measurements(), second.measurements()], [1, 1]);
    assert.equal(a, b);
    assert.equal(await chooser(cacheDir, 1).choose(), a);
  });

  for (const [what, text] of [
    ['cut off', '{"forms": {'],
    ['of something else', '{"forms": {"weight": "positions"}}'],
    ['null', 'null'],
  ]) {
    test(`measures anew when the file is ${what}, says so, and replaces it`, async () => {
      const cacheDir = newFolder();
      const before = await chooser(cacheDir, 0).choose();
      const [file] = readdirSync(join(cacheDir, 'forms'));
      writeFileSync(join(cacheDir, 'forms', file!), text!);
      const again = chooser(cacheDir, -1);

      const measured = await again.choose();

      assert.notEqual(measured, before);
      assert.equal(again.notes.length, 1);
      assert.match(again.notes[0]!, /^ignoring the cached convolution forms in .*\.json: /);
      assert.equal(await chooser(cacheDir, 0).choose(), measured);
      assert.deepEqual(readdirSync(join(cacheDir, 'forms')), [file]);
      assert.match(
        readFileSync(join(cacheDir, 'forms', file!), 'utf8'),
        /"machine": "onnxruntime /,
      );
    });
  }

  test('takes the defaults when the cache cannot be written, and says so', async () => {
    const cacheDir = join(newFolder(), 'a-file');
    writeFileSync(cacheDir, '');
    const one = chooser(cacheDir, -1);

    assert.equal(await one.choose(), Array(8).fill('default').join(' '));
    assert.equal(one.measurements(), 0);
    assert.equal(one.notes.length, 1);
    assert.match(
      one.notes[0]!,
      /^convolutions take their default forms, since the cache cannot be written: E/,
    );
  });

  test('takes the defaults when what was measured cannot be kept, and says so', async () => {
    const cacheDir = newFolder();
    const notes: string[] = [];

    const forms = await chooseConvForms(model, 2, {
      cacheDir,
      onNote: (note) => notes.push(note),
      measure: async (works) => {
        rmSync(cacheDir, { recursive: true });
        return Promise.resolve(new Map(works.map((one) => [convWorkKey(one), convForms(one)[0]!])));
      },
    });

    assert.equal(forms?.(convWorkOf(makeEvaluateGraph(model, 2))[0]!), undefined);
    assert.match(notes.join(), /^convolutions take their default forms, .* written: ENOENT/);
  });

  test('does nothing for a model without convolutions', async () => {
    const mlp = makeModel('mlp', { features: [4], target: { kind: 'classification', classes: 3 } });
    const one = chooser(join(folder, 'none'), 0);

    assert.equal(await one.choose(mlp), '');
    assert.ok(!readdirSync(folder).includes('none'));
  });
});
