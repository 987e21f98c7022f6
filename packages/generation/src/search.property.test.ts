import { seededRandom, type GenerateOptions } from '@blip2/core';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { generate, logSoftmax, type GeneratedSequence } from './index.ts';
import { randomTableModel, tableLogits, TableSession, type TableModel } from './__fixtures__/table-session.ts';

const modelOf = (vocab: number) => fc.integer().map((seed) => randomTableModel(vocab, seededRandom(seed)));

async function run(model: TableModel, prompts: number[][], options: GenerateOptions): Promise<GeneratedSequence[][]> {
  const session = new TableSession(model, prompts);
  try {
    return await generate(session, options);
  } finally {
    session.dispose();
  }
}

/** Every complete text with its Σ log p, by trying them all. */
function allTexts(
  model: TableModel,
  prompt: number[],
  ends: readonly number[],
  maximum: number,
  text: number[] = [],
  sum = 0,
): [number[], number][] {
  if (text.length === maximum || ends.includes(text.at(-1)!)) return [[text, sum]];
  const logProbabilities = logSoftmax(tableLogits(model, [...prompt, ...text]));
  return [...logProbabilities].flatMap((value, id) => allTexts(model, prompt, ends, maximum, [...text, id], sum + value));
}

describe('beam search', () => {
  it('with a beam as wide as there are texts ranks all texts', async () => {
    const shape = fc.record({
      vocab: fc.integer({ min: 3, max: 4 }),
      seed: fc.integer(),
      maximum: fc.integer({ min: 1, max: 4 }),
      ends: fc.constantFrom([2], [0, 2], []),
      lengthPenalty: fc.constantFrom(-1, 0, 0.5, 1, 2),
      earlyStopping: fc.constantFrom(true, false, 'never' as const),
    });
    await fc.assert(
      fc.asyncProperty(shape, async ({ vocab, seed, maximum, ends, lengthPenalty, earlyStopping }) => {
        const model = randomTableModel(vocab, seededRandom(seed));
        const texts = allTexts(model, [1], ends, maximum).map(([text, sum]) => ({
          text,
          score: sum / text.length ** lengthPenalty,
        }));
        const scoreOf = new Map(texts.map(({ text, score }) => [text.join(), score]));
        const beams = vocab ** maximum;
        const options = { beams, returnSequences: beams, maxNewTokens: maximum, endTokenIds: ends, lengthPenalty, earlyStopping };
        const [found] = await run(model, [[1]], options);
        const names = found!.map(({ newTokenIds }) => newTokenIds.join());
        expect(new Set(names)).toEqual(new Set(scoreOf.keys()));
        // Scores and their order; logits pass through float32, which may turn near ties around.
        expect(found!.map(({ score }) => score!)).toBeAllclose(
          names.map((name) => scoreOf.get(name)!),
          1e-5,
        );
        expect(found!.map(({ score }) => score!)).toBeAllclose(
          [...scoreOf.values()].toSorted((left, right) => right - left),
          1e-5,
        );
      }),
      { numRuns: 60 },
    );
  });
});

describe('a batch', () => {
  const optionSets: readonly GenerateOptions[] = [
    { maxNewTokens: 8 },
    { maxNewTokens: 8, beams: 3, returnSequences: 2, earlyStopping: true },
    { maxNewTokens: 8, beams: 4, lengthPenalty: -1, repetitionPenalty: 1.3 },
    { maxNewTokens: 8, sampling: { temperature: 0.8, topP: 0.9, seed: 5 }, returnSequences: 3 },
  ];
  for (const options of optionSets) {
    it(`gives each prompt what it gets alone: ${JSON.stringify(options)}`, async () => {
      const prompts = fc.array(fc.array(fc.integer({ min: 3, max: 9 }), { minLength: 2, maxLength: 2 }), {
        minLength: 1,
        maxLength: 5,
      });
      await fc.assert(
        fc.asyncProperty(modelOf(10), prompts, async (model, batch) => {
          const together = await run(model, batch, options);
          const alone = [];
          for (const prompt of batch) alone.push(...(await run(model, [prompt], options)));
          expect(together).toEqual(alone);
        }),
        { numRuns: 40 },
      );
    });
  }
});
