import { loadBlocks, type ParameterBlock, type RunOptions } from '@blip2/core';

/** For progress and messages. */
export const PART = 'language model';

/** Where a model's weights are. Whoever runs the model implements it: blocks of tensors, or an engine. */
export interface ModelWeights {
  /** Number of parameters; a tied matrix counts once. */
  readonly parameterCount: number;
  /** Bytes of weights that are read again for each pass, because they did not fit the budget. */
  readonly streamedBytes: number;
  /** Reads the weights that stay in memory. @throws the first failure or the signal's reason; dispose it then. */
  load(options: RunOptions): Promise<void>;
  /** May be called twice. */
  dispose(): void;
}

/** Weights as tensors, in blocks that stay in memory or stream. */
export class BlockWeights implements ModelWeights {
  readonly #blocks: readonly ParameterBlock<unknown>[];

  /** @param blocks - This object's, from now on. */
  constructor(blocks: readonly ParameterBlock<unknown>[]) {
    this.#blocks = blocks;
  }

  get parameterCount(): number {
    return this.#blocks.reduce((sum, block) => sum + block.sizeBytes / 4, 0);
  }

  get streamedBytes(): number {
    return this.#blocks.reduce((sum, block) => sum + (block.resident ? 0 : block.sizeBytes), 0);
  }

  load(options: RunOptions): Promise<void> {
    return loadBlocks(this.#blocks, PART, options);
  }

  dispose(): void {
    for (const block of this.#blocks) block.dispose();
  }
}
