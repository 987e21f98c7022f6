import { join } from 'node:path';
import { asAnswerer } from 'blip2/node';
import { DatasetError } from '@blip2/core';
import { fileSource } from '@blip2/core/node';
import type { DatasetRecord, IndexedDataset } from '@blip2/datasets';
import { readGqa, readVqa } from '@blip2/datasets/node';
import {
  ANSWER_SETTINGS,
  type AskedQuestion,
  type Id,
  predictAnswers,
  type Protocol,
  readGqaAttention,
  readGqaChoices,
  readGqaPredictions,
  readGqaQuestions,
  readGqaSceneGraphs,
  readVqaAnnotations,
  readVqaQuestions,
  readVqaResults,
  scoreGqa,
  scoreVqa,
  type VqaAnnotation,
  type VqaNormalization,
} from '@blip2/eval';
import { writeGqaPredictions, writeVqaResults } from '@blip2/eval/node';
import { UsageError } from '../command-line.ts';
import { defined } from '../defined.ts';
import type { Evaluation, EvaluationInput } from './evaluation.ts';
import { readRecord, recordsIn } from './images.ts';
import { modelLabel, runModel } from './model-run.ts';
import { filesAndParts, neededFile, neededFiles, runsModel } from './needed.ts';

/** VQAv2. */
export async function evaluateVqaBenchmark(input: EvaluationInput): Promise<Evaluation> {
  const { values, session } = input;
  const { abortSignal } = session;
  const source = neededFile('vqav2', 'annotations', values.annotations);
  const [path, ...others] = values.questions;
  if (others.length > 0)
    throw new UsageError(
      `vqav2 takes one file of --questions, and ${others.length + 1} were named. Name that of the annotations' split.`,
    );
  const questionFile = neededFile('vqav2', 'questions', path);
  const runs = runsModel('vqav2', values, 'predictions', values.predictions);
  const annotations = (await readVqaAnnotations(source, { abortSignal })).slice(0, values.limit);
  const questions = await readVqaQuestions(questionFile, { abortSignal });
  assertAsked(annotations, questions, questionFile.name);
  const known = new Set(annotations.map(({ question_id }) => question_id));
  const rows =
    values.images === undefined
      ? undefined
      : questionsOf(await readVqa(questionFile.name, { images: values.images, abortSignal }), known);
  const predicted: Predicted = runs
    ? await predict('vqav2', input, rows!)
    : { model: values.predictions!, answers: await vqaResults(values.predictions!, input, known) };
  const scored = scoreVqa({
    annotations,
    answers: predicted.answers,
    questions: questions as ReadonlyMap<Id, AskedQuestion>,
    normalization: values.normalization as VqaNormalization,
  });
  return evaluation(scored, source.name, predicted, rows, writeVqaResults);
}

/** Questions of another split would make a run of few questions, and wrong examples of a report. */
function assertAsked(annotations: readonly VqaAnnotation[], questions: ReadonlyMap<Id, unknown>, path: string): void {
  const missing = annotations.map(({ question_id }) => question_id).filter((id) => !questions.has(id));
  if (missing.length === 0) return;
  const shown = missing.slice(0, 5).map((id) => JSON.stringify(id));
  throw new DatasetError(
    `${path}: lacks ${missing.length} of the ${annotations.length} questions that have annotations (${shown.join(', ')}${missing.length > shown.length ? ', …' : ''}), expected all of them. ` +
      'Take questions and annotations of the same split.',
    path,
  );
}

async function vqaResults(path: string, { values, session }: EvaluationInput, known: ReadonlySet<Id>): Promise<Map<Id, string>> {
  const results = await readVqaResults(fileSource(path), { abortSignal: session.abortSignal });
  const wanted = values.limit === undefined ? results : results.filter(({ question_id }) => known.has(question_id));
  return new Map(wanted.map(({ question_id, answer }) => [question_id, answer]));
}

/** GQA. */
export async function evaluateGqaBenchmark(input: EvaluationInput): Promise<Evaluation> {
  const { values, session } = input;
  const options = { abortSignal: session.abortSignal };
  const sources = await neededFiles('gqa', 'questions', values.questions);
  const runs = runsModel('gqa', values, 'predictions', values.predictions);
  const { sceneGraphs, attentions } = values;
  if (attentions !== undefined && sceneGraphs === undefined)
    throw new UsageError('gqa: --attentions needs --scene-graphs FILE too, the boxes of the objects. Name both, or neither.');
  const choices = await filesAndParts('choices', values.choices);
  const all = await readGqaQuestions(sources, options);
  const questions = Object.fromEntries(Object.entries(all).slice(0, values.limit));
  const known = new Set<Id>(Object.keys(questions));
  const rows =
    values.images === undefined
      ? undefined
      : questionsOf(
          await readGqa(
            sources.map(({ name }) => name),
            { images: values.images, ...options },
          ),
          known,
        );
  const predicted: Predicted = runs
    ? await predict('gqa', input, rows!)
    : { model: values.predictions!, answers: await gqaPredictions(values.predictions!, input) };
  const scored = scoreGqa({
    questions,
    predictions: [...predicted.answers].map(([id, prediction]) => ({ questionId: String(id), prediction })),
    ...(choices.length > 0 && { choices: await readGqaChoices(choices, options) }),
    ...(attentions !== undefined && { attention: await readGqaAttention(fileSource(attentions), options) }),
    ...(sceneGraphs !== undefined && { sceneGraphs: await readGqaSceneGraphs(fileSource(sceneGraphs), options) }),
  });
  return evaluation(scored, sources.map(({ name }) => name).join(', '), predicted, rows, writeGqaPredictions);
}

async function gqaPredictions(path: string, { session }: EvaluationInput): Promise<Map<Id, string>> {
  const predictions = await readGqaPredictions(fileSource(path), { abortSignal: session.abortSignal });
  return new Map(predictions.map(({ questionId, prediction }) => [questionId, prediction]));
}

interface Predicted {
  readonly model: string;
  readonly answers: ReadonlyMap<Id, string>;
  /** Of the run that predicted them. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

/** A question to ask, with its image. */
interface Row {
  readonly id: Id;
  readonly question: string;
  readonly image: DatasetRecord;
}

/** The questions that are scored, image by image: those about one picture share its record, so that it is read once. */
function questionsOf(dataset: IndexedDataset, known: ReadonlySet<Id>): Row[] {
  const asked = recordsIn(dataset).filter(({ question }) => known.has(question!.id));
  const byImage = [...Map.groupBy(asked, ({ imageKey }) => imageKey).values()];
  return byImage.flatMap((records) =>
    records.map(({ question }) => ({ id: question!.id, question: question!.text, image: records[0]! })),
  );
}

async function predict(benchmark: string, input: EvaluationInput, items: readonly Row[]): Promise<Predicted> {
  const { protocol, template, beams, lengthPenalty, maxNewTokens } = input.values;
  const settings = {
    ...ANSWER_SETTINGS[protocol as Protocol],
    ...defined({ template, beams, lengthPenalty, maxNewTokens }),
  };
  const { result, settings: used } = await runModel(input, {
    benchmark,
    settings,
    items,
    identify: ({ question }) => question,
    writesText: true,
    run: (model, options) => predictAnswers(items, asAnswerer(model, readRecord), settings, options),
  });
  return { model: modelLabel(input.values), answers: result, settings: used };
}

function evaluation(
  scored: ReturnType<typeof scoreVqa>,
  annotations: string,
  { model, answers, settings }: Predicted,
  rows: readonly Row[] | undefined,
  write: (path: string, answers: ReadonlyMap<Id, string>) => Promise<void>,
): Evaluation {
  const images = rows && new Map(rows.map(({ id, image }) => [id, image]));
  return {
    run: { ...scored, model, annotations, ...defined({ settings }) },
    ...(images && { readImage: async ({ id }) => images.get(id)?.readImage() }),
    ...(settings && { writePredictions: (folder) => write(join(folder, 'predictions.json'), answers) }),
  };
}
