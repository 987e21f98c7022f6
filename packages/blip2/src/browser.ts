import { openCheckpointUrl } from '@blip2/checkpoints';
import type { Checkpoint } from '@blip2/core';
import { decodeImage } from '@blip2/image/browser';
import type { Blip2 } from './blip2.ts';
import { loadBlip2 as loadCheckpoint, type LoadBlip2Options } from './load-blip2.ts';

export * from './index.ts';

/**
 * Loads a BLIP-2 model from a URL or an open checkpoint. Images may be given as URLs, bytes or Blobs.
 *
 * @param source - The URL of a model folder, or a `Checkpoint`, which the model then owns.
 *
 * @example
 * import { caption, loadBlip2 } from 'blip2/browser';
 *
 * const model = await loadBlip2('/models/blip2-opt');
 * const [{ text }] = await caption(model, file);
 */
export async function loadBlip2(source: string | URL | Checkpoint, options: LoadBlip2Options = {}): Promise<Blip2> {
  const isAddress = typeof source === 'string' || source instanceof URL;
  const checkpoint = isAddress ? await openCheckpointUrl(source, options) : source;
  return loadCheckpoint(checkpoint, { decodeImage, ...options });
}
