import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { fixturePath, readGolden } from '@blip2/testing';
import { type Browser, chromium, type Page } from 'playwright-core';
import { build, type Rolldown } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { differenceOf, type PillowFixture, readPillowFixtures } from '../fixtures/pillow-fixtures.ts';
import type { DecodeImageOptions } from './decode-options.ts';
import type { RgbImage } from './rgb-image.ts';

/** Debian's package `chromium`. Without it these tests are shown as skipped. */
const CHROMIUM = '/usr/bin/chromium';

/** Chromium turns CMYK into RGB with other rounding than Pillow: measured, at most one level. */
const LIMITS: Readonly<Record<string, number>> = { 'cmyk.jpg': 1, 'cmyk_without_adobe.jpg': 1, 'ycck.jpg': 1 };
const REFUSED = ['ends_early.gif', 'plain.bmp', 'plain.tiff'];

/** What stands on the page's `window`. */
interface PageModule {
  decodeImage: typeof import('./browser.ts').decodeImage;
}

let browser: Browser;
let page: Page;

async function bundle(): Promise<string> {
  const result = (await build({
    configFile: false,
    logLevel: 'silent',
    build: {
      write: false,
      minify: false,
      lib: { entry: fileURLToPath(new URL('browser.ts', import.meta.url)), formats: ['es'], fileName: 'browser' },
    },
  })) as Rolldown.RolldownOutput[];
  return result[0]!.output[0].code;
}

async function decodeInPage(
  bytes: Uint8Array,
  options: Pick<DecodeImageOptions, 'exifOrientation' | 'maxPixels'> = {},
): Promise<RgbImage> {
  const result = await page.evaluate(
    async ([text, pageOptions]) => {
      const { decodeImage } = (window as unknown as { image: PageModule }).image;
      const source = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
      const { width, height, data } = await decodeImage(source, pageOptions);
      return { width, height, text: Array.from(data) };
    },
    [Buffer.from(bytes).toString('base64'), options] as const,
  );
  return { width: result.width, height: result.height, data: Uint8Array.from(result.text) };
}

describe.skipIf(!existsSync(CHROMIUM))('decodeImage in Chromium', () => {
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
    page = await browser.newPage();
    const code = await bundle();
    const photo = await readFile(readable.find(({ name }) => name === 'orientation_6.jpg')!.path);
    await page.route('http://page.test/**', (route) => {
      const { pathname } = new URL(route.request().url());
      if (pathname === '/browser.js') return route.fulfill({ contentType: 'text/javascript', body: code });
      if (pathname === '/photo.jpg') return route.fulfill({ contentType: 'image/jpeg', body: photo });
      if (pathname === '/') return route.fulfill({ contentType: 'text/html', body: '<!doctype html>' });
      return route.fulfill({ status: 404, body: '' });
    });
    await page.goto('http://page.test/');
    await page.addScriptTag({ type: 'module', content: `import * as image from '/browser.js'; window.image = image;` });
    await page.waitForFunction(() => 'image' in window);
  });

  afterAll(() => browser?.close());

  const readable = readPillowFixtures().filter(({ name }) => !REFUSED.includes(name));

  it.each(readable)('$name as Pillow reads it', async ({ name, path, stored, upright }: PillowFixture) => {
    const bytes = await readFile(path);
    const difference = differenceOf(await decodeInPage(bytes, { exifOrientation: 'ignore' }), stored!);
    expect(difference?.largest).toBeLessThanOrEqual(LIMITS[name] ?? 0);
    if (name.includes('orientation')) expect(await decodeInPage(bytes)).toEqual(upright);
  });

  it('the golden images', async () => {
    const golden = readGolden('models/preprocessing');
    for (const [name, { file }] of Object.entries(golden.json.images as Record<string, { file: string }>)) {
      if (!golden.names.includes(`${name}.rgb`)) continue;
      const image = await decodeInPage(await readFile(fixturePath('models/preprocessing', file)), { exifOrientation: 'ignore' });
      expect(image.data, name).toEqual(golden.get(`${name}.rgb`).data);
    }
  });

  it('URLs, Blobs, image elements, canvases, ImageData and bitmaps', async () => {
    const { upright } = readable.find(({ name }) => name === 'orientation_6.jpg')!;
    const results = await page.evaluate(async () => {
      const { decodeImage } = (window as unknown as { image: PageModule }).image;
      const blob = await (await fetch('/photo.jpg')).blob();
      const element = new Image();
      element.src = '/photo.jpg';
      await element.decode();
      const canvas = document.createElement('canvas');
      [canvas.width, canvas.height] = [element.naturalWidth, element.naturalHeight];
      const context = canvas.getContext('2d')!;
      context.drawImage(element, 0, 0);
      const bitmap = await createImageBitmap(blob);
      const sources = ['/photo.jpg', new URL('/photo.jpg', location.href), blob, element, canvas];
      const decoded = [];
      for (const source of [...sources, context.getImageData(0, 0, canvas.width, canvas.height), bitmap]) {
        const { width, height, data } = await decodeImage(source);
        decoded.push({ width, height, data: Array.from(data) });
      }
      return { decoded, bitmapStaysOpen: bitmap.width > 0 };
    });
    expect(results.bitmapStaysOpen).toBe(true);
    expect(results.decoded).toHaveLength(7);
    for (const { width, height, data } of results.decoded) {
      expect({ width, height, data: Uint8Array.from(data) }).toEqual(upright);
    }
  });

  it('reads transparent pictures in tiles when textures are small', async () => {
    const { path, stored } = readable.find(({ name }) => name === 'lossless_alpha.webp')!;
    await page.evaluate(() => {
      const prototype = WebGL2RenderingContext.prototype as unknown as {
        original?: unknown;
        getParameter: (name: number) => unknown;
      };
      const original = prototype.getParameter;
      prototype.original = original;
      prototype.getParameter = function getParameter(name) {
        return name === WebGL2RenderingContext.MAX_TEXTURE_SIZE ? 10 : original.call(this, name);
      };
    });
    try {
      expect(await decodeInPage(await readFile(path))).toEqual(stored);
    } finally {
      await page.evaluate(() => {
        const prototype = WebGL2RenderingContext.prototype as unknown as { original: unknown; getParameter: unknown };
        prototype.getParameter = prototype.original;
      });
    }
  });

  const failureOf = async (bytes: Uint8Array, options: Pick<DecodeImageOptions, 'maxPixels'> = {}): Promise<string> =>
    decodeInPage(bytes, options).then(
      () => 'no error',
      (cause: Error) => cause.message.split('\n')[0]!.replace('page.evaluate: ', ''),
    );

  it('refuses truncated files, other formats and too many pixels', async () => {
    const jpeg = await readFile(readable.find(({ name }) => name === 'quality_100.jpg')!.path);
    expect(await failureOf(jpeg.subarray(0, -200))).toMatchInlineSnapshot(
      `"ImageError: decodeImage: 3918 bytes in memory: this JPEG file cannot be decoded; the browser says "The source image could not be decoded.". Expected a complete and valid file. Download or copy it again, or save it anew."`,
    );
    expect(await failureOf(Buffer.from('hello'))).toMatchInlineSnapshot(
      `"ImageError: decodeImage: 5 bytes in memory: found text ("hello"…), expected a JPEG, PNG, WebP, GIF or AVIF image. Check that this is the file you mean, or convert it to PNG or JPEG first."`,
    );
    expect(await failureOf(jpeg, { maxPixels: 10 })).toMatchInlineSnapshot(
      `"ImageError: decodeImage: 4118 bytes in memory: this JPEG image has 37×23 = 851 pixels, expected at most 10. Shrink it first; if you trust it, raise the option maxPixels."`,
    );
  });

  it('says what to do about an image element that has not loaded, and about an address that is none', async () => {
    const messages = await page.evaluate(async () => {
      const { decodeImage } = (window as unknown as { image: PageModule }).image;
      const messageOf = (source: Parameters<typeof decodeImage>[0]): Promise<string> =>
        decodeImage(source).then(
          () => 'no error',
          (cause: Error) => cause.message,
        );
      return [await messageOf(new Image()), await messageOf('/nowhere.png'), await messageOf(7 as never)];
    });
    // What stands in brackets is Chromium's and changes with it.
    expect(messages.map((message) => message.replace(/\(.*\)/, '(…)'))).toMatchInlineSnapshot(`
      [
        "decodeImage: HTMLImageElement: found HTMLImageElement, which the browser cannot read (…). Expected a URL, bytes, a Blob, ImageData, ImageBitmap, canvas, or an image element that has loaded. Wait for its load event, or pass its URL.",
        "decodeImage: /nowhere.png: the server answered 404 Not Found, expected an image. Check the address and the connection.",
        "decodeImage: number: found number, which the browser cannot read (…). Expected a URL, bytes, a Blob, ImageData, ImageBitmap, canvas, or an image element that has loaded. Wait for its load event, or pass its URL.",
      ]
    `);
  });
});
