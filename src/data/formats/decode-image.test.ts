import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { decodeImage, resizeImage } from './decode-image.ts';
import type { Image } from './decode-image.ts';

const decode = (name: string, channels: 1 | 3): Image =>
  decodeImage(
    readFileSync(new URL(`../../../test/fixtures/data/${name}`, import.meta.url)),
    name,
    channels,
  );

/** The picture that the fixtures show, 8 wide and 6 high. */
const COLOUR = Uint8Array.from({ length: 3 * 48 }, (_, i) => {
  const [x, y] = [i % 8, Math.floor(i / 8) % 6];
  return [30 * x, 40 * y, 10 * (x + y)][Math.floor(i / 48)]!;
});
const RED = COLOUR.subarray(0, 48);

describe('decodeImage', () => {
  test(
    'reads PNG images of Pillow exactly: colour, palette, with transparency, grey of 8 and 16 ' +
      'bits',
    () => {
      for (const name of ['colour.png', 'palette.png', 'alpha.png'])
        assert.deepEqual(
          decode(name, 3),
          { channels: 3, height: 6, width: 8, pixels: COLOUR },
          name,
        );
      for (const name of ['grey.png', 'deep.png']) {
        assert.deepEqual(decode(name, 1).pixels, RED.slice(), name);
        assert.deepEqual(decode(name, 3).pixels, Uint8Array.from([...RED, ...RED, ...RED]), name);
      }
    },
  );

  test('makes grey of colour by the weights of the eye', () => {
    const { pixels } = decode('colour.png', 1);

    assert.equal(pixels[47], Math.floor(0.299 * 210 + 0.587 * 200 + 0.114 * 120 + 0.5));
  });

  test('reads JPEG images of Pillow to within what compression lost', () => {
    const colour = decode('colour.jpg', 3);
    const grey = decode('grey.jpg', 1);

    assert.deepEqual([colour.height, colour.width, grey.channels], [6, 8, 1]);
    colour.pixels.forEach((byte, i) =>
      assert.ok(Math.abs(byte - COLOUR[i]!) <= 8, `${i}: ${byte}, ${COLOUR[i]}`),
    );
    grey.pixels.forEach((byte, i) =>
      assert.ok(Math.abs(byte - RED[i]!) <= 5, `${i}: ${byte}, ${RED[i]}`),
    );
  });

  test('refuses what is no image, cut off, or too large, naming the file', () => {
    const png = readFileSync(new URL('../../../test/fixtures/data/colour.png', import.meta.url));
    const huge = Buffer.from(png);
    huge.writeUInt32BE(20_000_000, 16);

    assert.throws(() => decodeImage(Buffer.from('GIF89a'), 'a.gif', 3), {
      code: 'DATA_INVALID',
      message: /reading a\.gif: expected a PNG or JPEG image/,
    });
    assert.throws(() => decodeImage(Buffer.alloc(0), 'a.png', 3), { code: 'DATA_INVALID' });
    assert.throws(() => decodeImage(png.subarray(0, 50), 'a.png', 3), { code: 'DATA_INVALID' });
    assert.throws(
      () => decodeImage(huge, 'a.png', 3),
      /expected 1 to 64 million pixels, found 120000000/,
    );
  });
});

describe('resizeImage', () => {
  test('makes each pixel the mean of the area that it covers', () => {
    const image: Image = {
      channels: 1,
      height: 2,
      width: 4,
      pixels: Uint8Array.of(0, 10, 20, 30, 40, 50, 60, 70),
    };

    assert.deepEqual([...resizeImage(image, 1).pixels], [35]);
    assert.deepEqual([...resizeImage(image, 2).pixels], [5, 25, 45, 65]);
    assert.deepEqual(
      [...resizeImage(image, 4).pixels.subarray(0, 8)],
      [0, 10, 20, 30, 0, 10, 20, 30],
    );
    // Each new pixel covers 4/3 of an old one in width, 2/3 in height.
    const dozens = { ...image, pixels: Uint8Array.of(0, 12, 24, 36, 48, 60, 72, 84) };
    assert.deepEqual([...resizeImage(dozens, 3).pixels], [3, 18, 33, 27, 42, 57, 51, 66, 81]);
  });

  test('keeps the channels apart', () => {
    const image: Image = { channels: 3, height: 1, width: 1, pixels: Uint8Array.of(1, 2, 3) };

    assert.deepEqual([...resizeImage(image, 2).pixels], [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]);
  });
});
