import { type HubOptions, openCheckpoint } from '@blip2/checkpoints/node';
import type { Checkpoint } from '@blip2/core';
import { decodeImage } from '@blip2/image/node';
import type { Blip2 } from './blip2.ts';
import { loadBlip2 as loadCheckpoint, type LoadBlip2Options } from './load-blip2.ts';

export * from './index.ts';

/** Loading options in Node: those of the model and those of the Hub download. */
export interface LoadBlip2NodeOptions extends LoadBlip2Options, HubOptions {}

/**
 * Loads a BLIP-2 model from a folder, a Hub id (downloaded to the standard Hugging Face cache) or an open checkpoint.
 * Images may be given as paths, URLs, bytes or Blobs.
 *
 * @param source - `'./models/blip2-opt-2.7b'`, `'Salesforce/blip2-opt-2.7b'`, or a `Checkpoint`, which the model then owns.
 * @throws {CheckpointError} | {ConfigError} | {WeightsError} | {DownloadError} saying which file, what was found and what to do.
 *
 * @example
 * import { caption, loadBlip2 } from 'blip2/node';
 *
 * using model = await loadBlip2('Salesforce/blip2-opt-2.7b');
 * const [{ text }] = await caption(model, 'dog.jpg');
 */
export async function loadBlip2(source: string | Checkpoint, options: LoadBlip2NodeOptions = {}): Promise<Blip2> {
  const checkpoint = typeof source === 'string' ? await openCheckpoint(source, options) : source;
  return loadCheckpoint(checkpoint, { decodeImage, ...options });
}
