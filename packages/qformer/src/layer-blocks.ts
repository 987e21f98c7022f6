import { type ParameterBlock, runBlocks, type RunOptions } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import type { QFormerTextParams } from './heads.ts';
import { type KeyValues, type LayerContext, type QFormerInputParams, qformerLayer, type QFormerLayerParams } from './qformer.ts';
import type { QFormerConfig } from './qformer-config.ts';

/** A Q-Former's weights in blocks, without its heads. */
export interface QFormerBlocks {
  readonly inputs: ParameterBlock<QFormerInputParams>;
  readonly text?: ParameterBlock<QFormerTextParams>;
  readonly layers: readonly ParameterBlock<QFormerLayerParams>[];
}

/** What to keep of a pass besides its output. */
export interface Wanted {
  readonly layers?: boolean;
  readonly attention?: boolean;
  readonly keyValues?: boolean;
}

/** A pass's output and what was kept; empty lists for what was not wanted. All tensors are the caller's. */
export interface BlockwisePass {
  readonly output: Tensor3D; //                  [batch, rows, width]
  readonly layers: Tensor3D[]; //                [0] the embeddings, [i] the output of layer i − 1
  readonly attention: Tensor4D[]; //             [batch, heads, queries, imageTokens] for each layer with cross-attention
  readonly keyValues: KeyValues[]; //            [batch, heads, past + rows, headWidth] for each layer
}

/**
 * Runs the layers block by block, so that weights may stream.
 *
 * @param hidden - `[batch, rows, width]`; kept.
 * @param past - For each layer, keys and values of rows that stand before these; kept.
 * On error or abort nothing stays behind.
 */
export async function runLayerBlocks(
  { layers }: QFormerBlocks,
  config: QFormerConfig,
  hidden: Tensor3D,
  { past, ...context }: Omit<LayerContext, 'past'> & { readonly past?: readonly KeyValues[] },
  wanted: Wanted,
  options: Pick<RunOptions, 'abortSignal'>,
): Promise<BlockwisePass> {
  const kept: Omit<BlockwisePass, 'output'> = { layers: [], attention: [], keyValues: [] };
  try {
    const output = await runBlocks(
      layers,
      hidden,
      (params, state, index) => {
        if (wanted.layers) kept.layers.push(tf.keep(tf.clone(state))); // [batch, rows, width]
        const result = qformerLayer(params, config, state, {
          ...context,
          past: past?.[index],
          returnAttention: wanted.attention,
        });
        if (wanted.attention && result.crossAttention !== undefined) kept.attention.push(tf.keep(result.crossAttention));
        if (wanted.keyValues)
          kept.keyValues.push({ keys: tf.keep(result.keyValues.keys), values: tf.keep(result.keyValues.values) });
        return result.hidden; // [batch, rows, width]
      },
      options,
    );
    if (wanted.layers) kept.layers.push(tf.clone(output)); // [batch, rows, width]
    return { output, ...kept };
  } catch (cause) {
    disposePass(kept);
    throw cause;
  }
}

/** Disposes what a pass kept. */
export function disposePass({ layers, attention, keyValues }: Omit<BlockwisePass, 'output'>): void {
  tf.dispose([...layers, ...attention]);
  disposeKeyValues(keyValues);
}

export function disposeKeyValues(keyValues: readonly KeyValues[]): void {
  for (const { keys, values } of keyValues) tf.dispose([keys, values]);
}
