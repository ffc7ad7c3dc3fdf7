import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  convForms,
  convWorkKey,
  convWorkOf,
  defaultConvForm,
  type ConvForm,
  type ConvWork,
} from '../autodiff/conv-forms.ts';
import { GraphBuilder } from '../graph/builder.ts';
import { measureForms } from './measure-forms.ts';

function works(): ConvWork[] {
  const g = new GraphBuilder('image');
  const x = g.input('x', 'float32', [2, 8, 6, 6]);
  const h = g.conv(x, g.input('first', 'float32', [4, 8, 3, 3]));
  g.output('y', g.conv(h, g.input('second', 'float32', [4, 4, 3, 3])));
  return convWorkOf(g.build());
}

const formOf = (choices: ReadonlyMap<string, ConvForm>, work: ConvWork): ConvForm | undefined =>
  choices.get(convWorkKey(work));

describe('measureForms', () => {
  test('gives a valid form for every work on this machine', async () => {
    const all = works();

    const choices = await measureForms(all);

    assert.equal(choices.size, 5);
    for (const work of all) assert.ok(convForms(work).includes(formOf(choices, work)!));
  });

  test('leaves the default only for a form that is more than a tenth faster', async () => {
    const all = works();
    const costly = all.find(({ kind }) => kind === 'weight')!;
    const other = convForms(costly)[1]!;
    const timesWith =
      (ms: number) =>
      async (work: ConvWork, form: ConvForm): Promise<number> =>
        work === costly && form === other ? ms : 10;

    const faster = await measureForms(all, { timeForm: timesWith(8.9) });
    const hardly = await measureForms(all, { timeForm: timesWith(9.1) });

    assert.equal(formOf(faster, costly), other);
    assert.equal(formOf(hardly, costly), defaultConvForm(costly));
  });

  test('takes the least of several times, and drops a form that is hopeless at first', async () => {
    const work = works().find(({ kind }) => kind === 'weight');
    const [usual, second, third] = convForms(work!);
    const runs = new Map<ConvForm, number>();
    const timeForm = async (_: ConvWork, form: ConvForm): Promise<number> => {
      const run = (runs.get(form) ?? 0) + 1;
      runs.set(form, run);
      if (form === usual) return 10;
      return form === second ? (run === 3 ? 5 : 15) : 30;
    };

    const choices = await measureForms([work!], { timeForm });

    assert.equal(formOf(choices, work!), second);
    assert.deepEqual([runs.get(usual!), runs.get(second!), runs.get(third!)], [5, 5, 1]);
  });

  test('keeps the defaults when there is no time left', async () => {
    const all = works();
    const timeForm = async (): Promise<number> => assert.fail('nothing may be timed');

    const choices = await measureForms(all, { budgetMs: 0, timeForm });

    for (const work of all) assert.equal(formOf(choices, work), defaultConvForm(work));
  });
});
