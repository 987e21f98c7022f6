import { embed, type EngineInputs, type InputSpecs, type TensorScope } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Rank, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { hostRows } from './host-tensors.ts';
import { type InputPositions, placeVisualPrompt } from './prompt.ts';

/** Embeddings to be, as a pure function takes them: each position is a token or a query of the visual prompt. */
export interface EmbeddingInputs {
  readonly ids: Tensor2D; //    int32 [batch, tokens]; anything valid where a query stands
  readonly isText: Tensor3D; // [batch, tokens, 1]: 1 for a token, 0 for a query
  readonly visual: Tensor3D; // [batch, tokens, width]: queries in their places, 0 elsewhere
}

/**
 * Token embeddings with the visual prompt in its place. The form without branches of `placeVisualPrompt`: it is the same
 * graph for every layout.
 *
 * @param table - `[vocab, width]`
 * @returns `[batch, tokens, width]`
 */
export function embedPositions(table: Tensor2D, { ids, isText, visual }: EmbeddingInputs): Tensor3D {
  return tf.add(tf.mul(embed(table, ids), isText), visual); // [batch, tokens, width]
}

/** What {@link embedPositions} takes; `batch` and `tokens` say how the axes are called. */
export function embeddingSpecs(width: number, batch: string, tokens: string): InputSpecs<EmbeddingInputs> {
  return {
    ids: { shape: [batch, tokens], dtype: 'int32' },
    isText: { shape: [batch, tokens, 1] },
    visual: { shape: [batch, tokens, width] },
  };
}

/**
 * What an engine is given for these positions.
 *
 * @param scope - Owns the tensor that is made.
 * @param visualPrompt - `[batch, queries, width]`; `undefined` for text alone.
 */
export function embeddingInputs(
  scope: TensorScope,
  positions: InputPositions,
  visualPrompt: Tensor3D | undefined,
  width: number,
): EngineInputs<EmbeddingInputs> {
  const { ids, queryAt } = positions;
  const [batch, tokens] = [ids.length, ids[0]!.length];
  return {
    ids: hostRows(ids),
    isText: { shape: [batch, tokens, 1], data: Float32Array.from(queryAt.flat(), (query) => (query < 0 ? 1 : 0)) },
    visual:
      visualPrompt === undefined
        ? { shape: [batch, tokens, width], data: new Float32Array(batch * tokens * width) }
        : scope.own(tf.tidy(() => placeVisualPrompt(positions, visualPrompt, tf.zeros<Rank.R3>([batch, tokens, width])))), // [batch, tokens, width]
  };
}
