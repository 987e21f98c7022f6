import type { JsonEntry } from '@blip2/core/json';

/** The files that come with the benchmarks, as messages call them, and what is in them. */
export const FILE_FORMATS = {
  'coco-captions': 'COCO caption annotations ({ images: [{ id }], annotations: [{ image_id, caption }] })',
  'coco-objects': 'COCO object annotations ({ annotations: [{ image_id, bbox }] })',
  karpathy: "a file of Karpathy's splits ({ images: [{ filename, split, sentences }] })",
  'lavis-captions': 'a LAVIS list of captions ([{ image, caption: […] }])',
  'lavis-train-captions': 'a LAVIS training list of captions ([{ image, caption, image_id }])',
  'lavis-images': 'a LAVIS list of images ([{ image, img_id }])',
  'caption-results': 'caption results ([{ image_id, caption }])',
  'vqa-questions': 'VQA questions ({ questions: [{ question_id, image_id, question }] })',
  'vqa-annotations': 'VQA annotations ({ annotations: [{ question_id, answers }] })',
  'vqa-results': 'VQA results ([{ question_id, answer }])',
  'lavis-questions': 'a LAVIS list of questions ([{ question_id, question, image }])',
  'gqa-questions': 'GQA questions ({ id: { question, imageId, answer, … } })',
  'gqa-predictions': 'GQA predictions ([{ questionId, prediction }])',
  'gqa-choices': 'GQA choices ({ id: { valid, plausible } })',
  'gqa-scene-graphs': 'GQA scene graphs ({ id: { width, height, objects } })',
  'gqa-attention': 'GQA attention ([{ questionId, attention }])',
} as const;

export type FileFormat = keyof typeof FILE_FORMATS;

/** Keys of objects whose lists are the matter of a file. Other keys of such files say something about them, and are not read. */
export const LIST_KEYS: ReadonlySet<string> = new Set(['images', 'annotations', 'questions']);

/** A key of the outer object; `undefined` for a list without one, `'*'` for an id. */
type Place = 'images' | 'annotations' | 'questions' | '*' | undefined;

/** What an entry at a place has to have for a format; the first that fits counts. */
const SIGNS: readonly (readonly [format: FileFormat, place: Place, fields: readonly string[]])[] = [
  ['lavis-train-captions', undefined, ['image', 'caption', 'image_id']],
  ['lavis-captions', undefined, ['image', 'caption']],
  ['lavis-images', undefined, ['image', 'img_id']],
  ['caption-results', undefined, ['image_id', 'caption']],
  ['lavis-questions', undefined, ['question_id', 'question', 'image']],
  ['vqa-results', undefined, ['question_id', 'answer']],
  ['gqa-predictions', undefined, ['questionId', 'prediction']],
  ['gqa-attention', undefined, ['questionId', 'attention']],
  ['karpathy', 'images', ['filename', 'sentences']],
  ['coco-captions', 'images', ['id']],
  ['coco-captions', 'annotations', ['image_id', 'caption']],
  ['coco-objects', 'annotations', ['image_id', 'bbox']],
  ['vqa-annotations', 'annotations', ['question_id', 'answers']],
  ['vqa-questions', 'questions', ['question_id', 'question']],
  ['gqa-questions', '*', ['question', 'imageId']],
  ['gqa-choices', '*', ['valid', 'plausible']],
  ['gqa-scene-graphs', '*', ['width', 'height', 'objects']],
];

/** Formats whose outer object has an id for each entry. */
export const KEYED_FORMATS: ReadonlySet<FileFormat> = new Set(
  SIGNS.filter(([, place]) => place === '*').map(([format]) => format),
);

/** The format that an entry belongs to, by where it stands and what it has; `undefined` when it says nothing. */
export function formatOf({ key, index, value }: JsonEntry): FileFormat | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const place = index === undefined ? '*' : key;
  return SIGNS.find(([, at, fields]) => at === place && fields.every((field) => field in value))?.[0];
}
