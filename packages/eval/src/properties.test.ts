import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { evaluateCaptions } from './captions/evaluate.ts';
import { evaluateNoCaps } from './captions/nocaps.ts';
import { gqaAccuracy } from './gqa/gqa-accuracy.ts';
import { evaluateGqa } from './gqa/gqa.ts';
import type { GqaQuestion } from './gqa/questions.ts';
import { rerankCandidates, rerankedScores } from './retrieval/rerank.ts';
import { evaluateRetrieval, recallAt } from './retrieval/retrieval.ts';
import { evaluateVqa } from './vqa/vqa.ts';

// What holds of the scores of any data set.

/** Words that the tokeniser leaves alone, whatever stands beside them. */
const word = fc.constantFrom('a', 'dog', 'cat', 'runs', 'on', 'red', 'grass', 'two', 'cars', 'house');
const caption = fc.array(word, { maxLength: 9 }).map((words) => words.join(' '));
const image = fc.record({ references: fc.array(caption, { minLength: 1, maxLength: 4 }), candidate: caption });
const images = fc.array(image, { minLength: 1, maxLength: 6 }).map((list) => list.map((one, id) => ({ ...one, id })));

type Images = readonly { readonly id: number; readonly references: readonly string[]; readonly candidate: string }[];
function inputOf(list: Images): Parameters<typeof evaluateCaptions>[0] {
  return {
    references: new Map(list.map(({ id, references }) => [id, references])),
    candidates: new Map(list.map(({ id, candidate }) => [id, candidate])),
  };
}

/** The same values, to the last digits: sums in another order differ there. */
function expectSame(actual: object, expected: object): void {
  const [some, others] = [actual as Record<string, number>, expected as Record<string, number>];
  expect(Object.keys(some).toSorted()).toEqual(Object.keys(others).toSorted());
  for (const [name, value] of Object.entries(some)) expect(value).toBeCloseTo(others[name]!, 9);
}

describe('captions', () => {
  const permuted = images.chain((list) =>
    fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length }), fc.array(fc.nat(), { maxLength: 4 })),
  );

  it('a permutation of images, of references or of results changes neither the corpus nor an image', () => {
    fc.assert(
      fc.property(permuted, ([list, other]) => {
        const turned = other.map((one) => ({ ...one, references: one.references.toReversed() }));
        const [one, two] = [evaluateCaptions(inputOf(list)), evaluateCaptions(inputOf(turned))];
        expectSame(two.corpus, one.corpus);
        for (const [id, scores] of one.perImage) expectSame(two.perImage.get(id)!, scores);
      }),
    );
  });

  it('a copy of the only reference has the most that there is', () => {
    fc.assert(
      fc.property(images, caption, (list, said) => {
        // Not an empty one: the guards of BLEU then weigh more than words.
        const single = list.map((one) => ({ ...one, references: [one.references[0] || 'a dog'] }));
        const copies = single.map((one) => ({ ...one, candidate: one.references[0]! }));
        const others = single.map((one) => ({ ...one, candidate: said }));
        const [best, other] = [evaluateCaptions(inputOf(copies)), evaluateCaptions(inputOf(others))];
        for (const name of ['Bleu_1', 'Bleu_2', 'Bleu_3', 'Bleu_4', 'ROUGE_L', 'CIDEr'] as const)
          expect(best.corpus[name], name).toBeGreaterThanOrEqual(other.corpus[name] - 1e-9);
        for (const [index, { ROUGE_L, CIDEr, Bleu_1 }] of [...best.perImage.values()].entries()) {
          expect(ROUGE_L).toBeCloseTo(1, 12);
          if (copies[index]!.candidate !== '') expect(Bleu_1).toBeCloseTo(1, 6);
          expect(CIDEr).toBeLessThanOrEqual(10 + 1e-9);
        }
      }),
    );
  });

  it('captions of which no word is in another image have the most CIDEr', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 4, max: 9 }), { minLength: 2, maxLength: 5 }), (lengths) => {
        const list = lengths.map((length, id) => {
          const text = Array.from({ length }, (_, at) => `w${id}x${at}`).join(' ');
          return { id, references: [text, text], candidate: text };
        });
        const { corpus } = evaluateCaptions(inputOf(list));
        expect(corpus.CIDEr).toBeCloseTo(10, 9);
        expect(corpus.Bleu_4).toBeCloseTo(1, 6);
      }),
    );
  });

  it('NoCaps: a permutation of images changes no domain', () => {
    const domains = ['in-domain', 'near-domain', 'out-domain'];
    fc.assert(
      fc.property(permuted, ([list, other]) => {
        const ofDomain = new Map(list.map(({ id }) => [id, domains[id % 3]!]));
        const one = evaluateNoCaps({ ...inputOf(list), domains: ofDomain });
        const two = evaluateNoCaps({ ...inputOf(other), domains: new Map([...ofDomain].toReversed()) });
        expect([...two.keys()].toSorted()).toEqual([...one.keys()].toSorted());
        for (const [domain, { corpus }] of one) expectSame(two.get(domain)!.corpus, corpus);
      }),
    );
  });
});

describe('answers', () => {
  const answer = fc.constantFrom('yes', 'no', 'Yes.', 'two', '2', 'the dog', 'dog', '');
  const questions = fc
    .array(
      fc.record({
        answers: fc.array(answer, { minLength: 10, maxLength: 10 }),
        prediction: answer,
        answer_type: fc.constantFrom('yes/no', 'number', 'other'),
      }),
      { minLength: 1, maxLength: 8 },
    )
    .map((list) => list.map((one, question_id) => ({ ...one, question_id })))
    .chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })));

  it.each(['challenge', 'lavis'] as const)('VQA, %s: no order matters, and what is most said scores most', (normalization) => {
    fc.assert(
      fc.property(questions, ([list, other]) => {
        const input = (some: typeof list, results: typeof list): Parameters<typeof evaluateVqa>[0] => ({
          annotations: some.map(({ answers, ...one }) => ({ ...one, answers: answers.map((text) => ({ answer: text })) })),
          results: results.map(({ question_id, prediction }) => ({ question_id, answer: prediction })),
          normalization,
        });
        const turned = other.map((one) => ({ ...one, answers: one.answers.toReversed() }));
        const [one, two] = [evaluateVqa(input(list, list)), evaluateVqa(input(turned, list.toReversed()))];
        expect(two.overall).toBeCloseTo(one.overall, 9);
        expectSame(Object.fromEntries(two.perAnswerType), Object.fromEntries(one.perAnswerType));
        expectSame(Object.fromEntries(two.perQuestion), Object.fromEntries(one.perQuestion));
        expect(one.overall).toBeLessThanOrEqual(100 + 1e-9);
      }),
    );
  });

  it('VQA: who says what all people say is right', () => {
    fc.assert(
      fc.property(answer, (said) => {
        const annotations = [{ question_id: 1, answers: Array.from({ length: 10 }, () => ({ answer: said })) }];
        expect(evaluateVqa({ annotations, results: [{ question_id: 1, answer: said }] }).overall).toBeCloseTo(100, 9);
      }),
    );
  });

  it('GQA: no order matters', () => {
    const asked = fc
      .array(
        fc.record({
          answer,
          prediction: answer,
          group: fc.constantFrom('a', 'b', null),
          kind: fc.constantFrom('query', 'verify'),
        }),
        {
          minLength: 1,
          maxLength: 8,
        },
      )
      .map((list) => list.map((one, index) => ({ ...one, id: `q${index}` })))
      .chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })));
    const questionOf = ({ answer: right, group, kind }: { answer: string; group: string | null; kind: string }): GqaQuestion => ({
      question: 'Is it?',
      answer: right,
      imageId: '1',
      isBalanced: true,
      types: { structural: kind, semantic: 'obj', detailed: 'exist' },
      groups: { global: group },
      semantic: [],
      entailed: [],
    });
    fc.assert(
      fc.property(asked, ([list, other]) => {
        const score = (some: typeof list, given: typeof list): object => {
          const {
            perStructuralType: _1,
            perSemanticType: _2,
            perSteps: _3,
            perWords: _4,
            ...scores
          } = evaluateGqa({
            questions: Object.fromEntries(some.map((one) => [one.id, questionOf(one)])),
            predictions: given.map(({ id, prediction }) => ({ questionId: id, prediction })),
          });
          const { accuracy } = gqaAccuracy({
            questions: some.map(({ id, answer: right }) => ({ question_id: id, answer: right })),
            results: given.map(({ id, prediction }) => ({ question_id: id, answer: prediction })),
          });
          return { ...scores, normalized: accuracy };
        };
        expectSame(score(other, list.toReversed()), score(list, list));
      }),
    );
  });
});

describe('retrieval', () => {
  /** Captions of each image, and scores, all different, of which no order among equal ones depends. */
  const set = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 7 }).chain((captionsPerImage) => {
    const texts = captionsPerImage.reduce((sum, count) => sum + count, 0);
    const row = (length: number): fc.Arbitrary<number[]> =>
      fc.uniqueArray(fc.integer({ min: 0, max: 10_000 }), { minLength: length, maxLength: length });
    return fc.record({
      captionsPerImage: fc.constant(captionsPerImage),
      imageToText: fc.tuple(...captionsPerImage.map(() => row(texts))),
      textToImage: fc.tuple(...Array.from({ length: texts }, () => row(captionsPerImage.length))),
      order: fc.shuffledSubarray([...captionsPerImage.keys()], { minLength: captionsPerImage.length }),
    });
  });

  it('a permutation of images, and of captions with them, changes no recall', () => {
    fc.assert(
      fc.property(set, ({ captionsPerImage, imageToText, textToImage, order }) => {
        const firsts = captionsPerImage.map((_, at) => captionsPerImage.slice(0, at).reduce((sum, count) => sum + count, 0));
        const texts = order.flatMap((at) => Array.from({ length: captionsPerImage[at]! }, (_, one) => firsts[at]! + one));
        const one = evaluateRetrieval({ captionsPerImage, imageToText, textToImage });
        const two = evaluateRetrieval({
          captionsPerImage: order.map((at) => captionsPerImage[at]!),
          imageToText: order.map((at) => texts.map((text) => imageToText[at]![text]!)),
          textToImage: texts.map((text) => order.map((at) => textToImage[text]![at]!)),
        });
        expectSame(two.text, one.text);
        expectSame(two.image, one.image);
      }),
    );
  });

  it('recall grows with K, and finds all in the end', () => {
    fc.assert(
      fc.property(set, ({ captionsPerImage, imageToText, textToImage }) => {
        const {
          text,
          image: ofImages,
          textRanks,
          imageRanks,
        } = evaluateRetrieval({ captionsPerImage, imageToText, textToImage });
        for (const { r1, r5, r10 } of [text, ofImages]) expect([r1, r5, r10].toSorted((a, b) => a - b)).toEqual([r1, r5, r10]);
        for (const ranks of [textRanks, imageRanks]) {
          for (let k = 0; k < 21; k += 1) expect(recallAt(ranks, k + 1)).toBeGreaterThanOrEqual(recallAt(ranks, k));
          expect(recallAt(ranks, 21)).toBe(100);
        }
      }),
    );
  });

  it('ranking the best k again never changes recall at k, whatever the second look finds', () => {
    const score = fc.double({ min: -50, max: 50, noNaN: true });
    fc.assert(
      fc.property(set, fc.integer({ min: 1, max: 12 }), fc.infiniteStream(score), (given, topK, looks) => {
        const again = (matrix: readonly number[][]): Float32Array[] => {
          const { candidates } = rerankCandidates(matrix, topK);
          const matching = candidates.map((row) => row.map(() => looks.next().value));
          return rerankedScores(matrix, candidates, matching);
        };
        const { captionsPerImage, imageToText, textToImage } = given;
        const before = evaluateRetrieval({ captionsPerImage, imageToText, textToImage });
        const after = evaluateRetrieval({
          captionsPerImage,
          imageToText: again(imageToText),
          textToImage: again(textToImage),
        });
        expect(recallAt(after.textRanks, topK)).toBe(recallAt(before.textRanks, topK));
        expect(recallAt(after.imageRanks, topK)).toBe(recallAt(before.imageRanks, topK));
      }),
    );
  });
});
