// Two models on the same questions: node examples/compare-runs.ts
import { type BenchmarkRun, evaluateVqa } from '@blip2/eval';
import { compareRuns, evaluationReport, resultTable } from '@blip2/eval/report';

const people = ['red', 'two', 'yes', 'a dog', 'no', 'three', 'blue', 'tennis'];
const annotations = people.map((answer, question_id) => ({
  question_id,
  answer_type: ['other', 'number', 'yes/no', 'other'][question_id % 4]!,
  answers: Array.from({ length: 10 }, () => ({ answer })),
}));

/** Scores answers and keeps them, question by question. */
function run(model: string, answers: readonly string[]): BenchmarkRun {
  const { overall, perAnswerType, perQuestion } = evaluateVqa({
    annotations,
    results: answers.map((answer, question_id) => ({ question_id, answer })),
  });
  return {
    benchmark: 'vqav2',
    model,
    date: '2026-01-01T12:00:00Z',
    annotations: 'eight made-up questions',
    versions: {},
    mainScore: 'accuracy',
    scores: { overall, perAnswerType: Object.fromEntries(perAnswerType) },
    items: annotations.map(({ question_id: id, answer_type, answers: given }) => ({
      id,
      score: perQuestion.get(id)!,
      prediction: answers[id]!,
      references: given.map(({ answer }) => answer),
      groups: { 'answer type': answer_type },
    })),
  };
}

const [before, after] = [run('before', [...people.slice(0, 3), 'cat', 'yes', 'two', 'red', 'golf']), run('after', people)];
const { difference, interval, better } = compareRuns(before, after);
console.log(`${difference} points more, 95 % from ${interval.join(' to ')}; ${100 * better} % of the questions better`);
console.log(resultTable(after).split('\n').slice(0, 9).join('\n'));
console.log(`the page of the run has ${(await evaluationReport(after)).length} characters`);
