import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { CachedSession, type PassOptions, type SessionFacts } from './decoding-session.ts';
import type { PromptLayout } from './prompt.ts';
import type { T5Caches } from './t5-runner.ts';

/** Decoding with T5: the encoder once, then the decoder with a cache of its own tokens and one of the encoder's output. */
export class T5DecodingSession extends CachedSession {
  readonly #caches: T5Caches;
  readonly #layout: PromptLayout;
  readonly #startTokenId: number;
  #visualPrompt: Tensor3D | undefined;
  /** The prompt that each row continues. */
  #promptOf: readonly number[];
  /** Decoder tokens so far. */
  #length = 0;

  /**
   * @param caches - Empty; the session's from now on, as is `visualPrompt`.
   * @param startTokenId - What the decoder begins with.
   */
  constructor(
    caches: T5Caches,
    layout: PromptLayout,
    visualPrompt: Tensor3D | undefined,
    startTokenId: number,
    facts: SessionFacts,
  ) {
    super(facts);
    this.#caches = caches;
    this.#layout = layout;
    this.#startTokenId = startTokenId;
    this.#visualPrompt = visualPrompt;
    this.#promptOf = layout.ids.map((_, row) => row);
  }

  protected override async runPrompt(options: PassOptions): Promise<Tensor2D> {
    const visualPrompt = this.#visualPrompt;
    this.#visualPrompt = undefined; // this pass disposes it, not a `dispose` in the meantime
    try {
      await this.#caches.encode(this.#layout, visualPrompt, options);
    } finally {
      visualPrompt?.dispose();
    }
    const start = this.#layout.ids.map(() => this.#startTokenId);
    return this.runTokens(start, options);
  }

  protected override runTokens(tokenIds: readonly number[], options: PassOptions): Promise<Tensor2D> {
    this.#length++;
    return this.#caches.advance(tokenIds, { keys: this.#length, promptOf: this.#promptOf }, options);
  }

  protected override reorderCaches(rows: readonly number[]): void {
    this.#caches.reorder(rows);
    this.#promptOf = rows.map((row) => this.#promptOf[row]!);
  }

  protected override disposeCaches(): void {
    this.#caches.dispose();
    this.#visualPrompt?.dispose();
  }
}
