import { sizeInMemory, type WeightBudget } from '@blip2/core';

/** What a budget leaves for streaming on its own: 1.5 GiB of wasm's heap, less what activations and caches take. */
const ROOM_BESIDE_BUDGET = 1024 ** 3;

/**
 * Room that a streaming model needs beside its resident weights: a block computes while the next one is read, and in
 * the largest models two blocks are more than a budget leaves free. OPT-6.7B has layers of 0.8 GB, Flan-T5-XXL of 1 GB.
 */
export class WorkingRoom {
  readonly #budget: WeightBudget;
  #bytes = 0;

  /** @param trees - The described blocks that may stream, in the order of their use. */
  constructor(trees: readonly unknown[], budget: WeightBudget) {
    this.#budget = budget;
    const sizes = trees.map(sizeInMemory);
    const free = budget.totalBytes - budget.reservedBytes;
    if (sizes.reduce((sum, size) => sum + size, 0) <= free) return;
    const pairs = sizes.map((size, index) => size + (sizes[index + 1] ?? 0));
    const bytes = Math.min(free, Math.max(0, Math.max(...pairs) - ROOM_BESIDE_BUDGET));
    if (budget.reserve(bytes)) this.#bytes = bytes;
  }

  /** Gives the room back. */
  dispose(): void {
    this.#budget.release(this.#bytes);
    this.#bytes = 0;
  }
}
