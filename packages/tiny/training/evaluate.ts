import { answer, type Blip2, caption, embedImages, embedTexts, match } from 'blip2';
import { annotate, askScene, describeScene, type Domain, drawScene, renderScene, type Scene, sceneRandom } from '@blip2/datasets';
import {
  evaluateCaptions,
  evaluateRetrieval,
  evaluateVqa,
  rerankCandidates,
  rerankedScores,
  type RetrievalScores,
} from '@blip2/eval';
import { processCaption } from '@blip2/tokenizers';
import * as tf from '@tensorflow/tfjs-core';
import { SEEDS } from './world.ts';

/** Scenes that nothing was trained on, in one domain. */
export interface HeldOut {
  readonly domain: Domain;
  readonly scenes: readonly { readonly index: number; readonly scene: Scene }[];
}

/** @param size - How many scenes. */
export function heldOut(size: number, domain: Domain = 'in'): HeldOut {
  const scenes = Array.from({ length: size }, (_, index) => ({
    index,
    scene: drawScene({ seed: SEEDS.validation, index }, { domain }),
  }));
  return { domain, scenes };
}

const AT_ONCE = 20;

/** CIDEr and BLEU-4 of a model's captions, and of a sixth reference that nobody else sees. */
export async function captionScores(model: Blip2, { scenes }: HeldOut, prompt: string, beams = 3) {
  const texts: string[] = [];
  for (let begin = 0; begin < scenes.length; begin += AT_ONCE) {
    const images = scenes.slice(begin, begin + AT_ONCE).map(({ scene }) => renderScene(scene));
    texts.push(...(await caption(model, images, { prompt, beams, maxNewTokens: 36 })).map(({ text }) => text));
  }
  const six = scenes.map(({ index, scene }) =>
    describeScene(scene, sceneRandom({ seed: SEEDS.validation, index }, 'captions'), 6),
  );
  const references = new Map(six.map((each, index) => [index, each.slice(0, 5)]));
  const score = (candidates: readonly string[]) =>
    evaluateCaptions({ references, candidates: new Map(candidates.map((text, index) => [index, text])) }).corpus;
  const [ours, human] = [score(texts), score(six.map((each) => each[5]!))];
  return { CIDEr: ours.CIDEr, Bleu_4: ours.Bleu_4, human: human.CIDEr, share: ours.CIDEr / human.CIDEr, texts, six };
}

/** VQA accuracy, by type of answer, against ten annotators. */
export async function questionScores(
  model: Blip2,
  { scenes }: HeldOut,
  perScene = 4,
  options: { blind?: boolean; beams?: number } = {},
) {
  const asked = scenes.flatMap(({ index, scene }, row) => {
    const random = sceneRandom({ seed: SEEDS.validation, index }, 'questions');
    return askScene(scene, random, { count: perScene }).map((question) => ({
      row,
      question,
      answers: annotate(question, random),
    }));
  });
  const results: string[] = [];
  for (let begin = 0; begin < asked.length; begin += AT_ONCE) {
    const some = asked.slice(begin, begin + AT_ONCE);
    const images = some.map(({ row }) => renderScene(scenes[row]!.scene));
    const answers = await answer(
      model,
      images,
      some.map(({ question }) => question.text),
      { beams: options.beams ?? 1 },
    );
    results.push(...answers.map(({ text }) => text));
  }
  const scores = evaluateVqa({
    annotations: asked.map(({ question, answers }, id) => ({
      question_id: id,
      answer_type: question.type,
      question_type: question.kind,
      answers: answers.map((text) => ({ answer: text })),
    })),
    results: results.map((text, id) => ({ question_id: id, answer: text })),
  } as never);
  return {
    overall: scores.overall,
    perType: Object.fromEntries(scores.perAnswerType),
    perKind: Object.fromEntries(scores.perQuestionType),
  };
}

/** Recall among the scenes, by contrast alone and after matching has ranked the best again. */
export async function retrievalScores(model: Blip2, { scenes }: HeldOut, { rerank = 0, texts: perImage = 5 } = {}) {
  const captions = scenes.map(({ index, scene }) =>
    describeScene(scene, sceneRandom({ seed: SEEDS.validation, index }, 'captions'), perImage).map((text) =>
      processCaption(text),
    ),
  );
  const flat = captions.flat();
  const textFeatures: Float32Array[] = [];
  for (let begin = 0; begin < flat.length; begin += 200) {
    const features = await embedTexts(model, flat.slice(begin, begin + 200)); // [texts, width]
    const data = (await features.data()) as Float32Array;
    for (let row = 0; row < features.shape[0]; row++)
      textFeatures.push(data.slice(row * features.shape[1], (row + 1) * features.shape[1]));
    features.dispose();
  }
  const texts = tf.tensor2d(Float32Array.from(textFeatures.flatMap((row) => [...row])), [flat.length, textFeatures[0]!.length]);
  const imageToText: Float32Array[] = [];
  for (let begin = 0; begin < scenes.length; begin += AT_ONCE) {
    const queries = await embedImages(
      model,
      scenes.slice(begin, begin + AT_ONCE).map(({ scene }) => renderScene(scene)),
    ); // [images, queries, width]
    const [images, count, width] = queries.shape;
    const similarity = tf.tidy(() =>
      tf.max(
        tf.reshape(tf.matMul(tf.reshape(queries, [images * count, width]), texts, false, true), [images, count, flat.length]),
        1,
      ),
    ); // [images, texts]
    const data = (await similarity.data()) as Float32Array;
    for (let row = 0; row < images; row++) imageToText.push(data.slice(row * flat.length, (row + 1) * flat.length));
    tf.dispose([queries, similarity]);
  }
  texts.dispose();
  const textToImage = flat.map((_, text) => Float32Array.from(imageToText, (row) => row[text]!));
  const captionsPerImage = captions.map((each) => each.length);
  const contrast = evaluateRetrieval({ imageToText, textToImage, captionsPerImage });
  if (rerank === 0) return { contrast };
  const matching = await rerankedRetrieval(model, scenes, flat, { imageToText, textToImage, captionsPerImage }, rerank);
  return { contrast, matching };
}

async function rerankedRetrieval(
  model: Blip2,
  scenes: HeldOut['scenes'],
  texts: readonly string[],
  scores: Parameters<typeof evaluateRetrieval>[0],
  topK: number,
): Promise<RetrievalScores> {
  const { candidates: textsOf } = rerankCandidates(scores.imageToText, topK);
  const { candidates: imagesOf } = rerankCandidates(scores.textToImage, topK);
  const wanted = scenes.map((_, image) => new Set(textsOf[image]));
  imagesOf.forEach((images, text) => images.forEach((image) => wanted[image]!.add(text)));
  const found = new Map<string, number>();
  for (const [image, { scene }] of scenes.entries()) {
    const list = [...wanted[image]!];
    const [row] = await match(
      model,
      renderScene(scene),
      list.map((text) => texts[text]!),
    );
    row!.forEach(({ itm }, place) => found.set(`${image} ${list[place]}`, Math.log(itm / (1 - itm))));
  }
  return evaluateRetrieval({
    imageToText: rerankedScores(
      scores.imageToText,
      textsOf,
      textsOf.map((list, image) => list.map((text) => found.get(`${image} ${text}`)!)),
    ),
    textToImage: rerankedScores(
      scores.textToImage,
      imagesOf,
      imagesOf.map((list, text) => list.map((image) => found.get(`${image} ${text}`)!)),
    ),
    captionsPerImage: scores.captionsPerImage,
  });
}
