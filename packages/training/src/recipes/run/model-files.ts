import { type Checkpoint, CLIP_MEAN, CLIP_STANDARD_DEVIATION, ConfigError } from '@blip2/core';
import { TOKENIZER_FILES } from '@blip2/tokenizers';

const encoder = new TextEncoder();

/** A JSON file's bytes. */
export function jsonFile(value: unknown): Uint8Array {
  return encoder.encode(`${JSON.stringify(value, undefined, 2)}\n`);
}

/** The files of a checkpoint by name; absent ones are left out. */
export async function filesOf(
  checkpoint: Checkpoint,
  names: readonly string[],
  abortSignal?: AbortSignal,
): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  for (const name of names) {
    const bytes = await checkpoint.readFile(name, { abortSignal });
    if (bytes !== undefined) files.set(name, bytes);
  }
  return files;
}

/** The files of a checkpoint's tokenizer. */
export function tokenizerFilesOf(checkpoint: Checkpoint, abortSignal?: AbortSignal): Promise<Map<string, Uint8Array>> {
  return filesOf(checkpoint, TOKENIZER_FILES, abortSignal);
}

/**
 * BERT's words as `vocab.txt`, one a line in the order of their ids: beside the tokenizer of a language model, which has the other
 * names, the Q-Former's tokenizer is this file.
 *
 * @throws {ConfigError} when the checkpoint has neither the file nor a `tokenizer.json` of BERT's kind.
 */
export async function bertVocabulary(checkpoint: Checkpoint, abortSignal?: AbortSignal): Promise<Uint8Array> {
  const file = await checkpoint.readFile('vocab.txt', { abortSignal });
  if (file !== undefined) return file;
  const json = await checkpoint.readFile('tokenizer.json', { abortSignal });
  const model =
    json && (JSON.parse(new TextDecoder().decode(json)) as { model?: { type?: string; vocab?: Record<string, number> } }).model;
  if (model?.type === 'WordPiece' && model.vocab !== undefined) {
    const words = Object.entries(model.vocab).toSorted(([, a], [, b]) => a - b);
    return encoder.encode(words.map(([word]) => `${word}\n`).join(''));
  }
  throw new ConfigError(
    `${checkpoint.name}: has no tokenizer of BERT's kind, expected vocab.txt or a tokenizer.json of WordPiece. Name a folder that has one with 'tokenizer'.`,
  );
}

/** `preprocessor_config.json` for images of a size: that of the model, or the reference's. */
export function preprocessorFile(own: Uint8Array | undefined, side: number): Uint8Array {
  const json = own === undefined ? PREPROCESSOR : (JSON.parse(new TextDecoder().decode(own)) as Record<string, unknown>);
  const { crop_size: _, do_center_crop: __, ...kept } = json as Record<string, unknown>;
  // Images are squeezed to the size, as in training; CLIP's own processor would cut the middle out.
  return jsonFile({ ...kept, image_processor_type: 'BlipImageProcessor', size: { height: side, width: side } });
}

/** Source: `preprocessor_config.json` of `Salesforce/blip2-opt-2.7b`. */
const PREPROCESSOR: Readonly<Record<string, unknown>> = {
  do_convert_rgb: true,
  do_normalize: true,
  do_rescale: true,
  do_resize: true,
  image_mean: CLIP_MEAN,
  image_processor_type: 'BlipImageProcessor',
  image_std: CLIP_STANDARD_DEVIATION,
  resample: 3,
  rescale_factor: 1 / 255,
};
