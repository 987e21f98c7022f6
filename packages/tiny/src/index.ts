/** The models of this package, by the language model that they have. */
export const TINY_MODELS = ['opt', 't5'] as const;

export type TinyModelName = (typeof TINY_MODELS)[number];

/**
 * The folder of a model, in the layout of the Hugging Face Hub. In Node it is a folder of this package: `fileURLToPath` gives its path.
 * Bundlers do not take it along; for them there are the lists of files in `@blip2/tiny/opt` and `@blip2/tiny/t5`.
 *
 * @param name - @default 'opt', which `loadBlip2()` loads
 *
 * @example
 * const checkpoint = await openCheckpointFolder(fileURLToPath(tinyModelUrl()));
 */
export function tinyModelUrl(name: TinyModelName = 'opt'): URL {
  return new URL(`../models/${name}/`, import.meta.url);
}
