import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { CachedSession, type PassOptions, type SessionFacts } from './decoding-session.ts';
import type { OptCache } from './opt-runner.ts';
import { type PromptLayout, textPositions } from './prompt.ts';

/** Decoding with OPT: one key/value cache, and a mask that grows with it. */
export class OptDecodingSession extends CachedSession {
  readonly #cache: OptCache;
  readonly #layout: PromptLayout;
  #visualPrompt: Tensor3D | undefined;
  /** Of all positions so far, `[rows][positions]`: pads in the prompt take up no position. */
  #mask: readonly (readonly number[])[];
  /** The prompt that each row continues. */
  #promptOf: readonly number[];

  /** @param cache - Empty; the session's from now on, as is `visualPrompt`. */
  constructor(cache: OptCache, layout: PromptLayout, visualPrompt: Tensor3D | undefined, facts: SessionFacts) {
    super(facts);
    this.#cache = cache;
    this.#layout = layout;
    this.#visualPrompt = visualPrompt;
    this.#mask = layout.mask;
    this.#promptOf = layout.ids.map((_, row) => row);
  }

  protected override async runPrompt(options: PassOptions): Promise<Tensor2D> {
    const visualPrompt = this.#visualPrompt;
    this.#visualPrompt = undefined; // this pass disposes it, not a `dispose` in the meantime
    const rows = { mask: this.#mask, promptOf: this.#promptOf };
    try {
      return await this.#cache.advance(this.#layout, visualPrompt, rows, options);
    } finally {
      visualPrompt?.dispose();
    }
  }

  protected override runTokens(tokenIds: readonly number[], options: PassOptions): Promise<Tensor2D> {
    this.#mask = this.#mask.map((row) => [...row, 1]);
    const rows = { mask: this.#mask, promptOf: this.#promptOf };
    return this.#cache.advance(textPositions(tokenIds.map((id) => [id])), undefined, rows, options);
  }

  protected override reorderCaches(rows: readonly number[]): void {
    this.#cache.reorder(rows);
    this.#mask = rows.map((row) => this.#mask[row]!);
    this.#promptOf = rows.map((row) => this.#promptOf[row]!);
  }

  protected override disposeCaches(): void {
    this.#cache.dispose();
    this.#visualPrompt?.dispose();
  }
}
