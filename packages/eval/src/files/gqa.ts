import { type FileSource, type JsonEntry, textField } from '@blip2/core/json';
import * as z from 'zod/mini';
import type { GqaAttention, GqaChoices, GqaPrediction, GqaQuestion, GqaSceneGraph } from '../gqa/questions.ts';
import type { IndexOptions } from '../ids.ts';
import { Interner } from './interner.ts';
import type { FileFormat } from './formats.ts';
import { type LoadOptions, type OpenFile, readFormats } from './read-formats.ts';
import { SeenIds } from './seen-ids.ts';

const numberField = z.number('expected a number');
const objectIds = z.record(z.string(), textField, 'expected an object of object ids');

const questionEntry = z.object(
  {
    question: textField,
    answer: z.string('expected the right answer, which files of test splits lack'),
    imageId: textField,
    isBalanced: z.boolean('expected true or false'),
    types: z.object(
      { structural: textField, semantic: textField, detailed: textField },
      'expected { structural, semantic, detailed }',
    ),
    groups: z.nullish(z.object({ global: z.nullish(textField) }, 'expected { global }')),
    semantic: z.array(
      z.object({ operation: textField, argument: textField }, 'expected { operation, argument }'),
      'expected a list of steps',
    ),
    entailed: z.array(textField, 'expected a list of question ids'),
    annotations: z.nullish(z.object({ question: objectIds, fullAnswer: objectIds }, 'expected { question, fullAnswer }')),
  },
  'expected { question, answer, imageId, … }',
);
const choicesEntry = z.object(
  { valid: z.array(textField, 'expected a list of texts'), plausible: z.array(textField, 'expected a list of texts') },
  'expected { valid, plausible }',
);
const sceneGraphEntry = z.object(
  {
    width: numberField,
    height: numberField,
    objects: z.record(
      z.string(),
      z.object({ x: numberField, y: numberField, w: numberField, h: numberField }, 'expected { x, y, w, h }'),
      'expected an object of boxes',
    ),
  },
  'expected { width, height, objects }',
);
const predictionEntry = z.object({ questionId: textField, prediction: textField }, 'expected { questionId, prediction }');
const attentionEntry = z.object(
  { questionId: textField, attention: z.array(z.array(numberField, 'expected a list of numbers'), 'expected a list of rows') },
  'expected { questionId, attention }',
);

/**
 * The questions of GQA by id, with what the official script scores by: `{split}_{balanced,all}_questions.json`.
 *
 * @param source - A file, or its chunks, such as the ten of `train_all_questions`.
 * @returns what `evaluateGqa` takes.
 * @throws {DatasetError} naming file and entry, when a file is broken, of another format, has a question that another file has too, or a question
 * without answer.
 * @throws the abort signal's reason.
 */
export async function readGqaQuestions(
  source: FileSource | readonly FileSource[],
  options?: LoadOptions,
): Promise<Record<string, GqaQuestion>> {
  const texts = new Interner();
  return readKeyed(source, 'gqa-questions', 'question', options, (entry, file) => {
    const { groups, semantic, annotations, types, ...rest } = file.check(questionEntry, entry);
    return {
      ...rest,
      answer: texts.of(rest.answer),
      imageId: texts.of(rest.imageId),
      types: {
        structural: texts.of(types.structural),
        semantic: texts.of(types.semantic),
        detailed: texts.of(types.detailed),
      },
      groups: { global: groups?.global == null ? null : texts.of(groups.global) },
      semantic: semantic.map(({ operation, argument }) => ({ operation: texts.of(operation), argument: texts.of(argument) })),
      ...(annotations == null ? {} : { annotations }),
    };
  });
}

/**
 * Answers that fit the questions of GQA, and that occur: for validity and plausibility.
 *
 * @throws as {@link readGqaQuestions}.
 */
export async function readGqaChoices(
  source: FileSource | readonly FileSource[],
  options?: LoadOptions,
): Promise<Record<string, GqaChoices>> {
  const texts = new Interner();
  return readKeyed(source, 'gqa-choices', 'question', options, (entry, file) => {
    const { valid, plausible } = file.check(choicesEntry, entry);
    return { valid: valid.map((one) => texts.of(one)), plausible: plausible.map((one) => texts.of(one)) };
  });
}

/**
 * Boxes of the objects in GQA's images, by image: for grounding.
 *
 * @throws as {@link readGqaQuestions}.
 */
export async function readGqaSceneGraphs(
  source: FileSource | readonly FileSource[],
  options?: LoadOptions,
): Promise<Record<string, GqaSceneGraph>> {
  return readKeyed(source, 'gqa-scene-graphs', 'image', options, (entry, file) => file.check(sceneGraphEntry, entry));
}

/**
 * A result file of GQA.
 *
 * Rules: a prediction may be empty; those for questions that are not asked are ignored, as by the official script.
 *
 * @param options.duplicates - `'throw'`, or take the `'first'` of several. @default 'throw'
 * @returns what `evaluateGqa` takes.
 * @throws {DatasetError} naming file and entry, when the file is broken, of another format, or has a question twice.
 * @throws the abort signal's reason.
 */
export async function readGqaPredictions(
  source: FileSource,
  { abortSignal, duplicates = 'throw' }: LoadOptions & IndexOptions = {},
): Promise<GqaPrediction[]> {
  const predictions: GqaPrediction[] = [];
  const seen = new SeenIds('question', { duplicates });
  const texts = new Interner();
  await readFormats(
    source,
    {
      'gqa-predictions': (entry, file) => {
        const { questionId, prediction } = file.check(predictionEntry, entry);
        if (seen.isNew(questionId, entry, file)) predictions.push({ questionId, prediction: texts.of(prediction) });
      },
    },
    { abortSignal },
  );
  return predictions;
}

/**
 * Where a model looked when it answered the questions of GQA: for grounding.
 *
 * @throws as {@link readGqaPredictions}, and when a number is none. The size of the tables is for the scorer to check.
 */
export async function readGqaAttention(source: FileSource, { abortSignal }: LoadOptions = {}): Promise<GqaAttention[]> {
  const attention: GqaAttention[] = [];
  const seen = new SeenIds('question');
  await readFormats(
    source,
    {
      'gqa-attention': (entry, file) => {
        const checked = file.check(attentionEntry, entry);
        seen.isNew(checked.questionId, entry, file);
        attention.push(checked);
      },
    },
    { abortSignal },
  );
  return attention;
}

/** The values of objects by their keys; an object without a prototype, since the keys are a stranger's. */
async function readKeyed<Value>(
  source: FileSource | readonly FileSource[],
  format: FileFormat,
  what: string,
  { abortSignal }: LoadOptions = {},
  valueOf: (entry: JsonEntry, file: OpenFile) => Value,
): Promise<Record<string, Value>> {
  const values = Object.create(null) as Record<string, Value>;
  const seen = new SeenIds(what);
  const onEntry = (entry: JsonEntry, file: OpenFile): void => {
    seen.isNew(entry.key!, entry, file);
    values[entry.key!] = valueOf(entry, file);
  };
  for (const one of Array.isArray(source) ? (source as readonly FileSource[]) : [source as FileSource])
    await readFormats(one, { [format]: onEntry }, { abortSignal });
  return values;
}
