/**
 * The URL of each file of the model with the OPT-style decoder, which bundlers take along: what `openCheckpointUrl` takes.
 *
 * @example
 * const model = await loadBlip2(files); // of 'blip2/browser'
 */
export const files: Readonly<Record<string, URL>> = {
  'config.json': new URL('../models/opt/config.json', import.meta.url),
  'merges.txt': new URL('../models/opt/merges.txt', import.meta.url),
  'model.safetensors': new URL('../models/opt/model.safetensors', import.meta.url),
  'preprocessor_config.json': new URL('../models/opt/preprocessor_config.json', import.meta.url),
  'tokenizer_config.json': new URL('../models/opt/tokenizer_config.json', import.meta.url),
  'vocab.json': new URL('../models/opt/vocab.json', import.meta.url),
  'vocab.txt': new URL('../models/opt/vocab.txt', import.meta.url),
};
