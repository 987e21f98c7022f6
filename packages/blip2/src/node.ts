import { fileURLToPath } from 'node:url';
import { type HubOptions, openCheckpoint } from '@blip2/checkpoints/node';
import type { Checkpoint } from '@blip2/core';
import { decodeImage } from '@blip2/image/node';
import { tinyModelUrl } from '@blip2/tiny';
import type { Blip2 } from './blip2.ts';
import { loadBlip2 as loadCheckpoint, type LoadBlip2Options } from './load-blip2.ts';
import { chooseEngines, type NodeEngineChoice } from './node-engine.ts';

export * from './index.ts';
export { exportOnnx, type ExportOnnxOptions, type OnnxModelFile } from './export-onnx.ts';
export * from './node-engine.ts';

/** The folder of the model that comes along: what `loadBlip2()` loads. */
export function defaultModelFolder(): string {
  return fileURLToPath(tinyModelUrl());
}

/** Loading options in Node: those of the model, of its engine, and of the Hub download. */
export interface LoadBlip2NodeOptions extends LoadBlip2Options, NodeEngineChoice, HubOptions {}

/**
 * Loads a BLIP-2 model from a folder, a Hub id (downloaded to the standard Hugging Face cache) or an open checkpoint; without a
 * word the small model that comes along, which knows scenes of coloured shapes and nothing else. Images may be given as paths, URLs, bytes or Blobs. The model runs compiled, on ONNX Runtime; without the package
 * `onnxruntime-node`, and without a word about engines, it runs eagerly on tfjs, after a warning.
 *
 * @param source - `'./models/blip2-opt-2.7b'`, `'Salesforce/blip2-opt-2.7b'`, or a `Checkpoint`, which the model then owns.
 *   @default the model of `@blip2/tiny` with an OPT-style decoder: it captions, answers, matches and searches, offline
 * @throws {UnsupportedBackendError} when the compiled engine was asked for and ONNX Runtime does not work here.
 * @throws {CheckpointError} | {ConfigError} | {WeightsError} | {DownloadError} saying which file, what was found and what to do.
 *
 * @example
 * import { caption, loadBlip2 } from 'blip2/node';
 *
 * using model = await loadBlip2('Salesforce/blip2-opt-2.7b');
 * const [{ text }] = await caption(model, 'dog.jpg');
 */
export async function loadBlip2(
  source: string | Checkpoint = defaultModelFolder(),
  options: LoadBlip2NodeOptions = {},
): Promise<Blip2> {
  let engine: LoadBlip2Options['engine'];
  try {
    engine = await chooseEngines(options); // before anything is downloaded
  } catch (cause) {
    if (typeof source !== 'string') source.dispose();
    throw cause;
  }
  const checkpoint = typeof source === 'string' ? await openCheckpoint(source, options) : source;
  return loadCheckpoint(checkpoint, { decodeImage, ...options, engine, dtype: undefined });
}
