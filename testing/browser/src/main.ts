import * as tf from '@tensorflow/tfjs-core';
import { caption, match, loadBlip2, type Blip2, type EngineChoice, type Match } from 'blip2/browser';
import { errorCode, type Generation, type GenerateOptions } from '@blip2/core';
import { decodeImage, preprocess, type DecodeImageOptions } from '@blip2/image/browser';
import { useBackend } from './backends.ts';
import { type CompiledPage, compiledPage, optionsFor, type Provider } from './compiled.ts';
import { plain, type PlainTensor } from './plain.ts';

export type { PlainTensor } from './plain.ts';

/** One call of `generate`. */
export interface GenerationRequest {
  readonly prompts: readonly string[];
  readonly settings: GenerateOptions;
}

/** What the stages of a model gave for a batch of images. */
export interface CaptioningResult {
  readonly pixelValues: PlainTensor;
  readonly visualPrompt: PlainTensor;
  readonly generations: Generation[][][];
  /** Tensors left behind by everything, loading and disposing included. */
  readonly leaked: number;
}

/** What the test calls in the page. Arguments and results are plain data. */
export interface PageUnderTest extends CompiledPage {
  useBackend(name: string): Promise<void>;
  adapter(): Promise<string | undefined>;
  decode(url: string, options?: DecodeImageOptions): Promise<PlainTensor>;
  write(
    model: string,
    images: readonly string[],
    requests: readonly GenerationRequest[],
    provider?: Provider,
  ): Promise<CaptioningResult>;
  match(
    model: string,
    images: readonly string[],
    texts: readonly string[],
    provider?: Provider,
  ): Promise<{ scores: Match[][]; leaked: number }>;
  /** What the model that comes along writes about an image, given as the numbers of its file's bytes. */
  writeByDefault(image: readonly number[]): Promise<{ text: string; leaked: number }>;
  failure(model: string): Promise<{ name: string; code: string | undefined; message: string; leaked: number }>;
}

/** How many tensors `work` leaves behind. */
async function countingTensors<Result>(work: () => Promise<Result>): Promise<Result & { leaked: number }> {
  const before = tf.memory().numTensors;
  const result = await work();
  return { ...result, leaked: tf.memory().numTensors - before };
}

/** Every stage of a model, one after the other, as somebody who joins them by hand would write it. */
async function writeStageByStage(
  model: Blip2,
  images: readonly string[],
  requests: readonly GenerationRequest[],
): Promise<Omit<CaptioningResult, 'leaked'>> {
  const decoded = await Promise.all(images.map((url) => decodeImage(url)));
  const pixels = preprocess(decoded, model.imageProcessor); // [batch, imageSize, imageSize, 3]
  const features = await model.visionEncoder.encode(pixels); // [batch, tokens, width]
  const queries = await model.qformer.encodeQueries(features); // [batch, queries, width]
  const visualPrompt = await model.qformer.projectToPrompt(queries); // [batch, queries, promptWidth]
  const generations: Generation[][][] = [];
  for (const { prompts, settings } of requests) {
    generations.push(await model.languageModel!.generate(visualPrompt, prompts, settings));
  }
  const result = { pixelValues: await plain(pixels), visualPrompt: await plain(visualPrompt), generations };
  tf.dispose([pixels, features, queries, visualPrompt]);
  return result;
}

/** Eager without a provider. */
function engineFor(provider: Provider | undefined): EngineChoice {
  return provider === undefined ? {} : { engine: 'compiled', ...optionsFor(provider) };
}

const page: PageUnderTest = {
  ...compiledPage,
  useBackend,
  async adapter() {
    const { gpu } = navigator as { gpu?: { requestAdapter(): Promise<{ info: { architecture: string } } | null> } };
    return (await gpu?.requestAdapter())?.info.architecture;
  },
  async decode(url, options) {
    const { height, width, data } = await decodeImage(url, options);
    return { shape: [height, width, 3], data: [...data] };
  },
  write: (folder, images, requests, provider) =>
    countingTensors(async () => {
      const model = await loadBlip2(folder, engineFor(provider));
      try {
        return await writeStageByStage(model, images, requests);
      } finally {
        model.dispose();
      }
    }),
  match: (folder, images, texts, provider) =>
    countingTensors(async () => {
      const model = await loadBlip2(folder, engineFor(provider));
      try {
        return { scores: await match(model, images, texts) };
      } finally {
        model.dispose();
      }
    }),
  writeByDefault: (image) =>
    countingTensors(async () => {
      const model = await loadBlip2();
      try {
        const [written] = await caption(model, Uint8Array.from(image));
        return { text: written!.text };
      } finally {
        model.dispose();
      }
    }),
  failure: (folder) =>
    countingTensors(async () => {
      const error = await loadBlip2(folder).then(
        () => new Error('it loaded'),
        (cause: Error) => cause,
      );
      return { name: error.name, code: errorCode(error), message: error.message };
    }),
};

declare global {
  interface Window {
    blip2: PageUnderTest;
  }
}
window.blip2 = page;
