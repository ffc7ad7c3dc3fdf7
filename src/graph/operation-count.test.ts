import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GraphBuilder } from './builder.ts';
import { operationCount } from './operation-count.ts';

describe('operationCount', () => {
  test('counts a multiplication and an addition for each factor of a product', () => {
    const g = new GraphBuilder('products');
    const x = g.input('x', 'float32', [5, 3]);
    const y = g.matMul(x, g.input('w', 'float32', [3, 7])); // 2 x 5 x 7 x 3
    g.output('y', g.relu(y));
    g.output('z', g.gemm(x, g.input('v', 'float32', [5, 2]), undefined, { transA: true })); // 2 x 3 x 2 x 5

    assert.equal(operationCount(g.build()), 210 + 60);
  });

  test('counts a convolution by its filters, those of a group on the channels of the group', () => {
    const g = new GraphBuilder('convolutions');
    const x = g.input('x', 'float32', [1, 4, 8, 8]);
    g.output(
      'y',
      g.conv(x, g.input('w', 'float32', [6, 4, 3, 3]), undefined, { pads: [1, 1, 1, 1] }),
    );
    g.output('z', g.conv(x, g.input('v', 'float32', [4, 1, 3, 3]), undefined, { group: 4 }));

    assert.equal(operationCount(g.build()), 2 * 64 * 6 * 36 + 2 * 36 * 4 * 9);
  });
});
