import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { ImageError } from '@blip2/core';
import { describe, expect, it } from 'vitest';
import { readPillowFixtures } from '../../fixtures/pillow-fixtures.ts';
import { cmykToRgb } from '../cmyk.ts';
import { readImageHeader } from '../image-header.ts';
import { decodeGif } from './gif.ts';
import { decodePng } from './png.ts';

const fixtures = readPillowFixtures().filter(({ name }) => !/bmp|tiff|ends_early/.test(name));

/** Standard CRC-32, written out, to repair a chunk after a change. */
function withCheckSums(png: Uint8Array): Uint8Array {
  const view = new DataView(png.buffer, png.byteOffset, png.length);
  for (let at = 8; at + 8 <= png.length; at += 12 + view.getUint32(at)) {
    const end = at + 8 + view.getUint32(at);
    if (end + 4 > png.length) break;
    let crc = -1;
    for (let i = at + 4; i < end; i++) {
      crc ^= png[i]!;
      for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
    view.setInt32(end, ~crc);
  }
  return png;
}

function fileOf(name: string): Uint8Array {
  return new Uint8Array(readFileSync(fixtures.find((fixture) => fixture.name === name)!.path));
}

describe('readImageHeader', () => {
  it.each(fixtures)('has the size and the orientation of $name without decoding', ({ name, path, stored, upright }) => {
    const header = readImageHeader(readFileSync(path), name);
    expect(header).toMatchObject({ width: stored!.width, height: stored!.height });
    expect(header.orientation !== 1).toBe(stored!.data !== upright!.data && !Buffer.from(stored!.data).equals(upright!.data));
  });

  it('gives an ImageError, never another, for any beginning of any file and for changed bytes', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...fixtures),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.array(fc.nat(), { maxLength: 4 }),
        (f, share, at) => {
          const whole = new Uint8Array(readFileSync(f.path));
          for (const position of at) whole[position % Math.min(whole.length, 200)]! ^= 1 + (position % 255);
          try {
            readImageHeader(whole.subarray(0, Math.floor(whole.length * share)), f.name);
          } catch (cause) {
            if (!ImageError.isInstance(cause)) throw cause;
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('damaged PNG and GIF files', () => {
  it('give pixels or an ImageError, whatever bytes change', async () => {
    const files = fixtures.filter(({ name }) => /\.(png|gif)$/.test(name));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...files),
        fc.array(fc.nat(), { minLength: 1, maxLength: 3 }),
        async ({ name, path }, at) => {
          const bytes = new Uint8Array(readFileSync(path));
          // Size fields stay: a picture of four billion rows is the pixel limit's business.
          for (const position of at) bytes[30 + (position % (bytes.length - 30))]! ^= 1 + (position % 255);
          try {
            const { width, height } = readImageHeader(bytes, name);
            if (width * height > 1e6) return;
            await (name.endsWith('.png') ? decodePng(withCheckSums(bytes), name) : decodeGif(bytes, name));
          } catch (cause) {
            if (!ImageError.isInstance(cause)) throw cause;
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  const png = (change: (bytes: Uint8Array) => void): Promise<unknown> => {
    const bytes = fileOf('palette8.png');
    change(bytes);
    return decodePng(withCheckSums(bytes), 'a.png').catch((cause: unknown) => (cause as Error).message);
  };

  it('bits and colour type that PNG does not have', async () => {
    expect(await png((bytes) => (bytes[24] = 16))).toMatchInlineSnapshot(
      `"a.png: this PNG file is damaged: it has 16 bits of colour type 3, which PNG does not have. Expected a valid PNG file. Download it again or save it anew."`,
    );
  });
  it('an unknown interlace method', async () => {
    expect(await png((bytes) => (bytes[28] = 2))).toMatchInlineSnapshot(
      `"a.png: this PNG file is damaged: it has compression 0, filter 0, interlace 2, which PNG does not have. Expected a valid PNG file. Download it again or save it anew."`,
    );
  });
  it('no palette', async () => {
    expect(await png((bytes) => bytes.set(Buffer.from('npLT'), 37))).toMatchInlineSnapshot(
      `"a.png: this PNG file is damaged: its palette is missing. Expected a valid PNG file. Download it again or save it anew."`,
    );
  });
  it('a GIF with a code that was never defined', () => {
    const bytes = fileOf('plain.gif');
    const data = 13 + 768 + 10; // header, palette, image descriptor
    expect(bytes[data]).toBe(8);
    bytes.set([0xff, 0xff, 0xff], data + 3);
    expect(() => decodeGif(bytes, 'a.gif')).toThrowErrorMatchingInlineSnapshot(
      `[ImageError: a.gif: this GIF file is damaged: LZW code 511 at pixel 0 was never defined. Expected a valid GIF file. Download it again or save it anew.]`,
    );
  });
  it('a GIF with an impossible code size', () => {
    const bytes = fileOf('plain.gif');
    bytes[13 + 768 + 10] = 12;
    expect(() => decodeGif(bytes, 'a.gif')).toThrowErrorMatchingInlineSnapshot(
      `[ImageError: a.gif: this GIF file is damaged: its LZW code size is 12, not 1 to 8. Expected a valid GIF file. Download it again or save it anew.]`,
    );
  });
});

describe('cmykToRgb', () => {
  it('is ink times light, rounded', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4, maxLength: 4 }), (ink) => {
        const light = 255 - ink[3]!;
        const expected = [0, 1, 2].map((channel) => light - Math.round((ink[channel]! * light) / 255));
        expect([...cmykToRgb(ink)]).toEqual(expected);
      }),
    );
  });
});
