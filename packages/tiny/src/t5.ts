/**
 * The URL of each file of the model with the T5-style encoder-decoder, which bundlers take along: what `openCheckpointUrl` takes.
 *
 * @example
 * const model = await loadBlip2(files); // of 'blip2/browser'
 */
export const files: Readonly<Record<string, URL>> = {
  'config.json': new URL('../models/t5/config.json', import.meta.url),
  'model.safetensors': new URL('../models/t5/model.safetensors', import.meta.url),
  'preprocessor_config.json': new URL('../models/t5/preprocessor_config.json', import.meta.url),
  'tokenizer.json': new URL('../models/t5/tokenizer.json', import.meta.url),
  'tokenizer_config.json': new URL('../models/t5/tokenizer_config.json', import.meta.url),
  'vocab.txt': new URL('../models/t5/vocab.txt', import.meta.url),
};
