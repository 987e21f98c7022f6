import { type Random, seededRandom } from '@blip2/core';
import { askScene, describeScene, type Domain, drawScene, type Scene, type SceneQuestion, sceneRandom } from '@blip2/datasets';
import { splitPrefix } from '@blip2/losses';
import type { PromptAndTarget } from './bridge/language-model.ts';

/**
 * Texts that the language models are pre-trained on: the world in words, never in pictures. As web pages do, they say the same thing
 * several times: so a model learns to read what stands before.
 */

/** The seed of the scenes that only language models read about. */
const SEED = 3000;

/** A scene in words. */
interface ToldScene {
  /** What is told first: a caption, or all objects. */
  readonly before: string;
  /** Two more. */
  readonly captions: readonly [string, string];
  readonly questions: readonly SceneQuestion[];
  readonly random: Random;
}

function tellScene(index: number): ToldScene {
  const random = seededRandom(index ^ 0x2545f491);
  // Language models know words for everything, as those of the paper do.
  const domains: readonly Domain[] = ['in', 'in', 'in', 'near', 'out'];
  const domain = domains[Math.floor(random() * domains.length)]!;
  const key = { seed: SEED, index };
  const scene = drawScene(key, { domain });
  const [first, second, third] = describeScene(scene, sceneRandom(key, 'captions'), 3) as [string, string, string];
  return {
    before: random() < 0.8 ? listObjects(scene, random) : first,
    captions: [second, third],
    questions: askScene(scene, sceneRandom(key, 'questions'), { count: 3 }),
    random,
  };
}

/**
 * Every object with its attributes, one after the other: "small plain blue cross brown triangle, black background". An image's prompt
 * tells a scene in this way, in a few vectors and with no grammar; what stands together belongs together.
 */
export function listObjects({ objects, background }: Scene, random: Random): string {
  const tellsAll = random() < 0.5;
  const tells = (share: number): boolean => tellsAll || random() < share;
  const [tellsSize, tellsTexture, tellsBackground] = [tells(0.5), tells(0.6), tells(0.6)];
  const places = objects.map((object) => ({ object, place: random() }));
  const isOrdered = random() < 0.7;
  const ordered = places.toSorted((a, b) => (isOrdered ? a.object.x - b.object.x : a.place - b.place));
  const phrases = ordered.map(({ object: { size, texture, color, shape } }) =>
    [tellsSize ? size : '', tellsTexture ? texture : '', color, shape].filter((word) => word !== '').join(' '),
  );
  if (tellsBackground) phrases.push(`${background} background`);
  return phrases.join(random() < 0.5 ? ', ' : ' ');
}

/** A text of a decoder-only model: what may stand first, and sentences that begin with a prompt. Their targets are learned. */
export interface OptDocument {
  readonly before: string;
  readonly sentences: readonly PromptAndTarget[];
}

/** Text number `index` for a decoder-only model. Each sentence says what others have said: so there is something to read, again and again. */
export function optDocument(index: number): OptDocument {
  const { before, captions, questions, random } = tellScene(index);
  const told = captions.map((target) => ({ prompt: random() < 0.5 ? '' : 'a photo of', target }));
  const asked = questions.map(({ text, answer }) => ({ prompt: `Question: ${text} Answer:`, target: answer }));
  const sentences = [...told, ...asked].map((sentence) => ({ sentence, place: random() })).toSorted((a, b) => a.place - b.place);
  return { before: random() < 0.9 ? before : '', sentences: sentences.map(({ sentence }) => sentence) };
}

/** Text number `index` for an encoder-decoder model. */
export function t5Document(index: number): PromptAndTarget {
  const { before, captions, questions, random } = tellScene(index);
  const [caption] = captions;
  const draw = random();
  if (draw < 0.05) return splitPrefixed(caption, random);
  if (draw < 0.5) return { prompt: random() < 0.5 ? before : `${before} a photo of`, target: caption };
  if (draw < 0.65) {
    const { prompt, target } = splitPrefixed(caption, random);
    return { prompt: `${before} ${prompt}`, target };
  }
  const [{ text, answer }, other] = questions as [SceneQuestion, SceneQuestion | undefined];
  const asked = `Question: ${text} Short answer:`;
  if (draw < 0.9 || other === undefined) return { prompt: `${before} ${asked}`, target: answer };
  const told = [`Question: ${text} Answer: ${answer}`, `Question: ${other.text} Answer: ${other.answer}`];
  return { prompt: `${(random() < 0.5 ? told : told.toReversed()).join(' ')} ${asked}`, target: answer };
}

function splitPrefixed(caption: string, random: Random): PromptAndTarget {
  const { prefix, target } = splitPrefix(caption, random);
  return { prompt: prefix, target };
}
