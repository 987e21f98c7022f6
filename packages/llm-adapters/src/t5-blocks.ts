import { type Described, ParameterBlock, type Weight, type WeightBudget } from '@blip2/core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import type { T5DecoderLayerParams, T5Params } from './t5-decoder.ts';
import type { T5EncoderLayerParams } from './t5-encoder.ts';
import type { T5StackParams } from './t5-layers.ts';
import { type TokenReader, TokenTable } from './token-table.ts';

/** One stack of layers. */
export interface T5StackBlocks<Layer> {
  readonly stack: ParameterBlock<T5StackParams>;
  readonly layers: readonly ParameterBlock<Layer>[];
}

/** A T5 model's parameters in blocks that stay in memory or stream. */
export interface T5Blocks {
  readonly encoderTokens: TokenReader;
  readonly decoderTokens: TokenReader;
  readonly encoder: T5StackBlocks<T5EncoderLayerParams>;
  readonly decoder: T5StackBlocks<T5DecoderLayerParams>;
  readonly head: ParameterBlock<{ readonly weight: Tensor2D }>;
  /** Whether the head is the shared token table. */
  readonly headIsTied: boolean;
  /** Every block, to load and to dispose. */
  readonly all: readonly ParameterBlock<unknown>[];
}

/**
 * Asks the budget for room, block by block. The decoder and the head come first, which every token reads whole; then
 * the encoder, read once a text; last token tables apart from the head, because a lookup reads a few of their rows only.
 */
export function placeT5(params: Described<T5Params>, budget: WeightBudget): T5Blocks {
  const decoder = placeStack<T5DecoderLayerParams>('decoder', params.decoder, budget);
  const headWeight: Weight = params.head;
  const head = new ParameterBlock<{ weight: Tensor2D }>('language model, head', { weight: headWeight }, budget);
  const encoder = placeStack<T5EncoderLayerParams>('encoder', params.encoder, budget);
  const placed: { weight: Weight; table: TokenReader }[] = [
    { weight: headWeight, table: new TokenTable(headWeight, head, (block) => block.weight) },
  ];
  const tables: ParameterBlock<{ table: Tensor2D }>[] = [];
  const place = (name: string, weight: Weight): TokenReader => {
    const known = placed.find((other) => other.weight === weight);
    if (known !== undefined) return known.table;
    const block = new ParameterBlock<{ table: Tensor2D }>(`language model, ${name}`, { table: weight }, budget);
    const table = new TokenTable(weight, block, ({ table: tensor }) => tensor);
    tables.push(block);
    placed.push({ weight, table });
    return table;
  };
  const decoderTokens = place('decoder token table', params.decoderTokens);
  const encoderTokens = place('encoder token table', params.encoderTokens);
  const all = [decoder.stack, ...decoder.layers, head, encoder.stack, ...encoder.layers, ...tables];
  return { encoderTokens, decoderTokens, encoder, decoder, head, headIsTied: params.headIsTied, all };
}

function placeStack<Layer>(
  name: 'encoder' | 'decoder',
  described: { readonly stack: Described<T5StackParams>; readonly layers: readonly Described<Layer>[] },
  budget: WeightBudget,
): T5StackBlocks<Layer> {
  const part = `language model, ${name}`;
  return {
    stack: new ParameterBlock<T5StackParams>(`${part} positions and norm`, described.stack, budget),
    layers: described.layers.map((layer, index) => new ParameterBlock<Layer>(`${part} layer ${index}`, layer, budget)),
  };
}

/** All parameters at once, for synchronous, differentiable code. @throws {ResourceError} when a block streams. */
export function t5Tensors({ encoderTokens, decoderTokens, encoder, decoder, head, headIsTied }: T5Blocks): T5Params {
  return {
    encoderTokens: encoderTokens.tensor,
    decoderTokens: decoderTokens.tensor,
    encoder: { stack: encoder.stack.tensors, layers: encoder.layers.map((layer) => layer.tensors) },
    decoder: { stack: decoder.stack.tensors, layers: decoder.layers.map((layer) => layer.tensors) },
    head: head.tensors.weight,
    headIsTied,
  };
}
