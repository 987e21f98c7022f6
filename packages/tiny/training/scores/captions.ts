import { asCaptioner, type Blip2 } from 'blip2';
import { captionFits, type DatasetRecord } from '@blip2/datasets';
import { CAPTION_SETTINGS, evaluateCaptions, predictCaptions } from '@blip2/eval';
import { readRecord, sceneOf } from './held-out.ts';
import { writeWithoutImage } from './without-image.ts';

/** CIDEr, 0 and up, of what describes the same images, against the same references. */
export interface CaptionScores {
  readonly model: number;
  /** One of each image's captions, which is no reference then. */
  readonly human: number;
  /** What the language model writes without an image: the same about each. */
  readonly blind: number;
  /** Share of the model's captions that name every object and say nothing wrong, in percent. */
  readonly trueShare: number;
  readonly texts: readonly string[];
}

/** @param prompt - As in training. */
export async function captionScores(model: Blip2, rows: readonly DatasetRecord[], prompt: string): Promise<CaptionScores> {
  const settings = { ...CAPTION_SETTINGS['zero-shot'], prompt, minNewTokens: 0, maxNewTokens: 40 };
  const items = rows.map((image, id) => ({ id, image }));
  const written = await predictCaptions(items, asCaptioner(model, readRecord), settings, { batchSize: 32 });
  const texts = [...written.values()];
  const [blind] = await writeWithoutImage(model, [prompt], { beams: 5, maxNewTokens: 40 });
  const references = new Map(rows.map(({ captions }, index) => [index, captions!.slice(0, -1)]));
  const cider = (candidates: readonly string[]): number =>
    evaluateCaptions({ references, candidates: new Map(candidates.entries()) }).corpus.CIDEr;
  return {
    model: cider(texts),
    human: cider(rows.map(({ captions }) => captions!.at(-1)!)),
    blind: cider(rows.map(() => blind!)),
    trueShare: (100 * rows.filter((row, index) => captionFits(sceneOf(row), texts[index]!)).length) / rows.length,
    texts,
  };
}
