import { ANSWER_DEFAULTS, asAnswerer, type Blip2 } from 'blip2';
import { askScene, type DatasetRecord, drawScene, sceneRandom } from '@blip2/datasets';
import { ANSWER_SETTINGS, evaluateVqa, predictAnswers, predictItems, TEXT_CODEC, type VqaScores } from '@blip2/eval';
import { processQuestion } from '@blip2/tokenizers';
import { SEEDS } from '../world.ts';
import { type HeldOut, readRecord } from './held-out.ts';
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

type AskedQuestions = Pick<HeldOut, 'questions' | 'annotations'>;

/**
 * What a model answers, scored.
 *
 * @param beams - 5 as published for questions that nothing was trained on; answers after training need none.
 */
export async function answerScores(model: Blip2, asked: AskedQuestions, beams: number): Promise<VqaScores> {
  const settings = { ...ANSWER_SETTINGS['zero-shot'], beams };
  const answerer = asAnswerer(model, readRecord);
  return scoreAnswers(asked, await predictAnswers(itemsOf(asked), answerer, settings, { batchSize: 32 }));
}

/** A model, and what can be answered without it. */
export async function questionScores(model: Blip2, asked: AskedQuestions, beams = 1): Promise<QuestionScores> {
  const { overall, perQuestionType } = await answerScores(model, asked, beams);
  const { template, ...defaults } = ANSWER_DEFAULTS[model.languageModel!.architecture];
  const withoutImage = await predictItems(
    itemsOf(asked),
    {
      part: 'answers without an image',
      codec: TEXT_CODEC,
      predict: (some) => {
        const prompts = some.map(({ question }) => template.replace('{}', processQuestion(question)));
        return writeWithoutImage(model, prompts, defaults);
      },
    },
    { batchSize: 32 },
  );
  const prior = priorAnswers();
  const byRecord = (answerOf: (record: DatasetRecord) => string): number =>
    scoreAnswers(asked, new Map(asked.questions.map((record) => [record.question!.id, answerOf(record)]))).overall;
  return {
    model: overall,
    perType: Object.fromEntries(perQuestionType),
    blind: scoreAnswers(asked, withoutImage).overall,
    prior: byRecord(({ question }) => prior(question!.text)),
    human: byRecord(({ question }) => question!.answers!.toSorted((a, b) => b.weight - a.weight)[0]!.answer),
  };
}

function itemsOf({ questions }: AskedQuestions) {
  return questions.map((image) => ({ id: image.question!.id, image, question: image.question!.text }));
}

function scoreAnswers({ annotations }: AskedQuestions, answers: ReadonlyMap<string | number, string>): VqaScores {
  return evaluateVqa({ annotations, results: [...answers].map(([id, answer]) => ({ question_id: id, answer })) });
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
