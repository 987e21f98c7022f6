import { type DecodingSession, DisposedError, InputError, type RunOptions } from '@blip2/core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import type { QFormerConfig } from './qformer-config.ts';
import type { CaptionCache } from './qformer-runner.ts';

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
  readonly #cache: CaptionCache;
  readonly #config: QFormerConfig;
  readonly #beginTokenId: number;
  #rows: number;
  /** Tokens that were read: `[DEC]` and the steps. */
  #position = 0;
  #reading = 0;
  #disposed = false;

  /** @param cache - Of queries that read their images, one row an image; the session's from here on. */
  constructor(
    cache: CaptionCache,
    rows: number,
    config: QFormerConfig,
    { beginTokenId = config.beginCaptionTokenId, endTokenIds = [config.endCaptionTokenId] }: CaptioningOptions,
  ) {
    this.#cache = cache;
    this.#config = config;
    this.#rows = rows;
    this.#beginTokenId = beginTokenId;
    this.endTokenIds = endTokenIds;
    this.padTokenId = config.padTokenId;
    this.usableVocabSize = config.vocabSize;
    this.maxNewTokens = config.maxPositions;
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
    this.#cache.reorder(rows);
    this.#rows = rows.length;
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    if (this.#reading === 0) this.#cache.dispose();
  }

  /** Appends one token to every row. @returns next-token logits `[rows, vocab]` */
  async #read(tokenIds: readonly number[], options: RunOptions): Promise<Tensor2D> {
    this.#reading++;
    try {
      const logits = await this.#cache.read(tokenIds, this.#position, options); // [rows, vocab]
      this.#assertAlive(logits);
      this.#position++;
      return logits;
    } finally {
      this.#reading--;
      if (this.#disposed && this.#reading === 0) this.#cache.dispose();
    }
  }

  /** @param made - Disposed when the session ended meanwhile. */
  #assertAlive(made?: Tensor2D): void {
    if (!this.#disposed) return;
    made?.dispose();
    throw new DisposedError('captioning session');
  }
}
