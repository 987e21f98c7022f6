import { type Random, seededRandom } from '@blip2/core';
import { askScene, describeScene, type Domain, drawScene, type Scene, type SceneQuestion, sceneRandom } from '@blip2/datasets';
import { splitPrefix } from '@blip2/losses';

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
  readonly caption: string;
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
  const [first, second] = describeScene(scene, sceneRandom(key, 'captions'), 2) as [string, string];
  return {
    before: random() < 0.6 ? listObjects(scene, random) : first,
    caption: second,
    questions: askScene(scene, sceneRandom(key, 'questions'), { count: 3 }),
    random,
  };
}

/**
 * Every object with its attributes, one after the other: "small plain blue cross brown triangle, black background". An image's prompt
 * tells a scene in this way, in a few vectors and with no grammar; what stands together belongs together.
 */
function listObjects({ objects, background }: Scene, random: Random): string {
  const [tellsSize, tellsTexture, tellsBackground] = [random() < 0.6, random() < 0.75, random() < 0.75];
  const places = objects.map((object) => ({ object, place: random() }));
  const isOrdered = random() < 0.5;
  const ordered = places.toSorted((a, b) => (isOrdered ? a.object.x - b.object.x : a.place - b.place));
  const phrases = ordered.map(({ object: { size, texture, color, shape } }) =>
    [tellsSize ? size : '', tellsTexture ? texture : '', color, shape].filter((word) => word !== '').join(' '),
  );
  if (tellsBackground) phrases.push(`${background} background`);
  return phrases.join(random() < 0.5 ? ', ' : ' ');
}

/** A text of a decoder-only model: a document that begins with a prompt, and what may stand before it. The target is learned. */
export interface OptDocument {
  readonly before: string;
  readonly prompt: string;
  readonly target: string;
}

/** Text number `index` for a decoder-only model. */
export function optDocument(index: number): OptDocument {
  const { before, caption: target, questions, random } = tellScene(index);
  const [asked, other] = questions as [SceneQuestion, SceneQuestion | undefined];
  const question = { prompt: `Question: ${asked.text} Answer:`, target: asked.answer };
  const caption = { prompt: random() < 0.5 ? '' : 'a photo of', target };
  const draw = random();
  if (draw < 0.06) return { before: '', ...caption };
  if (draw < 0.1) return { before: '', ...question };
  if (draw < 0.55) return { before, ...caption };
  if (draw < 0.8 || other === undefined) return { before, ...question };
  const told = [asked, other].map(({ text, answer }) => `Question: ${text} Answer: ${answer}`);
  return { before: (random() < 0.5 ? told : told.toReversed()).join(' '), ...question };
}

/** A text of an encoder-decoder model. */
export interface T5Document {
  readonly prompt: string;
  readonly target: string;
}

/** Text number `index` for an encoder-decoder model. */
export function t5Document(index: number): T5Document {
  const { before, caption, questions, random } = tellScene(index);
  const draw = random();
  if (draw < 0.05) return splitPrefixed(caption, random);
  if (draw < 0.45) return { prompt: random() < 0.5 ? before : `${before} a photo of`, target: caption };
  if (draw < 0.6) {
    const { prompt, target } = splitPrefixed(caption, random);
    return { prompt: `${before} ${prompt}`, target };
  }
  const [{ text, answer }, other] = questions as [SceneQuestion, SceneQuestion | undefined];
  const asked = `Question: ${text} Short answer:`;
  if (draw < 0.8 || other === undefined) return { prompt: `${before} ${asked}`, target: answer };
  const told = [`Question: ${text} Answer: ${answer}`, `Question: ${other.text} Answer: ${other.answer}`];
  return { prompt: `${(random() < 0.5 ? told : told.toReversed()).join(' ')} ${asked}`, target: answer };
}

function splitPrefixed(caption: string, random: Random): T5Document {
  const { prefix, target } = splitPrefix(caption, random);
  return { prompt: prefix, target };
}
