import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expectRelative, readMetrics } from '../__fixtures__/metrics.ts';
import { gqaAccuracy } from '../gqa/gqa-accuracy.ts';
import { cleanVqaAnswer, normalizeVqaAnswer, normalizeVqaPunctuation, normalizeVqaWords } from './normalization.ts';
import { ARTICLES, CONTRACTIONS, NUMBER_WORDS, PUNCTUATION } from '../../data/vqa-words.ts';
import { directAnswerAccuracy, evaluateVqa, vqaAccuracy } from './vqa.ts';
import type { VqaAnnotation, VqaResult, VqaScores } from './vqa.ts';

interface GoldenQuestion {
  question_id: number;
  question_type: string;
  answer_type: string;
  answers: [id: number, answer: string, confidence: string][];
  prediction: string;
  accuracy: number;
  lavisAccuracy: number;
}
interface GoldenScores {
  overall: number;
  perAnswerType: Record<string, number>;
  perQuestionType: Record<string, number>;
}
const golden = readMetrics('vqa.json') as {
  questions: GoldenQuestion[];
  official: { precise: GoldenScores; rounded: GoldenScores };
  lavis: { precise: GoldenScores; rounded: GoldenScores };
  normalization: [string, string, string][];
  lavisGqaStyle: { accuracy: number; perQuestion: number[] };
  lavisAokvqaStyle: { accuracy: number };
};

const annotations: VqaAnnotation[] = golden.questions.map(({ answers, ...question }) => ({
  ...question,
  answers: answers.map(([answer_id, answer, answer_confidence]) => ({ answer_id, answer, answer_confidence })),
}));
const results: VqaResult[] = golden.questions.map(({ question_id, prediction }) => ({ question_id, answer: prediction }));

describe('VQA accuracy against the official tools', () => {
  it.each([
    ['challenge', golden.official, 'accuracy'],
    ['lavis', golden.lavis, 'lavisAccuracy'],
  ] as const)('%s', (normalization, expected, key) => {
    const scores = evaluateVqa({ annotations, results, normalization });
    expectRelative(
      [...scores.perQuestion.values()],
      golden.questions.map((question) => question[key]),
    );
    expectScores(scores, expected.precise, 1e-9);
    expectScores(scores, expected.rounded, 0.005 + 1e-9);
  });

  it('normalises texts', () => {
    for (const [text, afterPunctuation, afterBoth] of golden.normalization) {
      expect(normalizeVqaPunctuation(text)).toBe(afterPunctuation);
      expect(normalizeVqaWords(afterPunctuation)).toBe(afterBoth);
      expect(normalizeVqaAnswer(text)).toBe(afterBoth);
    }
  });

  it('GQA as LAVIS scores it: the first human answer as the gold answer', () => {
    const questions = golden.questions.map(({ question_id, answers }) => ({ question_id, answer: answers[0]![1] }));
    const { accuracy, perQuestion } = gqaAccuracy({ questions, results });
    expect([...perQuestion.values()].map(Number)).toEqual(golden.lavisGqaStyle.perQuestion);
    expect(accuracy).toBeCloseTo(golden.lavisGqaStyle.accuracy, 9);
  });

  it('A-OKVQA as LAVIS scores it', () => {
    const sum = golden.questions
      .map(({ prediction, answers }) =>
        directAnswerAccuracy(
          prediction,
          answers.map(([, answer]) => answer),
        ),
      )
      .reduce((total, one) => total + one, 0);
    expect((100 * sum) / golden.questions.length).toBeCloseTo(golden.lavisAokvqaStyle.accuracy, 9);
  });

  it('has the tables of the official tool, but for what can never match', () => {
    const tables = readMetrics('vqa-tables.json');
    const useful = Object.entries(tables.contractions as Record<string, string>).filter(
      ([key, value]) => key === key.toLowerCase() && key !== value,
    );
    expect(Object.fromEntries(CONTRACTIONS)).toEqual(Object.fromEntries(useful));
    expect(Object.fromEntries(NUMBER_WORDS)).toEqual(tables.numberWords);
    expect([...ARTICLES]).toEqual(tables.articles);
    expect(PUNCTUATION).toEqual(tables.punctuation);
  });
});

function expectScores(scores: VqaScores, expected: GoldenScores, tolerance: number): void {
  expect(Math.abs(scores.overall - expected.overall)).toBeLessThanOrEqual(tolerance);
  for (const key of ['perAnswerType', 'perQuestionType'] as const) {
    expect([...scores[key].keys()].toSorted()).toEqual(Object.keys(expected[key]).toSorted());
    for (const [name, value] of Object.entries(expected[key]))
      expect(Math.abs(scores[key].get(name)! - value)).toBeLessThanOrEqual(tolerance);
  }
}

describe('vqaAccuracy', () => {
  it('depends on the number of people who agree', () => {
    const people = (agreeing: number): string[] => Array.from({ length: 10 }, (_, index) => (index < agreeing ? 'yes' : 'no'));
    const accuracies = Array.from({ length: 11 }, (_, agreeing) => vqaAccuracy('yes', people(agreeing)));
    expectRelative(accuracies, [0, 0.3, 0.6, 0.9, 1, 1, 1, 1, 1, 1, 1]);
  });

  it('does not depend on the order of the answers, and one more that agrees never hurts', () => {
    const answer = fc.constantFrom('yes', 'no', 'two', '2', 'the dog', 'dog.');
    fc.assert(
      fc.property(answer, fc.array(answer, { minLength: 10, maxLength: 10 }), (prediction, answers) => {
        const accuracy = vqaAccuracy(prediction, answers);
        expect(vqaAccuracy(prediction, answers.toReversed())).toBeCloseTo(accuracy, 12);
        if (new Set(answers.slice(1)).size > 1)
          expect(vqaAccuracy(prediction, [prediction, ...answers.slice(1)])).toBeGreaterThanOrEqual(accuracy - 1e-12);
      }),
    );
  });

  it('LAVIS finds `two` wrong where all say `two`', () => {
    const people = Array<string>(10).fill('two');
    expect([vqaAccuracy('two', people), vqaAccuracy('two', people, 'lavis')]).toEqual([1, 0]);
  });

  it('normalising twice changes no word', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 20 }), (text) => {
        const once = normalizeVqaWords(cleanVqaAnswer(text));
        if (!once.includes("y'all") && !once.includes('somebody')) expect(normalizeVqaWords(once)).toBe(once);
      }),
    );
  });

  it('digits of other scripts count for LAVIS alone', () => {
    expect([normalizeVqaPunctuation('٣,٤'), normalizeVqaPunctuation('٣,٤', 'lavis')]).toEqual(['٣ ٤', '٣٤']);
    expect([normalizeVqaPunctuation('٣.٤'), normalizeVqaPunctuation('٣.٤', 'lavis')]).toEqual(['٣٤', '٣.٤']);
  });

  it('says what is wrong with ids', () => {
    const one = (question_id: number | string): VqaAnnotation => ({ question_id, answers: [{ answer: 'yes' }] });
    const say = (question_id: number | string): VqaResult => ({ question_id, answer: 'yes' });
    const score = (asked: (number | string)[], given: (number | string)[]) => () =>
      evaluateVqa({ annotations: asked.map(one), results: given.map(say) });
    expect(score([1, 2], [1])).toThrowErrorMatchingInlineSnapshot(
      `[InputError: evaluateVqa: results: 1 of 2 questions have no result (2), expected one for each. Add the results, or score a subset on purpose.]`,
    );
    expect(score([1, 2], [1, 2, 2])).toThrowErrorMatchingInlineSnapshot(
      `[InputError: evaluateVqa: results: 1 id comes more than once (2), expected one entry an id. Remove the duplicates, or pass duplicates: 'first' to keep the first entry of each.]`,
    );
    expect(score([1, 2], [1, 2, 7, 8, 9])).toThrowErrorMatchingInlineSnapshot(
      `[InputError: evaluateVqa: results: 3 results have ids that the questions lack (7, 8, 9). Check that results and annotations belong to the same split.]`,
    );
    expect(score([1, 2], ['1', '2'])).toThrowErrorMatchingInlineSnapshot(
      `[InputError: evaluateVqa: results: 2 results have ids that the questions lack ('1', '2'). Ids are compared by value, and '1' is there as a number: write ids alike on both sides.]`,
    );
    expect(score([], [])).toThrowErrorMatchingInlineSnapshot(
      `[InputError: evaluateVqa: nothing to score, expected at least one entry. Check the files or the subset.]`,
    );
    expect(() => vqaAccuracy('yes', [])).toThrowErrorMatchingInlineSnapshot(
      `[InputError: vqaAccuracy: got no human answers, expected at least one, ten in VQAv2. Questions of a test split have none.]`,
    );
    expect(() =>
      evaluateVqa({ annotations: [{ question_id: 3, answers: [] }], results: [say(3)] }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[InputError: evaluateVqa: question 3 has no human answers, expected ten. Leave it out, or take the annotations of a split that has them.]`,
    );
    expect(() =>
      evaluateVqa({ annotations: [one(3)], results: [{ question_id: 3, answer: 2 as never }] }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[InputError: evaluateVqa: results: question 3 has 2, expected a text. Check the names of the keys, or correct what wrote it.]`,
    );
    expect(() =>
      evaluateVqa({ annotations: [{ question_id: 3, answers: [{ answer: 2 as never }] }], results: [say(3)] }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[InputError: evaluateVqa: annotations: question 3 has 2, expected a text. Check the names of the keys, or correct what wrote it.]`,
    );
    expect(
      evaluateVqa({ annotations: [one(1)], results: [say(1), { question_id: 1, answer: 'no' }], duplicates: 'first' }).overall,
    ).toBe(0);
  });
});
