import { type DecodingSession, WeightBudget } from '@blip2/core';
import { expectNoLeak, spread } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import type { Rank, Tensor3D } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { toyOpt, toyT5 } from './__fixtures__/toy-models.ts';
import { WAYS_TO_RUN } from './__fixtures__/ways-to-run.ts';
import { optPositionRows } from './opt-decoder.ts';
import { bucketStarts } from './t5-positions.ts';

const families = [
  { family: 'OPT', make: toyOpt },
  {
    family: 'OPT, 350m style',
    make: (_: object, options = {}) => toyOpt({ embeddingWidth: 16, normBefore: false, finalNorm: false }, options),
  },
  { family: 'T5', make: toyT5 },
  {
    family: 'T5, plain and tied',
    make: (_: object, options = {}) =>
      toyT5({ tiedHead: true, scaleTiedHead: true, gatedFeedForward: false, activation: 'relu' }, options),
  },
] as const;
const prompts = ['a', 'bcdef', ''];

function visualPromptFor(width: number, batch = 3): Tensor3D {
  return spread<Rank.R3>([batch, 4, width], 3);
}

/** Logits of the start and of each step, as numbers. */
async function logitsOf(session: DecodingSession, steps: readonly (readonly number[])[]): Promise<number[][]> {
  const read = async (logits: tf.Tensor2D): Promise<number[]> => {
    const values = [...(await logits.data())];
    logits.dispose();
    return values;
  };
  const all = [await read(await session.start())];
  for (const tokens of steps) all.push(await read(await session.step(tokens)));
  session.dispose();
  return all;
}

describe.each(WAYS_TO_RUN)('%s', (_, makeEngine) => {
  describe.each(families)('$family', ({ make: makeModel }) => {
    const make = (): ReturnType<typeof makeModel> => makeModel({}, { engine: makeEngine() });
    const steps = [
      [65, 66, 67],
      [70, 80, 90],
      [100, 120, 140],
    ];

    it('gives each row of a batch what it would get alone', () =>
      expectNoLeak(async () => {
        const model = await make();
        const visualPrompt = visualPromptFor(model.embeddingWidth);
        const together = await logitsOf(model.startDecoding(visualPrompt, prompts), steps);
        for (const row of prompts.keys()) {
          const own = tf.slice(visualPrompt, [row, 0, 0], [1, 4, model.embeddingWidth]);
          const alone = await logitsOf(
            model.startDecoding(own, [prompts[row]!]),
            steps.map((tokens) => [tokens[row]!]),
          );
          const vocab = alone[0]!.length;
          alone.forEach((logits, step) => {
            expect(together[step]!.slice(row * vocab, (row + 1) * vocab)).toBeAllclose(logits, 1e-5);
          });
          own.dispose();
        }
        visualPrompt.dispose();
        model.dispose();
      }));

    it('gives the same with a cache as without', () =>
      expectNoLeak(async () => {
        const model = await make();
        const visualPrompt = visualPromptFor(model.embeddingWidth);
        const cached = await logitsOf(model.startDecoding(visualPrompt, prompts), steps);
        const vocab = model.config.vocabSize;
        const last = await lastLogitsWithoutCache(model, visualPrompt, steps);
        expect(cached.at(-1)!).toBeAllclose(last, 1e-5);
        expect(cached.at(-1)).toHaveLength(prompts.length * vocab);
        visualPrompt.dispose();
        model.dispose();
      }));

    it('follows reordered rows, more or fewer of them', () =>
      expectNoLeak(async () => {
        const model = await make();
        const visualPrompt = visualPromptFor(model.embeddingWidth);
        const expected = await logitsOf(model.startDecoding(visualPrompt, prompts), steps);
        const session = model.startDecoding(visualPrompt, prompts);
        const vocab = model.config.vocabSize;
        (await session.start()).dispose();
        session.reorder([2, 0, 0, 1]);
        expect(session.rows).toBe(4);
        const order = [2, 0, 0, 1];
        for (const [index, tokens] of steps.entries()) {
          const rows = index === 2 ? [0, 3] : order;
          const logits = await session.step(rows.map((row) => tokens[index === 2 ? [0, 1][rows.indexOf(row)]! : row]!));
          if (index < 2) {
            const shown = await logits.data();
            order.forEach((row, position) => {
              const actual = shown.slice(position * vocab, (position + 1) * vocab);
              expect(actual).toBeAllclose(expected[index + 1]!.slice(row * vocab, (row + 1) * vocab), 1e-5);
            });
          }
          logits.dispose();
          if (index === 1) session.reorder([1, 3]);
        }
        session.dispose();
        visualPrompt.dispose();
        model.dispose();
      }));
  });
});

describe.each(families)('$family', ({ make }) => {
  it('gives the same when its weights stream', () =>
    expectNoLeak(async () => {
      const resident = await make({});
      const streamed = await make({}, { budget: new WeightBudget(0) });
      expect(resident.streamedBytes).toBe(0);
      expect(streamed.streamedBytes).toBe(4 * streamed.parameterCount);
      expect(streamed.parameterCount).toBe(resident.parameterCount);
      const before = tf.memory().numTensors;
      const visualPrompt = visualPromptFor(resident.embeddingWidth);
      const options = { beams: 3, maxNewTokens: 4 };
      const expected = await resident.generate(visualPrompt, prompts, options);
      expect(await streamed.generate(visualPrompt, prompts, options)).toEqual(expected);
      visualPrompt.dispose();
      await new Promise((done) => setTimeout(done, 20));
      expect(tf.memory().numTensors).toBe(before);
      expect(() => streamed.loss(undefined, { prompts: ['a'], targets: ['b'] })).toThrow(/streams its weights/);
      resident.dispose();
      streamed.dispose();
    }));
});

/** Next-token logits after all steps, computed over whole sequences. */
async function lastLogitsWithoutCache(
  model: Awaited<ReturnType<typeof toyOpt>> | Awaited<ReturnType<typeof toyT5>>,
  visualPrompt: Tensor3D,
  steps: readonly (readonly number[])[],
): Promise<Float32Array> {
  const texts = prompts.map((prompt) => model.tokenizer.encode(prompt));
  const written = prompts.map((_, row) => steps.map((tokens) => tokens[row]!));
  const width = Math.max(...texts.map((ids) => ids.length));
  const pads = (ids: number[]): number[] => Array.from({ length: width - ids.length }, () => 0);
  const ones = (ids: number[]): number[] => ids.map(() => 1);
  const result =
    model.architecture === 'decoder-only'
      ? await model.forward(visualPrompt, {
          ids: texts.map((ids, row) => [...pads(ids), ...ids, ...written[row]!]),
          mask: texts.map((ids, row) => [...pads(ids), ...ones(ids), ...ones(written[row]!)]),
        })
      : await model.forward(
          visualPrompt,
          { ids: texts.map((ids) => [...ids, ...pads(ids)]), mask: texts.map((ids) => [...ones(ids), ...pads(ids)]) },
          written.map((ids) => [0, ...ids]),
        );
  const [batch, positions, vocab] = result.logits.shape;
  const last = tf.slice(result.logits, [0, positions - 1, 0], [batch, 1, vocab]);
  const values = (await last.data()) as Float32Array;
  tf.dispose([last, ...Object.values(result).filter((value) => value instanceof tf.Tensor)]);
  return values;
}

it('counts positions over gaps', () => {
  expect(optPositionRows([1, 1, 1, 0, 0, 1, 1, 1])).toEqual([2, 3, 4, 1, 1, 5, 6, 7]);
  expect(optPositionRows([0, 0, 1])).toEqual([1, 1, 2]);
});

it("has the published bucket boundaries of T5's encoder and decoder", () => {
  expect(bucketStarts(16, 128)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91]);
  expect(bucketStarts(32, 128).slice(16)).toEqual([16, 19, 21, 24, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99, 113]);
});
