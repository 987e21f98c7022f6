import { type GenerateOptions, InputError, type RunOptions, seededRandom, tokenBatch, withTensorScope } from '@blip2/core';
import { preprocess, type RgbImage } from '@blip2/image';
import type { Tensor, Tensor3D } from '@tensorflow/tfjs-core';
import type { Blip2 } from './blip2.ts';
import { visualPromptOf } from './caption.ts';
import { encodeImageQueries, encodeTextFeatures, tokenizeTexts } from './match.ts';

/** What is measured, and how often. */
export interface MeasureOptions extends Pick<RunOptions, 'abortSignal'> {
  /** Images that go through the model together. @default 1 */
  readonly images?: number;
  /** Tokens written for each image, two at least. @default 20 */
  readonly newTokens?: number;
  /** @default 5 */
  readonly beams?: number;
  /** Measured runs, after one that is not counted. @default 5 */
  readonly repeat?: number;
  /** Called after each run, the first one included. */
  readonly onRun?: (done: number, total: number) => void;
}

/** Milliseconds of one run for all its images; absent is what the model lacks. */
export interface StageTimes {
  /** Decoded pixels to the encoder's input. */
  readonly preprocess: number;
  readonly visionEncoder: number;
  /** The queries' pass with its projection: to the language model, or to contrastive features. */
  readonly qformer: number;
  /** The prompt through the language model, to the first token. */
  readonly prefill?: number;
  /** Each further token, of all beams. */
  readonly token?: number;
  /** One text to its contrastive features. */
  readonly text?: number;
  /** Image-text matching of each image with one text, from image features. */
  readonly match?: number;
  /** From decoded pixels to texts, or to matching scores: the sum of the stages. */
  readonly total: number;
}

/** Result of {@link measureBlip2}. */
export interface Measurements {
  /** The run before the measured ones: caches are cold, and an engine prepares what it has not prepared yet. */
  readonly firstRun: StageTimes;
  /** Medians over the measured runs, each figure by itself. */
  readonly medians: StageTimes;
}

/** A usual photo of a data set. Its pixels are noise: no time depends on them. */
const IMAGE_SIZE = { width: 640, height: 480 };
const TEXT = 'a woman sitting on the beach with her dog';

/**
 * Measures every stage of a model on this machine, each for itself, with its results read back.
 *
 * @throws {InputError} for numbers that cannot be meant, or more tokens than the model's context holds.
 *
 * @example
 * const { medians } = await measureBlip2(model, { newTokens: 20, beams: 1 });
 * console.log(`${medians.visionEncoder} ms an image, ${medians.token} ms a token`);
 */
export async function measureBlip2(model: Blip2, options: MeasureOptions = {}): Promise<Measurements> {
  const { images = 1, newTokens = 20, beams = 5, repeat = 5, abortSignal, onRun } = options;
  for (const [name, value, least] of [
    ['images', images, 1],
    ['newTokens', newTokens, 2],
    ['beams', beams, 1],
    ['repeat', repeat, 1],
  ] as const) {
    if (Number.isSafeInteger(value) && value >= least) continue;
    throw new InputError(`measureBlip2: ${name} is ${value}, expected a whole number, ${least} or more.`);
  }
  const pixels = Array.from({ length: images }, (_, index) => noise(index));
  const settings = { beams, maxNewTokens: newTokens, minNewTokens: newTokens, abortSignal };
  const runs: StageTimes[] = [];
  for (let run = 0; run <= repeat; run++) {
    runs.push(await measureRun(model, pixels, settings));
    onRun?.(run + 1, repeat + 1);
  }
  const [firstRun, ...measured] = runs as [StageTimes, ...StageTimes[]];
  return { firstRun, medians: mediansOf(measured) };
}

type Settings = GenerateOptions & Pick<RunOptions, 'abortSignal'> & { readonly maxNewTokens: number };

/** The stages of one run, one after the other. */
async function measureRun(model: Blip2, images: readonly RgbImage[], settings: Settings): Promise<StageTimes> {
  const { abortSignal } = settings;
  return withTensorScope(async (scope) => {
    const compute = <T extends Tensor>(work: () => T | Promise<T>): Promise<[T, number]> =>
      timed(async () => {
        const tensor = scope.own(await work());
        await tensor.data(); // backends on a GPU answer before they have computed
        return tensor;
      });
    const [pixels, preprocessing] = await compute(() => preprocess(images, model.imageProcessor)); // [batch, imageSize, imageSize, 3]
    const [features, visionEncoder] = await compute(() => model.visionEncoder.encode(pixels, { abortSignal })); // [batch, tokens, width]
    const encoding = { preprocess: preprocessing, visionEncoder };
    if (model.languageModel !== undefined) {
      const [visualPrompt, qformer] = await compute(() => visualPromptOf(model, features, { abortSignal })); // [batch, queries, promptWidth]
      const { whole, ...writing } = await measureWriting(model.languageModel, visualPrompt, settings);
      return { ...encoding, qformer, ...writing, total: preprocessing + visionEncoder + qformer + whole };
    }
    if (model.qformer.config.contrastiveWidth === undefined || model.textTokenizer === undefined) {
      const [, qformer] = await compute(() => model.qformer.encodeQueries(features, { abortSignal })); // [batch, queries, width]
      return { ...encoding, qformer, total: preprocessing + visionEncoder + qformer };
    }
    const [, qformer] = await compute(() => encodeImageQueries(model, features, { abortSignal })); // [batch, queries, contrastiveWidth]
    const tokens = tokenizeTexts(model, TEXT, 'measureBlip2');
    const [, text] = await compute(() => encodeTextFeatures(model, tokens, { abortSignal })); // [1, contrastiveWidth]
    const rows = images.map(() => tokens[0]!);
    const batch = tokenBatch(rows, { padTokenId: model.textTokenizer.padTokenId });
    const [, match] = await compute(() => model.qformer.match(features, batch, { abortSignal })); // [batch, 2]
    return { ...encoding, qformer, text, match, total: preprocessing + visionEncoder + qformer + text + match };
  });
}

/**
 * The time to the first token, for each further one, and for all. The end token is forbidden, so all are written. Writing one
 * token and writing all are two passes; the difference is that of the further tokens.
 */
async function measureWriting(
  languageModel: NonNullable<Blip2['languageModel']>,
  visualPrompt: Tensor3D,
  settings: Settings,
): Promise<{ prefill: number; token: number; whole: number }> {
  const prompts = Array.from({ length: visualPrompt.shape[0] }, () => '');
  const write = async (tokens: number): Promise<number> => {
    const options = { ...settings, maxNewTokens: tokens, minNewTokens: tokens };
    const [, milliseconds] = await timed(() => languageModel.generate(visualPrompt, prompts, options));
    return milliseconds;
  };
  const prefill = await write(1);
  const whole = await write(settings.maxNewTokens);
  return { prefill, token: (whole - prefill) / (settings.maxNewTokens - 1), whole };
}

async function timed<Result>(work: () => Promise<Result>): Promise<[Result, number]> {
  const begin = performance.now();
  const result = await work();
  return [result, performance.now() - begin];
}

function noise(seed: number): RgbImage {
  const random = seededRandom(seed);
  const { width, height } = IMAGE_SIZE;
  return { width, height, data: Uint8Array.from({ length: 3 * width * height }, () => Math.floor(256 * random())) };
}

function mediansOf(runs: readonly StageTimes[]): StageTimes {
  const names = Object.keys(runs[0]!) as (keyof StageTimes)[];
  return Object.fromEntries(names.map((name) => [name, median(runs.map((run) => run[name]!))])) as unknown as StageTimes;
}

/** The middle value, or the mean of the two middle ones. */
function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
