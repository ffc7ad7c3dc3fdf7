import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { crc32, deflateSync } from 'node:zlib';
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

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const whole = Buffer.alloc(body.length + 8);
  whole.writeUInt32BE(data.length);
  body.copy(whole, 4);
  whole.writeUInt32BE(crc32(body), 4 + body.length);
  return whole;
}

/** A grey image of 8 bits whose chunks are all ours to choose. */
function makePng(
  size: readonly [width: number, height: number],
  pixels: Buffer,
  { isInterlaced = false, extras = [] as readonly Buffer[] } = {},
): Buffer {
  const header = Buffer.from([
    0,
    0,
    0,
    size[0],
    0,
    0,
    0,
    size[1],
    8,
    0,
    0,
    0,
    Number(isInterlaced),
  ]);
  return Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    chunk('IHDR', header),
    ...extras,
    chunk('IDAT', deflateSync(pixels)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

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

describe('decodeImage, given a bomb', () => {
  const bomb = deflateSync(Buffer.alloc(64 << 20));

  test('unpacks no more pixels than the header promises, and wants no fewer', () => {
    assert.throws(() => decodeImage(makePng([4, 2], Buffer.alloc(64 << 20)), 'a.png', 1), {
      code: 'DATA_INVALID',
      message: /reading a\.png: .*expected 10 bytes of pixels as its header says, found more/,
    });
    assert.throws(
      () => decodeImage(makePng([4, 2], Buffer.alloc(9)), 'a.png', 1),
      /expected 10 bytes of pixels as its header says, found 9/,
    );
  });

  test('does not unpack colour profiles and texts, or look at other extras', () => {
    const lines = Buffer.from([0, 1, 2, 3, 4, 0, 5, 6, 7, 8]);
    const name = Buffer.from('name\0\0', 'latin1');
    const extras = [
      chunk('iCCP', Buffer.concat([name, Buffer.from('no zlib data')])),
      chunk('iCCP', Buffer.concat([name, bomb])),
      chunk('zTXt', Buffer.concat([name, bomb])),
      chunk('iTXt', Buffer.concat([Buffer.from('name\0\u0001\0\0\0', 'latin1'), bomb])),
      chunk('tRNS', Buffer.alloc(15)),
      chunk('pHYs', Buffer.alloc(3)),
    ];
    decodeImage(makePng([4, 2], lines), 'warm.png', 1);
    const before = process.resourceUsage().maxRSS;

    const { pixels } = decodeImage(makePng([4, 2], lines, { extras }), 'a.png', 1);

    assert.deepEqual([...pixels], [1, 2, 3, 4, 5, 6, 7, 8]);
    assert.ok(process.resourceUsage().maxRSS - before < 32 << 10);
  });

  test('knows the bytes of an interlaced image, also where passes of it are empty', () => {
    // 3 x 3: passes of 1, 0, 0, 1, 2, 2 and 3 pixels in lines with a filter byte before each.
    const passes = [
      [0, 1],
      [0, 3],
      [0, 7, 9],
      [0, 2],
      [0, 8],
      [0, 4, 5, 6],
    ].flat();

    const { pixels } = decodeImage(
      makePng([3, 3], Buffer.from(passes), { isInterlaced: true }),
      'a',
      1,
    );

    assert.deepEqual([...pixels], [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert.throws(
      () => decodeImage(makePng([3, 3], Buffer.alloc(100), { isInterlaced: true }), 'a.png', 1),
      /expected 15 bytes of pixels/,
    );
  });

  test('refuses palettes of more colours than there are, and chunks longer than the file', () => {
    const cut = makePng([4, 2], Buffer.alloc(10));
    cut.writeUInt32BE(0xffff_fff0, 33);

    assert.throws(
      () =>
        decodeImage(
          makePng([4, 2], Buffer.alloc(10), { extras: [chunk('PLTE', Buffer.alloc(30_000))] }),
          'a.png',
          1,
        ),
      /expected a palette of at most 256 colours/,
    );
    assert.throws(() => decodeImage(cut, 'a.png', 1), /chunk "IDAT" is cut off/);
  });

  test('refuses JPEG images of many scans, each of which goes over all pixels', () => {
    const jpeg = readFileSync(new URL('../../../test/fixtures/data/grey.jpg', import.meta.url));
    const start = jpeg.indexOf(Buffer.from([0xff, 0xda]));
    const scan = jpeg.subarray(start, jpeg.length - 2);
    const scans = Array.from({ length: 101 }, () => scan);
    const whole = Buffer.concat([jpeg.subarray(0, start), ...scans, jpeg.subarray(-2)]);

    assert.throws(
      () => decodeImage(whole, 'a.jpg', 1),
      /reading a\.jpg: .*expected at most 100 scans, found 101/,
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
