import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { closestName, suggestion } from './closest-name.ts';

const NAMES = ['learning_rate', 'lr', 'momentum', 'micro_batch', 'global_batch'];

describe('closestName', () => {
  test('finds a name through a lost, doubled, wrong or swapped letter', () => {
    for (const word of [
      'learing_rate',
      'learnning_rate',
      'learnimg_rate',
      'laerning_rate',
      'learningRate',
    ])
      assert.equal(closestName(word, NAMES), 'learning_rate');
  });

  test('finds a name by its beginning', () => {
    assert.equal(closestName('micro', NAMES), 'micro_batch');
  });

  test('finds nothing for a word that is like none', () => {
    assert.equal(closestName('banana', NAMES), undefined);
    assert.equal(closestName('x'.repeat(100_000), NAMES), undefined);
  });
});

describe('suggestion', () => {
  test('lists what is known when nothing is near', () => {
    assert.equal(suggestion('banana', ['adam', 'sgd']), 'Known: adam, sgd.');
    assert.equal(suggestion('adan', ['adam', 'sgd']), 'Did you mean "adam"?');
  });
});
