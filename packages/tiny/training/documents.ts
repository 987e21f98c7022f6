import { askScene, describeScene, type Domain, drawScene, sceneRandom } from '@blip2/datasets';
import { splitPrefix } from '@blip2/losses';
import { type Random, seededRandom } from '@blip2/core';

/** Texts that the language models are pre-trained on: the world in words, never in pictures. */
export interface PretrainingText {
  readonly prompt: string;
  readonly target: string;
}

/** The seed of the scenes that only language models read about. */
const SEED = 3000;

/** A caption, a caption after a prompt, or two captions of a scene with a question about it. */
function drawText(index: number): {
  kind: 'caption' | 'prompted' | 'question';
  captions: string[];
  question?: { text: string; answer: string };
  random: Random;
} {
  const random = seededRandom(index ^ 0x2545f491);
  // Language models know words for everything, as those of the paper do.
  const domains: readonly Domain[] = ['in', 'in', 'in', 'near', 'out'];
  const domain = domains[Math.floor(random() * domains.length)]!;
  const key = { seed: SEED, index };
  const scene = drawScene(key, { domain });
  const captions = describeScene(scene, sceneRandom(key, 'captions'), 2);
  const draw = random();
  if (draw < 0.4) return { kind: 'caption', captions, random };
  if (draw < 0.5) return { kind: 'prompted', captions, random };
  const [question] = askScene(scene, sceneRandom(key, 'questions'), { count: 1 });
  return { kind: 'question', captions, question, random };
}

/** Text number `index` for a decoder-only model: one piece, all of it to be predicted. */
export function optDocument(index: number): PretrainingText {
  const { kind, captions, question } = drawText(index);
  if (kind === 'caption' || question === undefined) return { prompt: '', target: captions[0]! };
  return { prompt: '', target: `${captions.join('. ')}. Question: ${question.text} Answer: ${question.answer}` };
}

/** Text number `index` for an encoder-decoder model. */
export function t5Document(index: number): PretrainingText {
  const { kind, captions, question, random } = drawText(index);
  if (kind === 'question' && question !== undefined) {
    return { prompt: `${captions.join('. ')}. Question: ${question.text} Short answer:`, target: question.answer };
  }
  if (kind === 'prompted') return { prompt: 'a photo of', target: captions[0]! };
  const { prefix, target } = splitPrefix(captions[0]!, random);
  return { prompt: prefix, target };
}
