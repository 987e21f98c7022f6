import { ConfigError, type LanguageModel, type QFormer, type Stage, type Tokenizer, type VisionEncoder } from '@blip2/core';
import type { ImageProcessor } from '@blip2/image';
import * as tf from '@tensorflow/tfjs-core';
import type { ImageDecoder } from './image-input.ts';

/** The parts of a BLIP-2 model: the project's own, or a user's implementations of the same interfaces. */
export interface Blip2Parts {
  readonly visionEncoder: VisionEncoder;
  readonly qformer: QFormer;
  /** Absent in matching checkpoints (`blip2-itm-…`). */
  readonly languageModel?: LanguageModel;
  /** The Q-Former's own tokenizer (BERT), for matching, text embeddings and stage-1 captions. */
  readonly textTokenizer?: Tokenizer;
  readonly imageProcessor: ImageProcessor;
  /** Reads files, URLs and Blobs. The `blip2/node` and `blip2/browser` entries bring one. */
  readonly decodeImage?: ImageDecoder;
}

/** An assembled model: what `caption`, `answer`, `match`, `embed` and `search` take. */
export interface Blip2 extends Blip2Parts, Stage {
  /** Folder or repository it came from, for messages. */
  readonly name: string;
  /** What its loaded parts run on, for messages: `ONNX Runtime 1.30.0, cpu, int8`; `tfjs wasm`. */
  readonly engine: string;
}

/** What {@link createBlip2} is told beside the parts. */
export interface CreateBlip2Options {
  /** For messages. */
  readonly name: string;
  /** What the parts run on, for messages. @default the current tfjs backend */
  readonly engine?: string;
  /** Stages among the parts that stay the caller's. */
  readonly borrowed?: readonly Stage[];
}

/**
 * Joins parts into a model, after checking that they fit each other.
 *
 * @param parts - Owned by the result from here on: `dispose()` disposes the stages. Stages listed in `borrowed` stay the caller's.
 * @throws {ConfigError} when two neighbours have different widths, naming both and the cure.
 *
 * @example
 * using model = createBlip2({ visionEncoder: myEncoder, qformer, imageProcessor }, { name: 'my model' });
 */
export function createBlip2(parts: Blip2Parts, options: CreateBlip2Options): Blip2 {
  assertPartsFit(parts);
  const { visionEncoder, qformer, languageModel } = parts;
  const borrowed = new Set(options.borrowed ?? []);
  const dispose = (): void => {
    for (const stage of [visionEncoder, qformer, languageModel]) if (stage !== undefined && !borrowed.has(stage)) stage.dispose();
  };
  return { ...parts, name: options.name, engine: options.engine ?? eagerName(), dispose, [Symbol.dispose]: dispose };
}

/** What runs parts that have no engine. */
export function eagerName(): string {
  return `tfjs ${tf.getBackend()}`;
}

function assertPartsFit({ visionEncoder, qformer, languageModel }: Blip2Parts): void {
  const features = visionEncoder.config.width;
  const expected = qformer.config.imageFeatureWidth;
  if (features !== expected) {
    throw new ConfigError(
      `The vision encoder gives features ${features} wide${nameWidth(features)}, but the Q-Former was trained on ${expected}${nameWidth(expected)}. ` +
        `Take the encoder that this Q-Former was trained with, or a Q-Former trained on features ${features} wide.`,
    );
  }
  if (languageModel === undefined) return;
  const prompt = qformer.config.promptWidth;
  if (prompt === undefined) {
    throw new ConfigError(
      `The Q-Former has no language projection, so it cannot prompt a language model. ` +
        `Leave the language model out, or take a Q-Former from a captioning checkpoint (blip2-opt-…, blip2-flan-t5-…).`,
    );
  }
  if (prompt !== languageModel.embeddingWidth) {
    throw new ConfigError(
      `The Q-Former's language projection is ${prompt} wide, but the language model takes prompts ${languageModel.embeddingWidth} wide. ` +
        `Take the language model that the projection was trained with, or train a projection to ${languageModel.embeddingWidth}.`,
    );
  }
}

/** ` (ViT-g)` for the widths of the published encoders. */
function nameWidth(width: number): string {
  return width === 1408 ? ' (ViT-g)' : width === 1024 ? ' (ViT-L)' : '';
}
