import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expectRelative, messageOf, readMetrics } from '../__fixtures__/metrics.ts';
import type { Id } from '../ids.ts';
import { bleu } from './bleu.ts';
import { evaluateCaptions, prepareCaptions, scorePrepared } from './evaluate.ts';
import type { CaptionEvaluation, CaptionInput } from './evaluate.ts';
import { captionResults, cocoAnnotations, karpathyAnnotations, lavisAnnotations } from './files.ts';
import type { CaptionResult, CocoCaptionFile } from './files.ts';
import { evaluateNoCaps, noCapsDomains } from './nocaps.ts';
import { rougeL } from './rouge.ts';
import { tokenizeWhitespace } from './tokenizer.ts';

type Scores = Record<'Bleu_1' | 'Bleu_2' | 'Bleu_3' | 'Bleu_4' | 'ROUGE_L' | 'CIDEr', number>;
interface Image {
  image_id: number;
  references: string[];
  candidate: string;
  tokenizedReferences: string[];
  tokenizedCandidate: string;
  scores: Scores;
}
interface GoldenSet {
  images: Image[];
  corpus: Scores;
  bleuTotals: { testlen: number; reflen: number; guess: number[]; correct: number[] };
}
const golden = readMetrics('captions.json') as GoldenSet & { extraSets: Record<string, GoldenSet> };
const nocaps = readMetrics('nocaps.json') as {
  annotations: CocoCaptionFile;
  predictions: CaptionResult[];
  results: Record<string, { numImages: number; scores: Scores; cidErPerImage: Record<string, number> }>;
};
const METRICS = ['Bleu_1', 'Bleu_2', 'Bleu_3', 'Bleu_4', 'ROUGE_L', 'CIDEr'] as const;

function inputOf({ images }: Pick<GoldenSet, 'images'>): CaptionInput {
  return {
    references: new Map(images.map(({ image_id, references }) => [image_id, references])),
    candidates: new Map(images.map(({ image_id, candidate }) => [image_id, candidate])),
  };
}

function expectScores(actual: Readonly<Scores>, expected: Scores): void {
  expectRelative(
    METRICS.map((name) => actual[name]),
    METRICS.map((name) => expected[name]),
  );
}

describe('captions against the COCO tools', () => {
  it.each(Object.entries({ 'sixty images': golden, ...golden.extraSets }))('%s', (_, set) => {
    const { ids, captions } = prepareCaptions(inputOf(set));
    expect(ids).toEqual(set.images.map(({ image_id }) => image_id));
    expect(captions).toEqual(
      set.images.map((one) => ({ candidate: one.tokenizedCandidate, references: one.tokenizedReferences })),
    );
    const { corpus, perImage, aggregate } = evaluateCaptions(inputOf(set));
    expectScores(corpus, set.corpus);
    for (const { image_id, scores } of set.images) expectScores(perImage.get(image_id)!, scores);
    expect(aggregate).toBe(corpus.CIDEr + corpus.Bleu_4);
    const { totals } = bleu(captions);
    expect([totals.candidateLength, totals.referenceLength]).toEqual([set.bleuTotals.testlen, set.bleuTotals.reflen]);
    expect([totals.guesses, totals.matches]).toEqual([set.bleuTotals.guess, set.bleuTotals.correct]);
  });

  it('NoCaps, each domain for itself', () => {
    const results = evaluateNoCaps({ ...cocoAnnotations(nocaps.annotations), candidates: captionResults(nocaps.predictions) });
    expect([...results.keys()].toSorted()).toEqual(Object.keys(nocaps.results).toSorted());
    for (const [domain, { corpus, perImage }] of results) {
      const expected = nocaps.results[domain]!;
      expect(perImage.size).toBe(expected.numImages);
      expectScores(corpus, expected.scores);
      const images = Object.keys(expected.cidErPerImage);
      expectRelative(
        images.map((id) => perImage.get(Number(id))!.CIDEr),
        images.map((id) => expected.cidErPerImage[id]!),
      );
    }
  });
});

describe('evaluateCaptions', () => {
  const input = inputOf(golden);

  it('a subset is scored as if there were nothing else', () => {
    const some = golden.images.filter((_, index) => index % 3 === 0);
    const images = some.map(({ image_id }) => image_id);
    expect(evaluateCaptions({ ...input, images })).toEqual(evaluateCaptions(inputOf({ images: some })));
  });

  it('leaves out images without a candidate, when asked, and says so', () => {
    const candidates = new Map([...input.candidates].slice(5));
    const { leftOut, perImage } = evaluateCaptions({ ...input, candidates, missing: 'leave-out' });
    expect(leftOut).toEqual(golden.images.slice(0, 5).map(({ image_id }) => image_id));
    expect(perImage.size).toBe(golden.images.length - 5);
  });

  it('takes another tokeniser', () => {
    const { captions } = prepareCaptions({ ...input, tokenize: tokenizeWhitespace });
    expect(captions[0]!.references[1]).toBe('there is a young surfer surfing on a big wave here.');
  });

  it('does not depend on the order of results', () => {
    const turned = new Map([...input.candidates].toReversed());
    expect(evaluateCaptions({ ...input, candidates: turned })).toEqual(evaluateCaptions(input));
  });

  it('says what is wrong', () => {
    const { references, candidates } = input;
    const wrong = [
      () => evaluateCaptions({ references, candidates: new Map([...candidates].slice(7)) }),
      () => evaluateCaptions({ references, candidates: new Map([...candidates, [7, 'a dog']]) }),
      () => evaluateCaptions({ references, candidates: new Map([['5', 'a dog']]) }),
      () => evaluateCaptions({ ...input, images: [5, 'no such image'] }),
      () => evaluateCaptions({ ...input, images: [] }),
      () => evaluateCaptions({ references: new Map([[1, ['a dog']]]), candidates: new Map([[1, 7 as never]]) }),
      () => evaluateCaptions({ references: new Map([[1, ['a dog', null as never]]]), candidates: new Map([[1, '']]) }),
      () => evaluateCaptions({ references: new Map<Id, string[]>([[1, []]]), candidates: new Map([[1, 'a dog']]) }),
    ];
    expect(wrong.map(messageOf).join('\n')).toMatchInlineSnapshot(`
      "evaluateCaptions: candidates: 7 of 60 images have no result (5, 42, 79, 116, 153 and 2 more), expected one for each. Add the results, or score a subset on purpose.
      evaluateCaptions: candidates: 1 result has an id that the images of the references lack (7). Check that results and annotations belong to the same split.
      evaluateCaptions: candidates: 1 result has an id that the images of the references lack ('5'). Ids are compared by value, and '5' is there as a number: write ids alike on both sides.
      evaluateCaptions: 1 of the images asked for have no references ('no such image'), expected images of the annotation file. Correct the list.
      evaluateCaptions: no image is left to score, expected at least one. Check the files, or the images asked for.
      evaluateCaptions: candidates: image 1 has 7, expected a text. Check the names of the keys, or correct what wrote it.
      evaluateCaptions: references: image 1 has null, expected a text. Check the names of the keys, or correct what wrote it.
      evaluateCaptions: 1 of 1 images have no reference caption (1), expected at least one. Leave these images out, or add captions."
    `);
  });
});

describe('files', () => {
  it('references of COCO files keep the order of images and leave out captions of others', () => {
    const file = {
      images: [{ id: 2 }, { id: 1 }],
      annotations: [1, 2, 1, 3].map((image_id, id) => ({ image_id, id, caption: `${id}` })),
    };
    expect([...cocoAnnotations(file).references]).toEqual([
      [2, ['1']],
      [1, ['0', '2']],
    ]);
  });

  it("reads LAVIS's lists and Karpathy's files", () => {
    expect(lavisAnnotations([{ image: 'val2014/COCO_val2014_000000000042.jpg', caption: ['a', 'b'] }])).toEqual({
      references: new Map([[42, ['a', 'b']]]),
      images: new Map([[42, { fileName: 'val2014/COCO_val2014_000000000042.jpg' }]]),
    });
    const sentences = [{ raw: 'A dog.', tokens: ['a', 'dog'] }];
    const coco = {
      images: [
        { filename: 'x.jpg', cocoid: 9, split: 'val', sentences },
        { filename: 'y.jpg', cocoid: 8, split: 'test', sentences },
      ],
    };
    expect(karpathyAnnotations(coco, 'test').references).toEqual(new Map([[8, ['A dog.']]]));
    const flickr = { images: [{ filename: '1000.jpg', split: 'test', sentences }] };
    expect(karpathyAnnotations(flickr, 'test').references).toEqual(new Map([['1000.jpg', ['A dog.']]]));
  });

  it('LAVIS keeps the first of two results', () => {
    const twice = [
      { image_id: 1, caption: 'a' },
      { image_id: 1, caption: 'b' },
    ];
    expect(captionResults(twice, { duplicates: 'first' })).toEqual(new Map([[1, 'a']]));
  });

  it('says what is wrong', () => {
    const wrong = [
      () =>
        captionResults([
          { image_id: 1, caption: 'a' },
          { image_id: 1, caption: 'b' },
        ]),
      () => captionResults({} as never),
      () => captionResults([{ id: 1, caption: 'a' } as never]),
      () => cocoAnnotations([] as never),
      () => cocoAnnotations({ images: [{ id: 1 }, { id: 1 }], annotations: [] }),
      () => lavisAnnotations([{ image: 'dog.jpg', caption: ['a dog'] }]),
      () => karpathyAnnotations({ images: [{ filename: 'x.jpg', split: 'train', sentences: [] }] }, 'tset'),
      () => noCapsDomains(cocoAnnotations({ images: [{ id: 1 }], annotations: [] })),
    ];
    expect(wrong.map(messageOf).join('\n')).toMatchInlineSnapshot(`
      "captionResults: 1 id comes more than once (1), expected one entry an id. Remove the duplicates, or pass duplicates: 'first' to keep the first entry of each.
      captionResults: got object, expected a list of { image_id, caption }. Pass the content of a result file.
      captionResults: an entry has the id undefined, expected a number or a string. Check the names of its keys.
      cocoAnnotations: got a list, expected images and annotations. Read LAVIS's lists with lavisAnnotations, Karpathy's files with karpathyAnnotations.
      cocoAnnotations: image 1 comes twice, expected every image once. Remove one of the two entries.
      lavisAnnotations: the image 'dog.jpg' has no number after its last underscore, expected a name like COCO_val2014_000000000042.jpg. Build the references yourself: a Map from image id to captions.
      karpathyAnnotations: no image is in the split 'tset', expected one of train. Name one of these.
      noCapsDomains: image 1 has the domain undefined, expected in-domain, near-domain, out-domain. Take nocaps_val_4500_captions.json; older files have no domains."
    `);
  });
});

/** Sentences of few words, so that n-grams recur. */
const sentence = fc
  .array(fc.constantFrom('a', 'dog', 'cat', 'runs', 'on', 'red'), { minLength: 1, maxLength: 9 })
  .map((words) => words.join(' '));
const captions = fc.array(fc.record({ candidate: sentence, references: fc.array(sentence, { minLength: 1, maxLength: 4 }) }), {
  minLength: 1,
  maxLength: 5,
});

describe('BLEU and ROUGE-L', () => {
  it('lie in [0, 1], and are highest for a copy of a reference', () => {
    fc.assert(
      fc.property(captions, (images) => {
        const copies = images.map(({ references }) => ({ candidate: references[0]!, references }));
        for (const score of [...bleu(images).perImage.flat(), ...rougeL(images).perImage]) {
          expect(score).toBeGreaterThanOrEqual(0);
          expect(score).toBeLessThanOrEqual(1);
        }
        for (const score of rougeL(copies).perImage) expect(score).toBeCloseTo(1, 12);
        for (const [first] of bleu(copies).perImage) expect(first).toBeCloseTo(1, 6);
      }),
    );
  });

  it('ROUGE-L equals a version that tries all subsequences', () => {
    fc.assert(
      fc.property(captions, (images) => {
        const { perImage } = rougeL(images);
        for (const [index, { candidate, references }] of images.entries()) {
          const [words, all] = [candidate.split(' '), references.map((one) => one.split(' '))];
          const common = all.map((one) => naiveCommon(words, one));
          const precision = Math.max(...common.map((length) => length / words.length));
          const recall = Math.max(...common.map((length, at) => length / all[at]!.length));
          const expected = precision * recall === 0 ? 0 : (2.44 * precision * recall) / (recall + 1.44 * precision);
          expect(perImage[index]).toBeCloseTo(expected, 12);
        }
      }),
    );
  });

  it('ROUGE-L of longer texts equals a version with a table', () => {
    const text = fc
      .array(fc.constantFrom('a', 'dog', 'cat', 'runs', 'on', 'red', ''), { minLength: 1, maxLength: 120 })
      .map((words) => words.join(' '));
    fc.assert(
      fc.property(text, fc.array(text, { minLength: 1, maxLength: 3 }), (candidate, references) => {
        const words = candidate.split(' ');
        const lengths = references.map((one) => tableCommon(words, one.split(' ')));
        const precision = Math.max(...lengths.map((length) => length / words.length));
        const recall = Math.max(...lengths.map((length, at) => length / references[at]!.split(' ').length));
        const expected = precision * recall === 0 ? 0 : (2.44 * precision * recall) / (recall + 1.44 * precision);
        expect(rougeL([{ candidate, references }]).corpus).toBeCloseTo(expected, 12);
      }),
    );
  });

  it('BLEU equals a version without any index', () => {
    fc.assert(
      fc.property(captions, (images) => {
        const { corpus, perImage } = bleu(images);
        expectRelative(corpus, naiveBleu(images));
        for (const [index, image] of images.entries()) expectRelative(perImage[index]!, naiveBleu([image]));
      }),
    );
  });

  it('need images with references', () => {
    const bare = [{ candidate: 'a', references: [] }];
    expect([() => bleu([]), () => rougeL([]), () => bleu(bare), () => rougeL(bare)].map(messageOf).join('\n'))
      .toMatchInlineSnapshot(`
      "bleu: nothing to score, expected at least one image. Check the files or the subset.
      rougeL: nothing to score, expected at least one entry. Check the files or the subset.
      bleu: image 0 has no references, expected at least one. Leave the image out, or add its captions.
      rougeL: image 0 has no references, expected at least one. Leave the image out, or add its captions."
    `);
  });
});

function naiveCommon(one: readonly string[], other: readonly string[]): number {
  if (one.length === 0 || other.length === 0) return 0;
  const [first, ...rest] = one;
  const at = other.indexOf(first!);
  const without = naiveCommon(rest, other);
  return at < 0 ? without : Math.max(without, 1 + naiveCommon(rest, other.slice(at + 1)));
}

function tableCommon(one: readonly string[], other: readonly string[]): number {
  let row = other.map(() => 0);
  for (const word of one) {
    const above = row;
    row = [];
    for (const [column, another] of other.entries())
      row.push(word === another ? (above[column - 1] ?? 0) + 1 : Math.max(above[column]!, row[column - 1] ?? 0));
  }
  return row.at(-1)!;
}

/** Counts each n-gram anew wherever it stands. */
function naiveBleu(images: readonly { candidate: string; references: string[] }[]): number[] {
  const wordsOf = (text: string): string[] => text.split(' ');
  const grams = (text: string, n: number): string[] =>
    wordsOf(text).flatMap((_, at, all) => (at + n <= all.length ? [all.slice(at, at + n).join('_')] : []));
  const times = (gram: string, list: string[]): number => list.filter((one) => one === gram).length;
  const sum = (values: number[]): number => values.reduce((total, one) => total + one, 0);
  const closest = ({ candidate, references }: { candidate: string; references: string[] }): number => {
    const lengths = references.map((one) => wordsOf(one).length).toSorted((a, b) => a - b);
    const gaps = lengths.map((length) => Math.abs(length - wordsOf(candidate).length));
    return lengths[gaps.indexOf(Math.min(...gaps))]!;
  };
  const ratio = (sum(images.map(({ candidate }) => wordsOf(candidate).length)) + 1e-15) / (sum(images.map(closest)) + 1e-9);
  let product = 1;
  return [1, 2, 3, 4].map((n) => {
    const matched = images.map(({ candidate, references }) =>
      sum(
        [...new Set(grams(candidate, n))].map((gram) =>
          Math.min(times(gram, grams(candidate, n)), Math.max(...references.map((one) => times(gram, grams(one, n))))),
        ),
      ),
    );
    product *= (sum(matched) + 1e-15) / (sum(images.map(({ candidate }) => grams(candidate, n).length)) + 1e-9);
    return product ** (1 / n) * (ratio < 1 ? Math.exp(1 - 1 / ratio) : 1);
  });
}

it('scorePrepared is the second half', () => {
  const evaluation: CaptionEvaluation = scorePrepared(prepareCaptions(inputOf(golden)));
  expect(evaluation).toEqual(evaluateCaptions(inputOf(golden)));
});
