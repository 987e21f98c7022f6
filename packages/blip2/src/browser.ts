import { type FileUrls, openCheckpointUrl } from '@blip2/checkpoints';
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
 * Loads a BLIP-2 model from a URL or an open checkpoint; without a word the small model that comes along, which knows scenes of
 * coloured shapes and nothing else. Images may be given as URLs, bytes or Blobs. The model runs on tfjs, with
 * `engine: 'compiled'` on ONNX Runtime.
 *
 * @param source - The URL of a model folder, the URLs of its files by name, or a `Checkpoint`, which the model then owns.
 *   @default the files of `@blip2/tiny/opt`: a model that captions, answers, matches and searches
 * @throws {UnsupportedBackendError} when the compiled engine was asked for and ONNX Runtime does not work here.
 *
 * @example
 * import { caption, loadBlip2 } from 'blip2/browser';
 *
 * const model = await loadBlip2('/models/blip2-opt');
 * const [{ text }] = await caption(model, file);
 */
export async function loadBlip2(
  source?: string | URL | FileUrls | Checkpoint,
  options: LoadBlip2BrowserOptions = {},
): Promise<Blip2> {
  let engine: LoadBlip2Options['engine'];
  try {
    engine = await chooseEngines(options); // before anything is downloaded
  } catch (cause) {
    if (isCheckpoint(source)) source.dispose();
    throw cause;
  }
  const checkpoint = isCheckpoint(source) ? source : await openCheckpointUrl(source ?? (await tinyModel()), options);
  return loadCheckpoint(checkpoint, { decodeImage, ...options, engine, dtype: undefined });
}

function isCheckpoint(source: string | URL | FileUrls | Checkpoint | undefined): source is Checkpoint {
  return typeof source === 'object' && 'weights' in source;
}

/** Loaded when it is wanted: bundles that bring a model of their own never ask for it. */
async function tinyModel(): Promise<FileUrls> {
  return (await import('@blip2/tiny/opt')).files;
}
