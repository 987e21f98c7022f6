import {
  type DecodingSession,
  DisposedError,
  InputError,
  type ParameterBlock,
  type RunOptions,
  tidy,
  withTensorScope,
} from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { captionLogits, type QFormerTextParams } from './heads.ts';
import { disposeKeyValues, type QFormerBlocks, runLayerBlocks } from './layer-blocks.ts';
import { embedQueries, embedText, type KeyValues } from './qformer.ts';
import type { QFormerConfig } from './qformer-config.ts';

/** How captions begin and end, where a tokenizer differs from what the configuration assumes. */
export interface CaptioningOptions extends RunOptions {
  /** `[DEC]`. @default the last id of the vocabulary */
  readonly beginTokenId?: number;
  /** `[SEP]`. @default 102, BERT's */
  readonly endTokenIds?: readonly number[];
}

/**
 * Image-grounded text generation with the Q-Former alone, one token at a time: `[DEC]` and the text so far continue the
 * queries, whose self-attention keys and values were computed once, from the image.
 *
 * Source: BLIP-2 (arXiv 2301.12597), section 3.2, image-grounded text generation; LAVIS `Blip2Qformer.generate`.
 */
export class CaptioningSession implements DecodingSession {
  readonly endTokenIds: readonly number[];
  readonly padTokenId: number;
  readonly usableVocabSize: number;
  readonly maxNewTokens: number;
  readonly #blocks: QFormerBlocks;
  readonly #text: ParameterBlock<QFormerTextParams>;
  readonly #config: QFormerConfig;
  readonly #beginTokenId: number;
  #rows: number;
  /** Of queries and text so far, for each layer. */
  #keyValues: readonly KeyValues[];
  /** Tokens that were read: `[DEC]` and the steps. */
  #position = 0;
  #disposed = false;

  private constructor(
    blocks: QFormerBlocks & Required<Pick<QFormerBlocks, 'text'>>,
    config: QFormerConfig,
    keyValues: readonly KeyValues[],
    { beginTokenId = config.beginCaptionTokenId, endTokenIds = [config.endCaptionTokenId] }: CaptioningOptions,
  ) {
    this.#blocks = blocks;
    this.#text = blocks.text;
    this.#config = config;
    this.#keyValues = keyValues;
    this.#rows = keyValues[0]!.keys.shape[0];
    this.#beginTokenId = beginTokenId;
    this.endTokenIds = endTokenIds;
    this.padTokenId = config.padTokenId;
    this.usableVocabSize = config.vocabSize;
    this.maxNewTokens = config.maxPositions;
  }

  /**
   * Lets the queries read the image and keeps their keys and values.
   *
   * @param image - Normalised features, `[batch, imageTokens, imageFeatureWidth]`; kept by the caller, not by the session.
   */
  static async begin(
    blocks: QFormerBlocks & Required<Pick<QFormerBlocks, 'text'>>,
    config: QFormerConfig,
    image: Tensor3D,
    options: CaptioningOptions,
  ): Promise<CaptioningSession> {
    return withTensorScope(async (scope) => {
      const queries = scope.own(await blocks.inputs.use((params) => embedQueries(params, config, image.shape[0]), options)); // [batch, queries, width]
      const context = { queryRows: config.queries, image };
      const pass = await runLayerBlocks(blocks, config, queries, context, { keyValues: true }, options);
      pass.output.dispose();
      return new CaptioningSession(blocks, config, pass.keyValues, options);
    });
  }

  get rows(): number {
    return this.#rows;
  }

  get promptIds(): readonly (readonly number[])[] {
    return Array.from({ length: this.#rows }, () => [this.#beginTokenId]);
  }

  async start(options: RunOptions = {}): Promise<Tensor2D> {
    this.#assertAlive();
    if (this.#position > 0)
      throw new InputError('captioning: start() was called twice. Call step() to go on, or begin another session.');
    return this.#read(
      this.promptIds.map(([id]) => id!),
      options,
    );
  }

  async step(tokenIds: readonly number[], options: RunOptions = {}): Promise<Tensor2D> {
    this.#assertAlive();
    if (this.#position === 0) throw new InputError('captioning: step() was called before start(). Call start() first.');
    if (tokenIds.length !== this.#rows) {
      throw new InputError(
        `captioning: ${tokenIds.length} tokens for ${this.#rows} rows, expected one a row. Call reorder() first to change the rows.`,
      );
    }
    const stranger = tokenIds.find((id) => !Number.isInteger(id) || id < 0 || id >= this.#config.vocabSize);
    if (stranger !== undefined) {
      throw new InputError(
        `captioning: token id ${stranger}, expected whole numbers from 0 to ${this.#config.vocabSize - 1}. Use the Q-Former's own tokenizer.`,
      );
    }
    if (this.#position >= this.maxNewTokens) {
      throw new InputError(
        `captioning: the caption is ${this.#position} tokens long and no positions are left. Set maxNewTokens to at most ${this.maxNewTokens}.`,
      );
    }
    return this.#read(tokenIds, options);
  }

  reorder(rows: readonly number[]): void {
    this.#assertAlive();
    const stranger = rows.find((row) => !Number.isInteger(row) || row < 0 || row >= this.#rows);
    if (stranger !== undefined || rows.length === 0) {
      throw new InputError(
        `captioning: reorder([${rows.join(', ')}]) of ${this.#rows} rows, expected at least one number below ${this.#rows}. Pass old row numbers.`,
      );
    }
    const reordered = tidy(() => {
      const index = tf.tensor1d(rows.slice(), 'int32'); // [new rows]
      return this.#keyValues.map(({ keys, values }) => ({ keys: tf.gather(keys, index), values: tf.gather(values, index) })); // [new rows, heads, queries + position, headWidth]
    });
    this.#replace(reordered);
    this.#rows = rows.length;
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#replace([]);
  }

  /** Appends one token to every row. @returns next-token logits `[rows, vocab]` */
  async #read(tokenIds: readonly number[], options: RunOptions): Promise<Tensor2D> {
    const config = this.#config;
    return withTensorScope(async (scope) => {
      const ids = scope.own(tf.tensor2d(tokenIds.slice(), [tokenIds.length, 1], 'int32')); // [rows, 1]
      const embedded = scope.own(
        await this.#blocks.inputs.use(
          (inputs) => this.#text.use((text) => embedText(inputs, text, config, ids, this.#position), options),
          options,
        ),
      ); // [rows, 1, width]
      // Every row sees all that stands before it: no mask.
      const context = { queryRows: 0, past: this.#keyValues };
      const pass = await runLayerBlocks(this.#blocks, config, embedded, context, { keyValues: true }, options);
      scope.own(pass.output); // [rows, 1, width]
      try {
        const logits = await this.#text.use(
          (text) => tidy(() => tf.squeeze<Tensor2D>(captionLogits(text.captionHead!, config, pass.output), [1])), // [rows, vocab]
          options,
        );
        this.#assertAlive(logits);
        this.#replace(pass.keyValues);
        this.#position++;
        return logits;
      } catch (cause) {
        disposeKeyValues(pass.keyValues);
        throw cause;
      }
    });
  }

  #replace(keyValues: readonly KeyValues[]): void {
    disposeKeyValues(this.#keyValues);
    this.#keyValues = keyValues;
  }

  /** @param made - Disposed when the session ended meanwhile. */
  #assertAlive(made?: Tensor2D): void {
    if (!this.#disposed) return;
    made?.dispose();
    throw new DisposedError('captioning session');
  }
}
