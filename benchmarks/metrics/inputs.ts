import { existsSync, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fixturePath } from '@blip2/testing';
import { type Random, seededRandom } from '@blip2/core';
import { replaceFile } from '@blip2/core/node';
import { prepareCaptions, readCaptionAnnotations, readCaptionResults } from '@blip2/eval';
import { fileSource } from '@blip2/eval/node';

/**
 * Files of the size of the real ones, made up, in the official formats: nothing of the data sets may be part of the repository. They are
 * written once, outside of it.
 */

/** Changes when what is written changes, so that old files are not taken for new ones. */
const VERSION = 'v2';

/** Where the files of a folder are. */
export const FILES = {
  captions: 'captions_val2014.json',
  captionResults: 'captions_results.json',
  /** `[{ candidate, references }]`, tokenised: what the peer begins with. */
  captionTokens: 'captions_tokens.json',
  questions: 'v2_OpenEnded_mscoco_val2014_questions.json',
  annotations: 'v2_mscoco_val2014_annotations.json',
  vqaResults: 'vqa_results.json',
} as const;

/** How much there is to score. */
export interface MetricsSizes {
  readonly images: number;
  readonly questions: number;
}

/** A folder with all files, which are written if they are not there. */
export async function metricsFolder(
  folder: string,
  sizes: MetricsSizes,
  onWrite: (message: string) => void = () => undefined,
): Promise<string> {
  const place = join(folder, `metrics-${sizes.images}-${sizes.questions}-${VERSION}`);
  const path = (name: keyof typeof FILES): string => join(place, FILES[name]);
  if (existsSync(path('vqaResults'))) return place; // the last one
  onWrite(`writing ${sizes.images} images with captions and ${sizes.questions} questions with answers, once, to ${place}`);
  await mkdir(place, { recursive: true });
  const random = seededRandom(5);
  const captions = captionWriter(random);
  await replaceFile(path('captions'), captionFile(sizes.images, captions));
  await replaceFile(
    path('captionResults'),
    listOf(sizes.images, (index) => ({ image_id: index + 1, caption: captions(index + 1) })),
  );
  await replaceFile(path('captionTokens'), [JSON.stringify(await tokens(path('captions'), path('captionResults')))]);
  const asked = Array.from({ length: sizes.questions }, (_, question) => ask(question, random));
  await replaceFile(path('questions'), questionFile(asked));
  await replaceFile(path('annotations'), annotationFile(asked, random));
  const results = listOf(asked.length, (index) => ({
    question_id: asked[index]!.id,
    answer: random() < 0.6 ? asked[index]!.right : anAnswer(asked[index]!.type, random),
  }));
  await replaceFile(path('vqaResults'), results);
  return place;
}

/** Writes a caption of an image. */
type CaptionWriter = (image: number) => string;

/**
 * Captions like those of the golden values, whose images are said of in six ways each: the beginning of one and the end of another, with a word
 * in seven from anywhere. So they are real words, captions of an image agree as people's do, and there are as many different n-grams as in a
 * data set.
 */
function captionWriter(random: Random): CaptionWriter {
  const { images } = JSON.parse(readFileSync(fixturePath('metrics', 'captions.json'), 'utf8')) as {
    readonly images: readonly { readonly references: readonly string[]; readonly candidate: string }[];
  };
  const known = images.map(({ references, candidate }) => [...references, candidate].map((text) => text.split(' ')));
  const words = known.flat(2);
  return (image) => {
    const captions = pickAt(known, image);
    const [one, other] = [pick(captions, random), pick(captions, random)];
    const joined = [...one.slice(0, one.length >> 1), ...other.slice(other.length >> 1)];
    return joined.map((word) => (random() < 1 / 7 ? pick(words, random) : word)).join(' ');
  };
}

function* captionFile(images: number, caption: CaptionWriter): Generator<string> {
  yield '{"info": {"description": "made up"}, "images": [';
  for (let id = 1; id <= images; id += 1) {
    yield `${id === 1 ? '' : ', '}{"id": ${id}, "file_name": "COCO_val2014_${String(id).padStart(12, '0')}.jpg", "width": 640, "height": 480}`;
  }
  yield '], "annotations": [';
  for (let id = 0; id < 5 * images; id += 1) {
    const image = Math.floor(id / 5) + 1;
    const entry = { image_id: image, id, caption: caption(image) };
    yield `${id === 0 ? '' : ', '}${JSON.stringify(entry)}`;
  }
  yield ']}';
}

async function tokens(annotations: string, results: string): Promise<unknown> {
  const { references } = await readCaptionAnnotations(fileSource(annotations));
  return prepareCaptions({ references, candidates: await readCaptionResults(fileSource(results)) }).captions;
}

function* listOf(count: number, entry: (index: number) => object): Generator<string> {
  for (let index = 0; index < count; index += 1) yield `${index === 0 ? '[' : ', '}${JSON.stringify(entry(index))}`;
  yield ']';
}

// ---------------------------------------------------------------------------------------------------- questions

type AnswerType = 'yes/no' | 'number' | 'other';

interface Asked {
  readonly id: number;
  readonly image: number;
  readonly kind: string;
  readonly type: AnswerType;
  readonly right: string;
}

const ADJECTIVES =
  'red blue green small large old young wooden metal white black striped wet open closed left right front back broken'.split(' ');
const NOUNS = 'dog cat car bus table chair house tree street man woman child plate pizza cake clock phone book boat bird'.split(
  ' ',
);
const PLACES = ['', '', '', ' on the left', ' in the back', ", don't know", '.', ' (maybe)', ' of wood', '/other'];
const KINDS = Array.from({ length: 65 }, (_, kind) => `what ${pickAt(NOUNS, kind)} ${pickAt(ADJECTIVES, kind >> 2)}`);

function ask(number: number, random: Random): Asked {
  const share = random();
  const type = share < 0.38 ? 'yes/no' : share < 0.5 ? 'number' : 'other'; // about VQAv2's shares
  const image = Math.floor(number / 5) + 1;
  return { id: image * 1000 + (number % 5), image, kind: pick(KINDS, random), type, right: anAnswer(type, random) };
}

/** Of two million answers some 86,000 are different, and few are frequent. */
function anAnswer(type: AnswerType, random: Random): string {
  if (type === 'yes/no') return random() < 0.55 ? 'yes' : 'no';
  if (type === 'number')
    return random() < 0.2 ? pick(['two', 'one', 'none', 'a lot'], random) : String(Math.floor(random() ** 3 * 40));
  const rare = random();
  const noun = pickAt(NOUNS, Math.floor(rare ** 2 * NOUNS.length));
  if (rare < 0.4) return noun;
  const answer = `${random() < 0.2 ? 'the ' : ''}${pick(ADJECTIVES, random)} ${noun}${pick(PLACES, random)}`;
  return rare < 0.8 ? answer : `${answer} ${Math.floor(random() * 1000)}`;
}

function* questionFile(asked: readonly Asked[]): Generator<string> {
  yield '{"info": {"description": "made up"}, "task_type": "Open-Ended", "data_type": "mscoco", "license": {}, "data_subtype": "val2014", "questions": [';
  for (const [index, { id, image, kind }] of asked.entries()) {
    yield `${index === 0 ? '' : ', '}{"image_id": ${image}, "question": "${kind} in the picture number ${index}?", "question_id": ${id}}`;
  }
  yield ']}';
}

function* annotationFile(asked: readonly Asked[], random: Random): Generator<string> {
  yield '{"info": {"description": "made up"}, "license": {}, "data_subtype": "val2014", "data_type": "mscoco", "annotations": [';
  for (const [index, { id, image, kind, type, right }] of asked.entries()) {
    const people = Array.from({ length: 10 }, (_, person) => {
      const answer = random() < 0.7 ? right : anAnswer(type, random);
      return `{"answer": ${JSON.stringify(answer)}, "answer_confidence": "${random() < 0.8 ? 'yes' : 'maybe'}", "answer_id": ${person + 1}}`;
    });
    yield (
      `${index === 0 ? '' : ', '}{"question_type": "${kind}", "multiple_choice_answer": ${JSON.stringify(right)}, "answers": [${people.join(', ')}], ` +
      `"image_id": ${image}, "answer_type": "${type}", "question_id": ${id}}`
    );
  }
  yield ']}';
}

function pick<Item>(list: readonly Item[], random: Random): Item {
  return list[Math.floor(random() * list.length)]!;
}

function pickAt<Item>(list: readonly Item[], index: number): Item {
  return list[index % list.length]!;
}
