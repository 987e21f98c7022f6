/**
 * The linear layers of frozen blocks, under the Hub's names and the original ones: nearly all weights of a BLIP-2 model. Everything else keeps its precision:
 * norms, biases, embeddings, positions, the patch projection, and all that stage 2 trains (Q-Former, heads, projections, query tokens).
 */
const LINEAR_LAYERS: readonly RegExp[] = [
  // vision encoders: Hub, EVA, CLIP
  /^vision_model\.encoder\.layers\.\d+\.(?:self_attn|mlp)\.\w+\.weight$/,
  /^visual_encoder\.blocks\.\d+\.(?:attn\.(?:qkv|proj)|mlp\.fc[12])\.weight$/,
  /^visual_encoder\.transformer\.resblocks\.\d+\.(?:attn\.in_proj_weight|attn\.out_proj\.weight|mlp\.c_(?:fc|proj)\.weight)$/,
  // OPT, T5: inside BLIP-2 or alone
  /^(?:(?:language|opt)_model\.)?(?:model\.)?decoder\.layers\.\d+\.(?:self_attn\.\w+|fc[12])\.weight$/,
  /^(?:(?:language|t5)_model\.)?(?:encoder|decoder)\.block\.\d+\.layer\.\d\.(?:(?:Self|EncDec)Attention\.[qkvo]|DenseReluDense\.w[io]\w*)\.weight$/,
];

/** T5's head. OPT's is its token table, which stays. */
const HEAD = /^(?:(?:language|t5)_model\.)?lm_head\.weight$/;

/** What a matrix of a model is to the quantiser. */
export type MatrixRole = 'linear' | 'head' | 'other';

/**
 * Which matrices are quantised: those of linear layers in frozen blocks, and a language model's head where it is a matrix of its own.
 *
 * @param shape - Only matrices have a role.
 */
export function matrixRole(name: string, shape: readonly number[]): MatrixRole {
  if (shape.length !== 2) return 'other';
  if (HEAD.test(name)) return 'head';
  return LINEAR_LAYERS.some((pattern) => pattern.test(name)) ? 'linear' : 'other';
}

/** The block size for rows of a length: as asked for, or the smallest that holds a whole row. */
export function blockSizeFor(columns: number, wanted: number): number {
  let size = 16;
  while (size < columns && size < wanted) size *= 2;
  return size;
}

/**
 * Names with `*` in the place of numbers, where all that the pattern would match are among them.
 *
 * @param names - What is to be described.
 * @param others - What must not be matched.
 */
export function patternsOf(names: readonly string[], others: readonly string[]): string[] {
  const withoutNumbers = (name: string): string => name.replaceAll(/\.\d+(?=\.)/g, '.*');
  const taken = new Set(others.map(withoutNumbers));
  return [...new Set(names.map((name) => (taken.has(withoutNumbers(name)) ? name : withoutNumbers(name))))];
}
