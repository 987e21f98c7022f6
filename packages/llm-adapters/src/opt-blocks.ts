import { type Described, ParameterBlock, type Weight, type WeightBudget } from '@blip2/core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import type { OptInputParams, OptLayerParams, OptOutputParams, OptParams } from './opt-decoder.ts';
import { type TokenReader, TokenTable } from './token-table.ts';

/** An OPT model's parameters in blocks that stay in memory or stream. */
export interface OptBlocks {
  readonly tokens: TokenReader;
  readonly input: ParameterBlock<OptInputParams>;
  readonly layers: readonly ParameterBlock<OptLayerParams>[];
  readonly output: ParameterBlock<OptOutputParams>;
  /** Every block, to load and to dispose. */
  readonly all: readonly ParameterBlock<unknown>[];
}

/**
 * Asks the budget for room, block by block. What every token reads whole comes first; a token table of its own comes
 * last, because a lookup reads a few of its rows only.
 */
export function placeOpt(params: Described<OptParams>, budget: WeightBudget): OptBlocks {
  const name = 'language model';
  const input = new ParameterBlock<OptInputParams>(`${name}, positions`, params.input, budget);
  const layers = params.layers.map(
    (layer, index) => new ParameterBlock<OptLayerParams>(`${name}, layer ${index}`, layer, budget),
  );
  const output = new ParameterBlock<OptOutputParams>(`${name}, head`, params.output, budget);
  const head: Weight = params.output.head;
  if (head === params.tokens) {
    const tokens = new TokenTable(head, output, (block) => block.head);
    return { tokens, input, layers, output, all: [input, ...layers, output] };
  }
  const table = new ParameterBlock<{ table: Tensor2D }>(`${name}, token table`, { table: params.tokens }, budget);
  const tokens = new TokenTable(params.tokens, table, (block) => block.table);
  return { tokens, input, layers, output, all: [input, ...layers, output, table] };
}

/** All parameters at once, for synchronous, differentiable code. @throws {ResourceError} when a block streams. */
export function optTensors({ tokens, input, layers, output }: OptBlocks): OptParams {
  return {
    tokens: tokens.tensor,
    input: input.tensors,
    layers: layers.map((layer) => layer.tensors),
    output: output.tensors,
  };
}
