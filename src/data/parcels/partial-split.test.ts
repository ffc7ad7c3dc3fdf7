import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import { askingOf, pictures, tokens } from '../../../test/made-splits.ts';
import type { Dataset } from '../dataset.ts';
import { makeDataset } from '../dataset-digest.ts';
import { type SplitOffer, offerOf } from './offer.ts';
import { PartialSplit } from './partial-split.ts';
import { type AskForPiece, PIECE_BYTES } from './piece.ts';
import { DataStock } from './stock.ts';

const large = pictures(2_600, 1_024);
const small = pictures(4, 3);
const stock = new DataStock({ train: large, evaluate: small });
const offered = (split: Dataset): SplitOffer => offerOf({ train: split, evaluate: split }).train;

describe('PartialSplit', () => {
  test('gets every piece once, in order, and packed where that pays', async () => {
    const asked: string[] = [];
    const partial = new PartialSplit(stock.offer.train, 'pictures');

    await partial.receive(askingOf(stock, (name) => void asked.push(name)));

    assert.deepEqual(partial.split, large);
    assert.deepEqual(asked, ['x 0', `x ${PIECE_BYTES}`, `x ${2 * PIECE_BYTES}`, 'y 0']);
    assert.equal(partial.byteLength, 2_600 * 1_028);
    assert.ok(partial.wireBytes < 0.5 * partial.byteLength, `${partial.wireBytes} bytes`);
  });

  test('goes on where it broke off, in the order of the pieces', async () => {
    const partial = new PartialSplit(stock.offer.train, 'pictures');
    const ask = askingOf(stock);
    const breaking: AskForPiece = async (request) => {
      if (request.offset === PIECE_BYTES) throw new Error('cut');
      return ask(request);
    };

    await assert.rejects(partial.receive(breaking), /^Error: cut/);
    const asked: string[] = [];
    await partial.receive(askingOf(stock, (name) => void asked.push(name)));

    assert.deepEqual(partial.split, large);
    assert.deepEqual(asked, [`x ${PIECE_BYTES}`, `x ${2 * PIECE_BYTES}`, 'y 0']);
  });

  test('gives nothing that is not what was offered', async () => {
    const ask = askingOf(stock);
    const damaged: AskForPiece = async (request) => {
      const piece = await ask(request);
      const bytes = new Uint8Array(request.byteLength).fill(1);
      return request.part === 'y' ? { bytes, isPacked: false } : piece;
    };

    await assert.rejects(new PartialSplit(stock.offer.evaluate, 'pictures').receive(damaged), {
      code: 'DATA_INVALID',
      message:
        /^pictures: expected samples with SHA-256 [\da-f]{64}, got [\da-f]{64}: what the .* kept\.$/,
    });
  });

  test('takes no more memory for a piece than it has asked for', async () => {
    const bomb = deflateRawSync(new Uint8Array(1 << 24));
    for (const piece of [
      { bytes: bomb, isPacked: true },
      { bytes: new Uint8Array([9, 9, 9]), isPacked: true },
      { bytes: new Uint8Array(1), isPacked: false },
      { bytes: deflateRawSync(new Uint8Array(1)), isPacked: true },
    ])
      await assert.rejects(
        new PartialSplit(stock.offer.evaluate, 'pictures').receive(async () => piece),
        { code: 'PROTOCOL_INVALID', message: /^samples: expected / },
      );
  });

  test('takes no labels or tokens that are beside the tables which they index', async () => {
    const sequence = tokens({ kind: 'sequence', classes: 1, length: 3 }, 3, false);
    const tooFew = { ...sequence, vocabulary: 6 };
    const wrongLabel = tokens({ kind: 'classification', classes: 1 }, 1, false);

    // One label more than there are classes means that a position is ignored.
    await new PartialSplit(offered(sequence), 's').receive(
      askingOf(new DataStock({ train: sequence, evaluate: sequence })),
    );
    const receive = async (split: Dataset, digest: string): Promise<unknown> =>
      new PartialSplit({ ...offered(split), digest }, 's').receive(async (request) =>
        askingOf(new DataStock({ train: split, evaluate: split }))({
          ...request,
          split: split.digest,
        }),
      );
    await assert.rejects(receive(wrongLabel, wrongLabel.digest), /labels: expected 0 to 0, got 1/);
    const { digest } = makeDataset(tooFew);
    await assert.rejects(receive(tooFew, digest), /tokens: expected 0 to 5, got 6/);
  });
});

describe('DataStock', () => {
  test('has no bytes of other splits, nor beyond the end of its own', () => {
    const { digest } = small;
    const none = (): void => assert.fail('there is none');
    const whole = { split: digest, part: 'x', offset: 0, byteLength: 12 } as const;

    for (const request of [
      { ...whole, split: 'another' },
      { ...whole, byteLength: 13 },
      { ...whole, offset: 1 },
      { ...whole, offset: 2 ** 40 },
      { ...whole, part: 'y' as const, offset: 16, byteLength: 1 },
    ])
      assert.equal(stock.read(request, none), false);
  });

  test('packs a piece once for all who ask for it, also at the same time', async () => {
    const request = { split: large.digest, part: 'x', offset: 0, byteLength: PIECE_BYTES } as const;
    const read = async (): Promise<Uint8Array> =>
      new Promise((resolve) => stock.read(request, ({ bytes }) => resolve(bytes)));

    const [first, second] = await Promise.all([read(), read()]);

    assert.equal(first, second);
    assert.equal(await read(), first);
  });

  test('tries now and then whether packing pays where it did not', async () => {
    const noise = pictures(1, 40);
    const values = Float32Array.from({ length: 40 }, (_, i) => Math.sin(i * 7.3));
    noise.x.set(new Uint8Array(values.buffer).subarray(0, 40));
    const untidy = new DataStock({ train: noise, evaluate: noise });
    const request = { split: noise.digest, part: 'x', offset: 0, byteLength: 40 } as const;
    const packed: boolean[] = [];
    const read = async (): Promise<void> =>
      new Promise((resolve) => {
        untidy.read(request, (piece) => {
          packed.push(piece.isPacked);
          assert.equal(piece.bytes.length === 40, !piece.isPacked);
          resolve();
        });
      });

    for (let i = 0; i < 4; i++) await read();
    noise.x.fill(0);
    for (let i = 0; i < 13; i++) await read();

    assert.deepEqual(packed, [...Array<boolean>(16).fill(false), true]);
  });
});
