import { answer, ANSWER_DEFAULTS, type Blip2 } from 'blip2';
import { askScene, drawScene, sceneRandom } from '@blip2/datasets';
import { evaluateVqa } from '@blip2/eval';
import { processQuestion } from '@blip2/tokenizers';
import { SEEDS } from '../world.ts';
import type { HeldOut } from './held-out.ts';
import { inBatches } from './in-batches.ts';
import { writeWithoutImage } from './without-image.ts';

/** VQA accuracy in percent. */
export interface QuestionScores {
  readonly model: number;
  /** By the first words of the question. */
  readonly perType: Readonly<Record<string, number>>;
  /** The language model without an image. */
  readonly blind: number;
  /** The most frequent answer to the same question in training, or to questions that begin with the same words. */
  readonly prior: number;
  /** The true answer: annotators do not always give it. */
  readonly human: number;
}

/** @param beams - 5 as published for questions that nothing was trained on; answers after training need none. */
export async function questionScores(
  model: Blip2,
  { questions, annotations }: Pick<HeldOut, 'questions' | 'annotations'>,
  beams = 1,
): Promise<QuestionScores> {
  const architecture = model.languageModel!.architecture;
  const { template, ...defaults } = ANSWER_DEFAULTS[architecture];
  const texts = questions.map(({ question }) => question!.text);
  const answered = await inBatches(questions, async (some) => {
    const images = await Promise.all(some.map((row) => row.readImage()));
    const asked = some.map(({ question }) => question!.text);
    return (await answer(model, images, asked, { beams })).map(({ text }) => text);
  });
  const blind = await inBatches(texts, (some) =>
    writeWithoutImage(
      model,
      some.map((text) => template.replace('{}', processQuestion(text))),
      defaults,
    ),
  );
  const prior = priorAnswers();
  const accuracy = (answers: readonly string[]) =>
    evaluateVqa({
      annotations,
      results: questions.map(({ question }, index) => ({ question_id: question!.id, answer: answers[index]! })),
    });
  const scores = accuracy(answered);
  return {
    model: scores.overall,
    perType: Object.fromEntries(scores.perQuestionType),
    blind: accuracy(blind).overall,
    prior: accuracy(texts.map(prior)).overall,
    human: accuracy(questions.map(({ question }) => question!.answers!.toSorted((a, b) => b.weight - a.weight)[0]!.answer))
      .overall,
  };
}

/** Scenes whose answers the prior counts. */
const COUNTED = 10_000;

/** Answers by what was answered most often in training: to the question itself, else to its first four, three, two, one words. */
function priorAnswers(): (question: string) => string {
  const counts = new Map<string, Map<string, number>>();
  for (let index = 0; index < COUNTED; index++) {
    const key = { seed: SEEDS.training, index };
    for (const { text, answer: given } of askScene(drawScene(key), sceneRandom(key, 'questions'))) {
      for (const opening of openingsOf(text)) {
        const answers = counts.get(opening) ?? new Map<string, number>();
        counts.set(opening, answers.set(given, (answers.get(given) ?? 0) + 1));
      }
    }
  }
  return (question) => {
    const known = openingsOf(question).find((opening) => counts.has(opening));
    const answers = [...(counts.get(known ?? '') ?? [['yes', 1] as const])];
    return answers.reduce((best, each) => (each[1] > best[1] ? each : best))[0];
  };
}

function openingsOf(question: string): string[] {
  const words = question.split(' ');
  return [question, ...[4, 3, 2, 1].map((count) => words.slice(0, count).join(' '))];
}
