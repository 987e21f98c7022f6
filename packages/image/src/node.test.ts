import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ImageError } from '@blip2/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readPillowFixtures } from '../fixtures/pillow-fixtures.ts';
import { decodeImage, type ImageSource } from './node.ts';

const fixtures = new Map(readPillowFixtures().map((fixture) => [fixture.name, fixture]));
const photo = fixtures.get('orientation_6.jpg')!;

let folder: string;
let server: Server;
let origin: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-image-'));
  const bytes = await readFile(photo.path);
  server = createServer((request, response) => {
    if (request.url === '/photo.jpg') {
      response.end(bytes);
    } else if (request.url === '/endless') {
      const timer = setInterval(() => response.write(bytes), 1);
      response.on('close', () => clearInterval(timer));
    } else if (request.url === '/silent') {
      response.writeHead(200);
      response.flushHeaders();
    } else if (request.url === '/cut') {
      response.writeHead(200, { 'content-length': bytes.length });
      response.write(bytes.subarray(0, 100), () => response.destroy());
    } else if (request.url === '/large') {
      response.writeHead(200, { 'content-length': 2 ** 40 });
      response.flushHeaders();
    } else {
      response.writeHead(404).end('<!doctype html>');
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
});

/** The message of the ImageError that a source gives, without what differs from run to run. */
async function messageOf(source: unknown, options?: Parameters<typeof decodeImage>[1]): Promise<string> {
  const failure: unknown = await decodeImage(source as ImageSource, options).then(
    () => undefined,
    (cause: unknown) => cause,
  );
  if (!ImageError.isInstance(failure)) throw new Error('expected an ImageError', { cause: failure });
  return failure.message.replaceAll(folder, 'FOLDER').replaceAll(origin, 'ORIGIN');
}

async function fileWith(name: string, content: Uint8Array | string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

describe('sources', () => {
  const expected = photo.upright!;

  it('path, file URL, URL object', async () => {
    expect(await decodeImage(photo.path)).toEqual(expected);
    expect(await decodeImage(pathToFileURL(photo.path))).toEqual(expected);
    expect(await decodeImage(pathToFileURL(photo.path).href)).toEqual(expected);
  });

  it('Buffer, Uint8Array with an offset, ArrayBuffer, Blob', async () => {
    const buffer = await readFile(photo.path);
    const shifted = new Uint8Array(buffer.length + 5);
    shifted.set(buffer, 5);
    for (const source of [buffer, shifted.subarray(5), new Uint8Array(buffer).buffer, new Blob([buffer])]) {
      expect(await decodeImage(source)).toEqual(expected);
    }
  });

  it('http and data URLs', async () => {
    expect(await decodeImage(`${origin}/photo.jpg`)).toEqual(expected);
    expect(await decodeImage(new URL(`${origin}/photo.jpg`))).toEqual(expected);
    const text = (await readFile(photo.path)).toString('base64');
    expect(await decodeImage(`data:image/jpeg;base64,${text}`)).toEqual(expected);
  });

  it('leaves the bytes it is given alone', async () => {
    const bytes = new Uint8Array(await readFile(photo.path));
    const before = bytes.slice();
    await decodeImage(bytes);
    expect(bytes).toEqual(before);
  });
});

describe('what is not an image', () => {
  it('missing file', async () => {
    expect(await messageOf(join(folder, 'no.jpg'))).toMatchInlineSnapshot(
      `"decodeImage: FOLDER/no.jpg: found no such file, expected an image file. Check the path."`,
    );
  });
  it('directory', async () => {
    expect(await messageOf(folder)).toMatchInlineSnapshot(
      `"decodeImage: FOLDER: found a directory, expected an image file. Pass one of the files in it."`,
    );
  });
  it('device', async () => {
    expect(await messageOf('/dev/null')).toMatchInlineSnapshot(
      `"decodeImage: /dev/null: found a device or pipe, expected an image file. Pass its bytes."`,
    );
  });
  it('empty file', async () => {
    expect(await messageOf(await fileWith('empty.png', ''))).toMatchInlineSnapshot(
      `"decodeImage: FOLDER/empty.png: found an empty file (0 bytes), expected a JPEG, PNG, WebP, GIF or AVIF image. Check that this is the file you mean, or convert it to PNG or JPEG first."`,
    );
  });
  it('text', async () => {
    expect(await messageOf(await fileWith('notes.jpg', 'Dear diary, today I saw a cat.'))).toMatchInlineSnapshot(
      `"decodeImage: FOLDER/notes.jpg: found text ("Dear diary, today I saw "…), expected a JPEG, PNG, WebP, GIF or AVIF image. Check that this is the file you mean, or convert it to PNG or JPEG first."`,
    );
  });
  it('HTML page', async () => {
    expect(await messageOf(await fileWith('page.jpg', '\n<!DOCTYPE html><html></html>'))).toMatchInlineSnapshot(
      `"decodeImage: FOLDER/page.jpg: found an HTML page, expected a JPEG, PNG, WebP, GIF or AVIF image. Check that this is the file you mean, or convert it to PNG or JPEG first."`,
    );
  });
  it('SVG drawing', async () => {
    expect(await messageOf(await fileWith('a.svg', '<?xml version="1.0"?>\n<svg xmlns="x"/>'))).toMatchInlineSnapshot(
      `"decodeImage: FOLDER/a.svg: found an SVG drawing, expected a JPEG, PNG, WebP, GIF or AVIF image. Check that this is the file you mean, or convert it to PNG or JPEG first."`,
    );
  });
  it('another image format', async () => {
    expect(await messageOf(await readFile(fixtures.get('plain.tiff')!.path))).toMatchInlineSnapshot(
      `"decodeImage: 2693 bytes in memory: found a TIFF image, expected a JPEG, PNG, WebP, GIF or AVIF image. Check that this is the file you mean, or convert it to PNG or JPEG first."`,
    );
  });
  it('bytes of no known format', async () => {
    expect(await messageOf(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9))).toMatchInlineSnapshot(
      `"decodeImage: 9 bytes in memory: found bytes of no known format (01 02 03 04 05 06 07 08…), expected a JPEG, PNG, WebP, GIF or AVIF image. Check that this is the file you mean, or convert it to PNG or JPEG first."`,
    );
  });
  it('a value of another type', async () => {
    expect(await messageOf({ width: 1, height: 1, data: new Uint8Array(3) })).toMatchInlineSnapshot(
      `"decodeImage: the source: found Object, expected a path, URL, Uint8Array, ArrayBuffer or Blob. Decoded pixels ({ width, height, data }) need no decoding."`,
    );
    expect(await messageOf(undefined)).toMatchInlineSnapshot(
      `"decodeImage: the source: found undefined, expected a path, URL, Uint8Array, ArrayBuffer or Blob. Decoded pixels ({ width, height, data }) need no decoding."`,
    );
  });
  it('an address of another kind', async () => {
    expect(await messageOf(new URL('ftp://example.org/a.png'))).toMatchInlineSnapshot(
      `"decodeImage: ftp://example.org/a.png: found a ftp: URL, expected file:, http:, https: or data:. Download it first."`,
    );
  });
});

describe('broken files', () => {
  const cut = async (name: string, share: number): Promise<Buffer> => {
    const bytes = await readFile(fixtures.get(name)!.path);
    return bytes.subarray(0, Math.floor(bytes.length * share));
  };

  it('every format cut at a third, at two thirds and near its end', async () => {
    const names = [
      'quality_20.jpg',
      'sampling_2x2_progressive.jpg',
      'rgb8.png',
      'rgb8_interlaced.png',
      'gray16.png',
      'palette4.png',
    ];
    for (const name of [...names, 'plain.gif', 'lossy.webp', 'lossless.webp', 'lossy.avif']) {
      for (const share of [0.33, 0.66, 0.9]) {
        await expect(decodeImage(await cut(name, share)), `${name} cut at ${share}`).rejects.toMatchObject({ code: 'image' });
      }
    }
  });
  it('truncated JPEG', async () => {
    expect(await messageOf(await fileWith('half.jpg', await cut('quality_100.jpg', 0.8)))).toMatchInlineSnapshot(
      `"decodeImage: FOLDER/half.jpg: this JPEG file cannot be decoded; libvips says "VipsJpeg: premature end of JPEG image". Expected a complete and valid file. Download or copy it again, or save it anew."`,
    );
  });
  it('truncated JPEG header', async () => {
    expect(await messageOf(await fileWith('head.jpg', await cut('quality_100.jpg', 0.01)))).toMatchInlineSnapshot(
      `"decodeImage: FOLDER/head.jpg: this JPEG file is cut off or damaged: its header breaks off after 41 bytes. Expected a complete file. Download or copy it again."`,
    );
  });
  it('truncated PNG', async () => {
    expect(await messageOf(await fileWith('half.png', await cut('rgb8.png', 0.5)))).toMatchInlineSnapshot(
      `"decodeImage: FOLDER/half.png: this PNG file cannot be decoded; libvips says "vipspng: libpng read error". Expected a complete and valid file. Download or copy it again, or save it anew."`,
    );
  });
  it('truncated 16-bit grey PNG, which this package decodes', async () => {
    expect(await messageOf(await fileWith('gray.png', await cut('gray16.png', 0.5)))).toMatch(
      /this PNG file is cut off or damaged: \d+ of 1725 bytes of its pixels can be read. Expected a complete file. Download or copy it again.$/,
    );
  });
  it('truncated GIF', async () => {
    expect(await messageOf(await fileWith('half.gif', await cut('table_full.gif', 0.7)))).toMatchInlineSnapshot(
      `"decodeImage: FOLDER/half.gif: this GIF file is cut off or damaged: its data has 5590 of 8100 pixels. Expected a complete file. Download or copy it again."`,
    );
  });
  it('a PNG header with a wrong check sum', async () => {
    const bytes = await readFile(fixtures.get('gray16.png')!.path);
    bytes[29]! ^= 1;
    expect(await messageOf(await fileWith('crc.png', bytes))).toMatchInlineSnapshot(
      `"decodeImage: FOLDER/crc.png: this PNG file is damaged: the check sum of its IHDR chunk is wrong. Expected a valid PNG file. Download it again or save it anew."`,
    );
  });
  it('no pixels', async () => {
    const bytes = await readFile(fixtures.get('plain.gif')!.path);
    bytes.fill(0, 6, 8);
    bytes.fill(0, 13 + 768 + 5, 13 + 768 + 7);
    expect(await messageOf(bytes)).toMatchInlineSnapshot(
      `"decodeImage: 1810 bytes in memory: this GIF file is damaged: its header says 0×23 pixels. Expected a valid GIF file. Download it again or save it anew."`,
    );
  });
  it('tolerates what Pillow tolerates: a JPEG and a PNG without their end markers, stray bytes between JPEG segments', async () => {
    const jpeg = fixtures.get('quality_20.jpg')!;
    const bytes = await readFile(jpeg.path);
    expect(await decodeImage(bytes.subarray(0, -2))).toEqual(jpeg.stored);
    const scan = bytes.indexOf(Buffer.from([0xff, 0xda]));
    expect(await decodeImage(Buffer.concat([bytes.subarray(0, scan), Buffer.of(0, 1, 2), bytes.subarray(scan)]))).toEqual(
      jpeg.stored,
    );
    const png = fixtures.get('gray16.png')!;
    expect(await decodeImage((await readFile(png.path)).subarray(0, -12))).toEqual(png.stored);
  });
});

describe('limits', () => {
  /** A header of a PNG with a billion pixels, and hardly any data. */
  async function gigapixelPng(): Promise<Uint8Array> {
    const bytes = await readFile(fixtures.get('rgb8.png')!.path);
    bytes.writeUInt32BE(40_000, 16);
    bytes.writeUInt32BE(25_000, 20);
    return bytes;
  }

  it('a PNG of a billion pixels is refused before it is decoded', async () => {
    expect(await messageOf(await fileWith('huge.png', await gigapixelPng()))).toMatchInlineSnapshot(
      `"decodeImage: FOLDER/huge.png: this PNG image has 40000×25000 = 1,000,000,000 pixels, expected at most 178,956,970. Shrink it first; if you trust it, raise the option maxPixels."`,
    );
  });

  it.each(['quality_20.jpg', 'plain.gif', 'lossy.webp', 'lossless.webp', 'animated.webp', 'lossy.avif'])(
    'the limit counts for %s, exactly',
    async (name) => {
      const { path } = fixtures.get(name)!;
      await expect(decodeImage(path, { maxPixels: 37 * 23 - 1 })).rejects.toThrow('37×23 = 851 pixels, expected at most 850');
      await expect(decodeImage(path, { maxPixels: 37 * 23 })).resolves.toMatchObject({ width: 37, height: 23 });
      await expect(decodeImage(path, { maxPixels: Number.POSITIVE_INFINITY })).resolves.toMatchObject({ width: 37 });
    },
  );

  it('bytes of a file, a Blob, a download with and without a length', async () => {
    const limit = { maxBytes: 500 };
    expect(await messageOf(photo.path, limit)).toMatch(/found 1,\d{3} bytes, expected at most 500. Check that this is an image/);
    expect(await messageOf(new Blob([new Uint8Array(501)]), limit)).toMatchInlineSnapshot(
      `"decodeImage: Blob of 501 bytes: found 501 bytes, expected at most 500. Check that this is an image; if you trust it, raise the option maxBytes."`,
    );
    expect(await messageOf(`${origin}/large`)).toMatchInlineSnapshot(
      `"decodeImage: ORIGIN/large: found 1,099,511,627,776 bytes, expected at most 268,435,456. Check that this is an image; if you trust it, raise the option maxBytes."`,
    );
    expect(await messageOf(`${origin}/endless`, { maxBytes: 10_000 })).toMatch(/found 1\d,\d{3} bytes, expected at most 10,000/);
  });
});

describe('downloads', () => {
  it('an answer that is no success', async () => {
    expect(await messageOf(`${origin}/nowhere.png`)).toMatchInlineSnapshot(
      `"decodeImage: ORIGIN/nowhere.png: the server answered 404 Not Found, expected an image. Check the address and the connection."`,
    );
  });
  it('a connection that breaks off', async () => {
    expect(await messageOf(`${origin}/cut`)).toMatch(
      /^decodeImage: ORIGIN\/cut: the connection broke off \(.+\), expected an image/,
    );
  });
  it('nobody answers', async () => {
    const error = Object.assign(new TypeError('fetch failed'), { cause: Object.assign(new Error('no'), { code: 'ENOTFOUND' }) });
    const fetch = (): Promise<Response> => Promise.reject(error);
    expect(await messageOf('https://user:secret@example.org/a.png', { fetch })).toMatchInlineSnapshot(
      `"decodeImage: https://example.org/a.png: the request failed (ENOTFOUND), expected an image. Check the address and the connection."`,
    );
  });
});

describe('abort', () => {
  const reason = new Error('enough');

  it('before the start', async () => {
    await expect(decodeImage(photo.path, { abortSignal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
  it.each(['silent', 'endless'])('while a server is %s', async (path) => {
    const controller = new AbortController();
    const decoded = decodeImage(`${origin}/${path}`, { abortSignal: controller.signal });
    setTimeout(() => controller.abort(reason), 20);
    await expect(decoded).rejects.toBe(reason);
  });
  it('while a file is read and decoded', async () => {
    const controller = new AbortController();
    const decoded = decodeImage(photo.path, { abortSignal: controller.signal });
    controller.abort(reason);
    await expect(decoded).rejects.toBe(reason);
  });
});
