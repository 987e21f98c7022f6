import { openCheckpointUrl } from '@blip2/checkpoints';
import type { Checkpoint } from '@blip2/core';
import { decodeImage } from '@blip2/image/browser';
import type { Blip2 } from './blip2.ts';
import { type BrowserEngineChoice, chooseEngines } from './browser-engine.ts';
import { loadBlip2 as loadCheckpoint, type LoadBlip2Options } from './load-blip2.ts';

export * from './index.ts';
export * from './browser-engine.ts';

/** Loading options in a browser: those of the model, of its engine, and of the download. */
export interface LoadBlip2BrowserOptions extends LoadBlip2Options, BrowserEngineChoice {}

/**
 * Loads a BLIP-2 model from a URL or an open checkpoint. Images may be given as URLs, bytes or Blobs. The model runs on tfjs, with
 * `engine: 'compiled'` on ONNX Runtime.
 *
 * @param source - The URL of a model folder, or a `Checkpoint`, which the model then owns.
 * @throws {UnsupportedBackendError} when the compiled engine was asked for and ONNX Runtime does not work here.
 *
 * @example
 * import { caption, loadBlip2 } from 'blip2/browser';
 *
 * const model = await loadBlip2('/models/blip2-opt');
 * const [{ text }] = await caption(model, file);
 */
export async function loadBlip2(source: string | URL | Checkpoint, options: LoadBlip2BrowserOptions = {}): Promise<Blip2> {
  const isAddress = typeof source === 'string' || source instanceof URL;
  let engine: LoadBlip2Options['engine'];
  try {
    engine = await chooseEngines(options); // before anything is downloaded
  } catch (cause) {
    if (!isAddress) source.dispose();
    throw cause;
  }
  const checkpoint = isAddress ? await openCheckpointUrl(source, options) : source;
  return loadCheckpoint(checkpoint, { decodeImage, ...options, engine, dtype: undefined });
}
