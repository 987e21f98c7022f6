import { describe, expect, it } from 'vitest';
import { expectRelative, messageOf, readMetrics } from '../__fixtures__/metrics.ts';
import { gqaAccuracy } from './gqa-accuracy.ts';
import { evaluateGqa } from './gqa.ts';
import type { GqaInput } from './gqa.ts';
import type { GqaAttention, GqaChoices, GqaPrediction, GqaQuestion, GqaSceneGraph, GqaShare } from './questions.ts';

const golden = readMetrics('gqa.json') as {
  sceneGraphs: Record<string, GqaSceneGraph>;
  questions: Record<string, GqaQuestion>;
  choices: Record<string, GqaChoices>;
  predictions: GqaPrediction[];
  attentions: GqaAttention[];
  results: Record<
    'full' | 'consistencyOnly' | 'balancedPredictionsOnlyNoChoices',
    { scores: Record<string, number | Record<string, [number, number]>> }
  >;
};
const { questions, predictions, choices, sceneGraphs } = golden;
const balancedOnly = predictions.filter(({ questionId }) => questions[questionId]!.isBalanced);

describe('GQA against the official script', () => {
  const inputs: Record<keyof typeof golden.results, GqaInput> = {
    full: { questions, predictions, choices, sceneGraphs, attention: golden.attentions, consistency: true },
    consistencyOnly: { questions, predictions, choices, consistency: true },
    balancedPredictionsOnlyNoChoices: { questions, predictions: balancedOnly },
  };

  it.each(Object.keys(inputs) as (keyof typeof inputs)[])('%s', (name) => {
    const { scores } = golden.results[name];
    const actual = evaluateGqa(inputs[name]);
    const numbers = [
      'accuracy',
      'binary',
      'open',
      'validity',
      'plausibility',
      'consistency',
      'grounding',
      'distribution',
    ] as const;
    expectRelative(
      numbers.map((key) => actual[key]),
      numbers.map((key) => scores[key] as number),
    );
    const groups: readonly [string, ReadonlyMap<string | number, GqaShare>][] = [
      ['accuracyPerStructuralType', actual.perStructuralType],
      ['accuracyPerSemanticType', actual.perSemanticType],
      ['accuracyPerSteps', actual.perSteps],
      ['accuracyPerLength', actual.perWords],
    ];
    for (const [key, group] of groups) {
      const expected = scores[key] as Record<string, [number, number]>;
      const found = new Map([...group].map(([one, value]) => [String(one), value]));
      expect([...found.keys()].toSorted()).toEqual(Object.keys(expected).toSorted());
      for (const [one, [accuracy, count]] of Object.entries(expected)) {
        expectRelative([found.get(one)!.accuracy], [accuracy]);
        expect(found.get(one)!.count).toBe(count);
      }
    }
  });
});

describe('GQA', () => {
  it('predictions for questions that are not asked are ignored', () => {
    const more = [...balancedOnly, { questionId: 'another', prediction: 'yes' }];
    expect(evaluateGqa({ questions, predictions: more })).toEqual(evaluateGqa({ questions, predictions: balancedOnly }));
  });

  it('right answers are right in every respect', () => {
    const perfect = Object.entries(questions).map(([questionId, { answer }]) => ({ questionId, prediction: answer }));
    const scores = evaluateGqa({ questions, predictions: perfect, consistency: true });
    expect(scores).toMatchObject({ accuracy: 100, binary: 100, open: 100, consistency: 100, distribution: 0 });
  });

  it('accuracy of LAVIS forgives what the script does not', () => {
    const lists = { questions: [{ question_id: 1, answer: 'two' }], results: [{ question_id: 1, answer: 'Two.' }] };
    expect([gqaAccuracy(lists).accuracy, gqaAccuracy({ ...lists, normalization: 'exact' }).accuracy]).toEqual([100, 0]);
  });

  it('says what is missing', () => {
    const attention = golden.attentions;
    const wrong = [
      () => evaluateGqa({ questions, predictions: predictions.slice(3) }),
      () => evaluateGqa({ questions, predictions: balancedOnly, consistency: true }),
      () => evaluateGqa({ questions, predictions, choices: {} }),
      () => evaluateGqa({ questions, predictions, attention: [] }),
      () => evaluateGqa({ questions, predictions, attention, sceneGraphs: {} }),
      () =>
        evaluateGqa({ questions, predictions, attention: attention.map((one) => ({ ...one, attention: [[1]] })), sceneGraphs }),
      () => evaluateGqa({ questions: withoutUnbalanced(questions), predictions: balancedOnly, consistency: true }),
      () => evaluateGqa({ questions, predictions: [...predictions, ...predictions] }),
      () => evaluateGqa({ questions, predictions: predictions.map((one) => ({ ...one, prediction: 2 as never })) }),
      () => gqaAccuracy({ questions: [{ question_id: 1, answer: '2' }], results: [{ question_id: 1, answer: 2 as never }] }),
    ];
    expect(wrong.map(messageOf).join('\n')).toMatchInlineSnapshot(`
      "evaluateGqa: 3 questions have no prediction ('00201000', '00201013', '00201026'), expected one for every balanced question. Answer them.
      evaluateGqa: 22 questions have no prediction ('00201039', '00201091', '00201143', '00201195', '00201247' and 17 more), expected one for every question. Answer them, or leave out consistency.
      evaluateGqa: question 00201000 has no choices, expected a list of valid answers. Take the choices of the same split, or none.
      evaluateGqa: question 00201000 has no attention, expected one for every balanced question. Add it, or leave out attention.
      evaluateGqa: question 00201000 has no scene graph of image 2370003, expected one for every balanced question. Add it, or leave out attention.
      evaluateGqa: the attention of question 00201000 has rows of 1 numbers, expected 7 rows of 7. Average it to that grid.
      evaluateGqa: question 00201065 entails 00202079, which is not among the questions. Score consistency with the file of all questions, not the balanced one.
      evaluateGqa: predictions: 90 ids come more than once ('00201000', '00201013', '00201026', '00201039', '00201052' and 85 more), expected one entry an id. Remove the duplicates, or pass duplicates: 'first' to keep the first entry of each.
      evaluateGqa: predictions: question '00201000' has 2, expected a text. Check the names of the keys, or correct what wrote it.
      gqaAccuracy: results: question 1 has 2, expected a text. Check the names of the keys, or correct what wrote it."
    `);
  });
});

function withoutUnbalanced(all: Record<string, GqaQuestion>): Record<string, GqaQuestion> {
  return Object.fromEntries(Object.entries(all).filter(([, { isBalanced }]) => isBalanced));
}
