import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compare, fixturePath, readGolden, TOLERANCE, type GoldenTensor } from '@blip2/testing';
import { chromium, type Browser, type Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CaptioningResult, GenerationRequest, PageUnderTest, PlainTensor } from '../browser/src/main.ts';
import { serveFolders, type StaticServer } from './static-server.ts';
import { ROOT } from './workspace.ts';

/** Where Chromium usually is; `BLIP2_CHROMIUM` names another. */
const CHROMIUM = [
  process.env['BLIP2_CHROMIUM'],
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
].find((path) => path !== undefined && existsSync(path));

/** A software GPU, so that WebGPU is there on every machine. */
const FLAGS = [
  '--no-sandbox',
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const PNG_IMAGES = ['landscape.png', 'rgba.png', 'gray.png'].map((name) => `/fixtures/preprocessing/images/${name}`);

let server: StaticServer;
let browser: Browser;
let page: Page;
const problems: string[] = [];
const built = mkdtempSync(join(tmpdir(), 'blip2-page-'));

/** Calls a function of the page under test. */
async function call<Name extends keyof PageUnderTest>(
  name: Name,
  ...args: Parameters<PageUnderTest[Name]>
): Promise<Awaited<ReturnType<PageUnderTest[Name]>>> {
  const inPage = ([key, values]: [keyof PageUnderTest, unknown[]]): unknown =>
    (window.blip2[key] as (...values: unknown[]) => unknown)(...values);
  return (await page.evaluate(inPage, [name, args] as [keyof PageUnderTest, unknown[]])) as Awaited<
    ReturnType<PageUnderTest[Name]>
  >;
}

async function openPage(): Promise<void> {
  await build({ configFile: join(ROOT, 'testing/browser/vite.config.ts'), build: { outDir: built, emptyOutDir: true } });
  server = await serveFolders({ '/fixtures/': fixturePath('models'), '/': built });
  browser = await chromium.launch({ executablePath: CHROMIUM!, args: FLAGS });
  page = await browser.newPage();
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error' && !/favicon|404/.test(message.text() + message.location().url)) problems.push(message.text());
  });
  await page.goto(`${server.url}/`);
  await page.waitForFunction(() => 'blip2' in window);
}

afterAll(() => rmSync(built, { recursive: true, force: true }));

// Without a browser there is nothing to test. Where the run must be complete that is a failure.
it.skipIf(CHROMIUM === undefined && !process.env['CI'])('a Chromium is installed', () => {
  expect(CHROMIUM, 'install Chromium (Debian: apt-get install chromium) or name it in BLIP2_CHROMIUM').toBeDefined();
});

describe.skipIf(CHROMIUM === undefined)('in Chromium, bundled by Vite', () => {
  beforeAll(openPage);
  afterAll(async () => {
    await browser?.close();
    await server?.[Symbol.asyncDispose]();
  });

  describe('decodeImage', () => {
    const golden = readGolden('models/preprocessing');
    const files = golden.json.images as Record<string, { file: string }>;
    const decoded = Object.keys(files).filter((name) => golden.names.includes(`${name}.rgb`));
    const [exact, lossy] = [decoded.filter((name) => !isJpeg(name)), decoded.filter(isJpeg)];
    function isJpeg(name: string): boolean {
      return files[name]!.file.endsWith('.jpg');
    }
    const urlOf = (name: string): string => `/fixtures/preprocessing/${files[name]!.file}`;

    it.each(exact)('gives the bytes of the reference for %s', async (name) => {
      const pixels = await call('decode', urlOf(name), { exifOrientation: 'ignore' });
      expectClose(pixels, golden.get(`${name}.rgb`), 0);
    });

    it.each(lossy)('is within two levels of the reference decoder for the JPEG %s', async (name) => {
      const pixels = await call('decode', urlOf(name), { exifOrientation: 'ignore' });
      expect(meanDifference(pixels, golden.get(`${name}.rgb`))).toBeLessThan(2);
    });

    it('turns a photo as its EXIF orientation says', async () => {
      const pixels = await call('decode', urlOf('exif_rotated'));
      expect(meanDifference(pixels, golden.get('exif_rotated.rgb_transposed'))).toBeLessThan(2);
    });
  });

  it('has a WebGPU adapter', async () => {
    expect(await call('adapter')).toBeDefined();
  });

  const CASES = ['greedy', 'greedy_prompt', 'beam5_lp1', 'greedy_repetition', 'beam5_return3'];

  // Sums run in another order on the GPU, hence 1e-3 there; fewer cases, because a GPU in software takes a minute for five.
  describe.each([
    {
      backend: 'wasm',
      ids: CASES,
      activations: TOLERANCE.activations,
      similarities: TOLERANCE.similarities,
      scores: TOLERANCE.scores,
    },
    { backend: 'webgpu', ids: CASES.slice(0, 3), activations: 1e-3, similarities: 1e-3, scores: 1e-3 },
  ])('tfjs $backend', ({ backend, ids, activations, similarities, scores }) => {
    beforeAll(async () => {
      await call('useBackend', backend);
    });

    describe.each([
      { model: 'blip2-opt', endTokenId: 84 },
      { model: 'blip2-flan-t5', endTokenId: 1 },
    ])('$model', ({ model, endTokenId }) => {
      const golden = readGolden(`models/${model}`);
      const cases = goldenCases(golden.json, ids);
      let result: CaptioningResult;
      beforeAll(async () => {
        result = await call(
          'write',
          `/fixtures/${model}`,
          PNG_IMAGES,
          cases.map(({ request }) => request),
        );
      });

      it('preprocesses and projects as the reference does', () => {
        const firstRows = (name: string): GoldenTensor => rowsOf(golden.get(name), PNG_IMAGES.length);
        expectClose(channelsFirst(result.pixelValues), firstRows('pixel_values'), TOLERANCE.pixels);
        expectClose(result.visualPrompt, firstRows('language_projection'), activations);
      });

      it.each(cases.map(({ id }, index) => ({ id, index })))('writes the golden tokens: $id', ({ index }) => {
        const { rows, expectedScores } = cases[index]!;
        const written = result.generations[index]!.flat();
        const expected = rows.map((row) => (row.includes(endTokenId) ? row.slice(0, row.indexOf(endTokenId)) : row));
        expect(written.map(({ tokenIds }) => tokenIds)).toEqual(expected);
        if (expectedScores !== undefined) {
          expectClose(plainList(written.map(({ score }) => score!)), plainList(expectedScores), scores);
        }
      });

      it('leaves no tensor behind', () => {
        expect(result.leaked).toBe(0);
      });
    });

    it('matches with the golden scores and leaves no tensor behind', async () => {
      const golden = readGolden('models/blip2-itm');
      const { scores: matches, leaked } = await call('match', '/fixtures/blip2-itm', PNG_IMAGES, golden.json.texts);
      const texts = golden.json.texts.length as number;
      const probabilities = [...golden.get('itm.probabilities').data].filter((_, index) => index % 2 === 1);
      const pairs = PNG_IMAGES.length * texts;
      expectClose(plainList(matches.flat().map(({ itm }) => itm)), plainList(probabilities.slice(0, pairs)), similarities);
      expectClose(
        plainList(matches.flat().map(({ itc }) => itc)),
        plainList([...golden.get('itc.logits_per_image').data].slice(0, pairs)),
        similarities,
      );
      expect(leaked).toBe(0);
    });
  });

  it('reads checkpoints by parts, not whole', () => {
    expect(server.partialAnswers).toBeGreaterThan(10);
  });

  it('reports a folder that is not there, by the name of the error, and keeps nothing', async () => {
    const { name, code, message, leaked } = await call('failure', '/fixtures/no-such-model');
    expect({ name, code, leaked }).toEqual({ name: 'CheckpointError', code: 'checkpoint', leaked: 0 });
    expect(message).toContain('/fixtures/no-such-model');
  });

  it('logged no error', () => {
    expect(problems).toEqual([]);
  });
});

/** Cases of a golden file, cut to the PNG images: a JPEG's pixels depend on the decoder. */
function goldenCases(
  // oxlint-disable-next-line typescript/no-explicit-any -- the fixture's own structure
  json: any,
  ids: readonly string[],
): { id: string; request: GenerationRequest; rows: number[][]; expectedScores: number[] | undefined }[] {
  return ids.map((id) => {
    const found = json.generation_cases.find((one: { id: string }) => one.id === id);
    const { inputs, settings, new_tokens: rows, sequences_scores: sequenceScores } = found;
    const count = PNG_IMAGES.length * (settings.num_return_sequences ?? 1);
    const prompts = json.inputs[inputs].texts?.slice(0, PNG_IMAGES.length) ?? PNG_IMAGES.map(() => '');
    return {
      id,
      request: { prompts, settings: settingsOf(settings) },
      rows: rows.slice(0, count),
      expectedScores: sequenceScores?.slice(0, count),
    };
  });
}

/** The reference's names of decoding options in ours. */
function settingsOf(settings: Record<string, number>): GenerationRequest['settings'] {
  return {
    maxNewTokens: settings['max_new_tokens'],
    minNewTokens: settings['min_new_tokens'],
    beams: settings['num_beams'],
    lengthPenalty: settings['length_penalty'],
    repetitionPenalty: settings['repetition_penalty'],
    returnSequences: settings['num_return_sequences'],
  };
}

function expectClose(actual: PlainTensor, expected: PlainTensor | GoldenTensor, tolerance: number): void {
  const { pass, message } = compare(
    { shape: actual.shape, data: Float32Array.from(actual.data) },
    { shape: [...expected.shape], data: Float32Array.from(expected.data) },
    tolerance,
  );
  expect(pass, message).toBe(true);
}

const plainList = (data: readonly number[]): PlainTensor => ({ shape: [data.length], data: [...data] });

function rowsOf({ shape, data }: GoldenTensor, rows: number): GoldenTensor {
  return { shape: [rows, ...shape.slice(1)], data: data.slice(0, (data.length / shape[0]!) * rows) };
}

/** `[batch, height, width, channels]` as the reference's `[batch, channels, height, width]`. */
function channelsFirst({ shape, data }: PlainTensor): PlainTensor {
  const [batch, height, width, channels] = shape as [number, number, number, number];
  const moved = data.map((_, index) => {
    const x = index % width;
    const y = Math.floor(index / width) % height;
    const channel = Math.floor(index / (width * height)) % channels;
    const image = Math.floor(index / (width * height * channels));
    return data[((image * height + y) * width + x) * channels + channel]!;
  });
  return { shape: [batch, channels, height, width], data: moved };
}

function meanDifference(actual: PlainTensor, expected: GoldenTensor): number {
  expect(actual.shape).toEqual(expected.shape);
  return actual.data.reduce((sum, value, index) => sum + Math.abs(value - expected.data[index]!), 0) / actual.data.length;
}
