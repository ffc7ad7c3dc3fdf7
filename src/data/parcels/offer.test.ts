import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { pictures, tokens } from '../../../test/made-splits.ts';
import type { Dataset } from '../dataset.ts';
import { offerOf, parseOffer } from './offer.ts';

const [train, evaluate] = [pictures(8, 4), pictures(4, 4, 3)];
const DIGEST = `${train.digest}:${evaluate.digest}`;
const overTheWire = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe('parseOffer', () => {
  test('gives back what was offered, whatever the target is', () => {
    const sets: readonly Dataset[] = [
      train,
      tokens({ kind: 'sequence', classes: 7, length: 3 }, 3, false),
      tokens({ kind: 'segmentation', classes: 2, size: [2, 2] }, 4, false),
      tokens({ kind: 'regression', outputs: 2 }, 2, true),
      tokens({ kind: 'binary', outputs: 4, shape: [1, 2, 2] }, 4, true),
    ];
    for (const one of sets) {
      const offer = offerOf({ train: one, evaluate: one });
      const { train: parsed } = parseOffer(overTheWire(offer), `${one.digest}:${one.digest}`);

      assert.deepEqual(overTheWire(parsed), overTheWire(offer.train));
      assert.deepEqual(parsed.normalisation, one.normalisation);
      assert.deepEqual(parsed.target, one.target);
    }
  });

  test('takes none of other data than those of the job', () => {
    const offer = offerOf({ train, evaluate: train });

    assert.throws(() => parseOffer(offer, DIGEST), {
      code: 'PROTOCOL_INVALID',
      message: `offer of data: expected those with SHA-256 ${DIGEST}, got others`,
    });
  });

  test('refuses what does not fit, before any memory is taken', () => {
    const offer = offerOf({ train, evaluate });
    const { normalisation } = train;
    const changes: readonly Record<string, unknown>[] = [
      { digest: '../../etc/passwd' },
      { sampleCount: 0 },
      { sampleCount: 1.5 },
      { features: [2 ** 31, 2 ** 31, 2 ** 31] },
      { sampleCount: 2 ** 31, x: 'float32' },
      { x: 'int32' },
      { x: 'complex' },
      { y: 'float32' },
      { vocabulary: 5 },
      { target: { kind: 'classification', classes: 0 } },
      { target: { kind: 'poetry' } },
      { normalisation: { ...normalisation, shift: [0, 0] } },
      { normalisation: { scale: [1, 1, 1], shift: [0, 0, 0] } },
      { normalisation: { scale: [null], shift: [0] } },
      { augmentation: { cropPadding: 2, flips: true } },
      { augmentation: { cropPadding: -1, flips: true } },
      { features: [4], augmentation: { cropPadding: 0, flips: true } },
    ];
    for (const change of changes) {
      const changed = { ...offer, train: { ...offer.train, ...change } };
      assert.throws(
        () => parseOffer(changed, DIGEST),
        (error: { code?: string }) =>
          ['PROTOCOL_INVALID', 'DATA_INVALID'].includes(error.code ?? ''),
        JSON.stringify(change),
      );
    }
  });
});
