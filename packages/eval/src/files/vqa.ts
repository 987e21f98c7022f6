import { type FileSource, type JsonEntry, idField, textField, textsField } from '@blip2/core/json';
import * as z from 'zod/mini';
import type { Id, IndexOptions } from '../ids.ts';
import type { VqaAnnotation, VqaResult } from '../vqa/vqa.ts';
import { Interner } from './interner.ts';
import { type LoadOptions, type OpenFile, readFormats } from './read-formats.ts';
import { SeenIds } from './seen-ids.ts';

/** A question about an image. */
export interface LoadedQuestion {
  readonly question: string;
  /** The image's number; official files alone have it. */
  readonly imageId?: Id;
  /** The image's file: `val2014/COCO_val2014_000000262148.jpg`. Of official files it is made of the image's number and the file's `data_subtype`. */
  readonly image?: string;
}

/** A question of a list that LAVIS made of VQAv2, OK-VQA or GQA. */
export interface LavisQuestion {
  readonly question_id: Id;
  readonly question: string;
  readonly image: string;
  /** What people answered: ten texts in VQAv2, one in GQA, none in lists for evaluation that have no answers. */
  readonly answers: readonly string[];
}

const questionEntry = z.object(
  { question_id: idField, question: textField, image_id: idField },
  'expected { question_id, question, image_id }',
);
const lavisEntry = z.object(
  { question_id: idField, question: textField, image: textField, answer: z.optional(textsField) },
  'expected { question_id, question, image }',
);
const annotationEntry = z.object(
  {
    question_id: idField,
    question_type: z.nullish(textField),
    answer_type: z.nullish(textField),
    answers: z.array(z.object({ answer: textField }, 'expected { answer }'), 'expected a list of { answer }'),
  },
  'expected { question_id, answers }',
);
const resultEntry = z.object({ question_id: idField, answer: textField }, 'expected { question_id, answer }');

/**
 * The questions of VQAv2, by id, in the order of the file: `v2_OpenEnded_mscoco_*_questions.json`, or a list of LAVIS.
 *
 * @throws {DatasetError} naming file and entry, when the file is broken, of another format, or has a question twice.
 * @throws the abort signal's reason.
 */
export async function readVqaQuestions(source: FileSource, { abortSignal }: LoadOptions = {}): Promise<Map<Id, LoadedQuestion>> {
  const questions = new Map<Id, LoadedQuestion>();
  const numbered = new Map<Id, { readonly question: string; readonly imageId: Id }>();
  const seen = new SeenIds('question');
  let subset: string | undefined;
  await readFormats(
    source,
    {
      'vqa-questions': (entry, file) => {
        const { question_id: id, question, image_id: imageId } = file.check(questionEntry, entry);
        seen.isNew(id, entry, file);
        numbered.set(id, { question, imageId });
      },
      'lavis-questions': (entry, file) => {
        const { question_id: id, question, image } = file.check(lavisEntry, entry);
        seen.isNew(id, entry, file);
        questions.set(id, { question, image });
      },
    },
    { abortSignal, onOther: (key, value) => (subset = key === 'data_subtype' && typeof value === 'string' ? value : subset) },
  );
  const files = new Map<Id, string | undefined>(); // several questions share an image
  for (const [id, { question, imageId }] of numbered) {
    if (!files.has(imageId)) files.set(imageId, cocoFileName(imageId, subset));
    const image = files.get(imageId);
    questions.set(id, { question, imageId, ...(image === undefined ? {} : { image }) });
  }
  return questions;
}

/** `val2014/COCO_val2014_000000262148.jpg`; questions of `test-dev2015` are about images of `test2015`. */
function cocoFileName(imageId: Id, subset: string | undefined): string | undefined {
  if (subset === undefined || typeof imageId !== 'number') return undefined;
  const folder = subset.replace('-dev', '');
  return `${folder}/COCO_${folder}_${String(imageId).padStart(12, '0')}.jpg`;
}

/**
 * What people answered to the questions of VQAv2: `v2_mscoco_*_annotations.json`, or a list of LAVIS with answers (`vqa_val.json`), which has
 * no types.
 *
 * Two million answers take little memory: of equal texts there is one copy.
 *
 * @returns what `evaluateVqa` takes.
 * @throws {DatasetError} naming file and entry, when the file is broken, of another format, has a question twice or one without answers.
 * @throws the abort signal's reason.
 */
export async function readVqaAnnotations(source: FileSource, { abortSignal }: LoadOptions = {}): Promise<VqaAnnotation[]> {
  const annotations: VqaAnnotation[] = [];
  const seen = new SeenIds('question');
  const texts = new Interner();
  const answers = new Map<string, { readonly answer: string }>();
  const share = (answer: string): { readonly answer: string } => {
    let known = answers.get(answer);
    if (known === undefined) answers.set(answer, (known = { answer }));
    return known;
  };
  await readFormats(
    source,
    {
      'vqa-annotations': (entry, file) => {
        const { question_id, question_type, answer_type, answers: given } = file.check(annotationEntry, entry);
        seen.isNew(question_id, entry, file);
        annotations.push({
          question_id,
          question_type: question_type == null ? undefined : texts.of(question_type),
          answer_type: answer_type == null ? undefined : texts.of(answer_type),
          answers: assertSome(given, entry, file).map(({ answer }) => share(answer)),
        });
      },
      'lavis-questions': (entry, file) => {
        const { question_id, answer = [] } = file.check(lavisEntry, entry);
        seen.isNew(question_id, entry, file);
        annotations.push({ question_id, answers: assertSome(answer, entry, file).map(share) });
      },
    },
    { abortSignal },
  );
  return annotations;
}

function assertSome<Answer>(answers: readonly Answer[], entry: JsonEntry, file: OpenFile): readonly Answer[] {
  if (answers.length > 0) return answers;
  throw file.fail(
    'has no answers, expected those of ten people. Test splits are scored by a server; take one with answers.',
    entry,
  );
}

/**
 * A result file of VQAv2.
 *
 * Rules: an answer may be empty; whether all questions have one, and no others, is for the scorer to check.
 *
 * @param options.duplicates - `'throw'`, or take the `'first'` of several. @default 'throw'
 * @returns what `evaluateVqa` takes.
 * @throws {DatasetError} naming file and entry, when the file is broken, of another format, has a question twice, or an answer that is no text.
 * @throws the abort signal's reason.
 */
export async function readVqaResults(
  source: FileSource,
  { abortSignal, duplicates = 'throw' }: LoadOptions & IndexOptions = {},
): Promise<VqaResult[]> {
  const results: VqaResult[] = [];
  const seen = new SeenIds('question', { duplicates });
  const texts = new Interner();
  await readFormats(
    source,
    {
      'vqa-results': (entry, file) => {
        const { question_id, answer } = file.check(resultEntry, entry);
        if (seen.isNew(question_id, entry, file)) results.push({ question_id, answer: texts.of(answer) });
      },
    },
    { abortSignal },
  );
  return results;
}

/**
 * A list that LAVIS made of VQAv2, OK-VQA or GQA, in its order. For `gqaAccuracy` take the first of `answers`.
 *
 * @throws {DatasetError} naming file and entry, when the file is broken, of another format, or has a question twice.
 * @throws the abort signal's reason.
 */
export async function readLavisQuestions(source: FileSource, { abortSignal }: LoadOptions = {}): Promise<LavisQuestion[]> {
  const questions: LavisQuestion[] = [];
  const seen = new SeenIds('question');
  const texts = new Interner();
  await readFormats(
    source,
    {
      'lavis-questions': (entry, file) => {
        const { question_id, question, image, answer = [] } = file.check(lavisEntry, entry);
        seen.isNew(question_id, entry, file);
        questions.push({ question_id, question, image: texts.of(image), answers: answer.map((one) => texts.of(one)) });
      },
    },
    { abortSignal },
  );
  return questions;
}
