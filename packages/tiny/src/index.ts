/** The models of this package, by the language model that they have. */
export const TINY_MODELS = ['opt'] as const;

export type TinyModelName = (typeof TINY_MODELS)[number];

/**
 * The folder of a model, in the layout of the Hugging Face Hub. In Node it is a folder of this package: `fileURLToPath` gives its path.
 * Bundlers do not take it along; for them there is the list of files in `@blip2/tiny/opt`.
 *
 * @param name - @default 'opt', which `loadBlip2()` loads
 *
 * @example
 * const checkpoint = await openCheckpointFolder(fileURLToPath(tinyModelUrl()));
 */
export function tinyModelUrl(name: TinyModelName = 'opt'): URL {
  return new URL(`../models/${name}/`, import.meta.url);
}
