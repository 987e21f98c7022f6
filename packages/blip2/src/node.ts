import { fileURLToPath } from 'node:url';
import { type HubOptions, openCheckpoint } from '@blip2/checkpoints/node';
import type { Checkpoint } from '@blip2/core';
import { decodeImage } from '@blip2/image/node';
import { TINY_MODELS, tinyModelUrl } from '@blip2/tiny';
import type { Blip2 } from './blip2.ts';
import { loadBlip2 as loadCheckpoint, type LoadBlip2Options } from './load-blip2.ts';
import { chooseEngines, type NodeEngineChoice } from './node-engine.ts';

export * from './index.ts';
export { exportOnnx, type ExportOnnxOptions, type OnnxModelFile } from './export-onnx.ts';
export * from './node-engine.ts';

/** What `loadBlip2()` loads: the model that comes along, by the name of its package. */
export const DEFAULT_MODEL = '@blip2/tiny';

/**
 * Where a model is: of `@blip2/tiny` and `@blip2/tiny/t5`, the models that come along, their folders; anything else as it is.
 *
 * @example
 * const checkpoint = await openCheckpoint(modelSource('@blip2/tiny/t5'));
 */
export function modelSource(name: string): string {
  const tiny = TINY_MODELS.find((kind) => name === `${DEFAULT_MODEL}/${kind}`);
  if (tiny === undefined && name !== DEFAULT_MODEL) return name;
  return fileURLToPath(tinyModelUrl(tiny));
}

/** Loading options in Node: those of the model, of its engine, and of the Hub download. */
export interface LoadBlip2NodeOptions extends LoadBlip2Options, NodeEngineChoice, HubOptions {}

/**
 * Loads a BLIP-2 model from a folder, a Hub id (downloaded to the standard Hugging Face cache) or an open checkpoint; without a
 * word the small model that comes along, which knows scenes of coloured shapes and nothing else. Images may be given as paths, URLs, bytes or Blobs. The model runs compiled, on ONNX Runtime; without the package
 * `onnxruntime-node`, and without a word about engines, it runs eagerly on tfjs, after a warning.
 *
 * @param source - `'./models/blip2-opt-2.7b'`, `'Salesforce/blip2-opt-2.7b'`, `'@blip2/tiny/t5'`, or a `Checkpoint`, which the model
 *   then owns. @default `'@blip2/tiny'`, with an OPT-style decoder: it captions, answers, matches and searches, offline
 * @throws {UnsupportedBackendError} when the compiled engine was asked for and ONNX Runtime does not work here.
 * @throws {CheckpointError} | {ConfigError} | {WeightsError} | {DownloadError} saying which file, what was found and what to do.
 *
 * @example
 * import { caption, loadBlip2 } from 'blip2/node';
 *
 * using model = await loadBlip2('Salesforce/blip2-opt-2.7b');
 * const [{ text }] = await caption(model, 'dog.jpg');
 */
export async function loadBlip2(source: string | Checkpoint = DEFAULT_MODEL, options: LoadBlip2NodeOptions = {}): Promise<Blip2> {
  let engine: LoadBlip2Options['engine'];
  try {
    engine = await chooseEngines(options); // before anything is downloaded
  } catch (cause) {
    if (typeof source !== 'string') source.dispose();
    throw cause;
  }
  const checkpoint = typeof source === 'string' ? await openCheckpoint(modelSource(source), options) : source;
  return loadCheckpoint(checkpoint, { decodeImage, ...options, engine, dtype: undefined });
}
