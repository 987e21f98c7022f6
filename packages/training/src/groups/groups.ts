import { InputError } from '@blip2/core';

/** Something that depends on a parameter's path in its tree and on its shape. */
export type ByParameter<Value> = (path: string, shape: readonly number[]) => Value;

/**
 * Which parameters lose weight at each step: all but those of one axis, which are norms and biases, and those that are called bias.
 * The temperature of the contrast has no axis and decays, as query tokens, class token and positions do.
 *
 * @example
 * const step = await compileTrainingStep(loss, { params, batch, weightDecay: 0.05, decays: decaysInLavis });
 *
 * Source: LAVIS `models/base_model.py`, `get_optimizer_params`.
 */
export const decaysInLavis: ByParameter<boolean> = (path, shape) => shape.length !== 1 && !/(^|\.)bias$/.test(path);

/** Options of {@link layerwiseRates}. */
export interface LayerwiseRatesOptions {
  /** What a layer's rate is multiplied with to give that of the layer below it, in (0, 1]. */
  readonly decay: number;
  /** Of the vision encoder. */
  readonly blocks: number;
  /** Where its parameters are: all paths that begin so are the encoder's. @default 'vision.' */
  readonly prefix?: string;
}

/**
 * Factors of the learning rate for fine-tuning a vision transformer: its last block has `decay`, each one below less, the embeddings
 * the least; whatever is not the encoder's has 1.
 *
 * @returns a pure function of the path.
 * @throws {InputError} for numbers that make no factors.
 *
 * @example
 * const rateScale = layerwiseRates({ decay: 0.95, blocks: 39 }); // ViT-g
 * rateScale('vision.blocks.0.attention.query.weight', []); // 0.1353
 *
 * Source: LAVIS `models/eva_vit.py`, `get_num_layer` and `get_optimizer_params`; BEiT (arXiv 2106.08254), appendix; BLIP-2 (arXiv
 * 2301.12597), tables 8 to 10. CLIP's first norm and patches count as embeddings, which a comparison of names in LAVIS misses.
 */
export function layerwiseRates({ decay, blocks, prefix = 'vision.' }: LayerwiseRatesOptions): ByParameter<number> {
  if (!(decay > 0 && decay <= 1)) {
    throw new InputError(
      `layerwiseRates: decay is ${decay}, expected a number over 0, at most 1. Use 0.95 for ViT-g, 1 for none.`,
    );
  }
  if (!Number.isInteger(blocks) || blocks < 1) {
    throw new InputError(
      `layerwiseRates: blocks is ${blocks}, expected a whole number of 1 or more. ViT-g has 39, CLIP ViT-L 23.`,
    );
  }
  return (path) => (path.startsWith(prefix) ? decay ** (blocks + 1 - layerOf(path.slice(prefix.length), blocks)) : 1);
}

/** 0 for embeddings, i + 1 for block i, and the last block's for whatever else the encoder has. */
function layerOf(path: string, blocks: number): number {
  if (path.startsWith('embeddings.')) return 0;
  const block = /^blocks\.(\d+)\./.exec(path)?.[1];
  if (block === undefined) return blocks;
  if (Number(block) < blocks) return Number(block) + 1;
  throw new InputError(
    `layerwiseRates: there is a parameter of block ${block}, expected ${blocks} blocks. Pass the encoder's number of blocks.`,
  );
}
