import { type GeneratedToken, WeightBudget } from '@blip2/core';
import { expectNoLeak, spread } from '@blip2/testing';
import { eagerEngine } from '@blip2/testing/engine';
import * as tf from '@tensorflow/tfjs-core';
import type { Rank, Tensor3D } from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toyOpt, toyT5 } from './__fixtures__/toy-models.ts';
import { WAYS_TO_RUN } from './__fixtures__/ways-to-run.ts';
import type { LanguageModelOptions } from './language-model.ts';

type Model = Awaited<ReturnType<typeof toyOpt>> | Awaited<ReturnType<typeof toyT5>>;

describe.each(WAYS_TO_RUN)('%s', (_, makeEngine) => {
  describe.each([
    { family: 'OPT', create: toyOpt },
    { family: 'T5', create: toyT5 },
  ])('$family', ({ create }) => {
    const make = (options: LanguageModelOptions = {}): Promise<Model> => create({}, { engine: makeEngine(), ...options });
    let model: Model;
    let visualPrompt: Tensor3D;
    beforeAll(async () => {
      model = await make();
      visualPrompt = spread<Rank.R3>([2, 4, model.embeddingWidth], 3);
    });
    afterAll(() => {
      model.dispose();
      visualPrompt.dispose();
    });
    const first = (): Tensor3D => tf.slice(visualPrompt, [0, 0, 0], [1, 4, model.embeddingWidth]);

    it('streams what it generates, token by token', () =>
      expectNoLeak(async () => {
        const single = first();
        for (const sampling of [undefined, { seed: 5, temperature: 3 }]) {
          const options = { maxNewTokens: 20, sampling };
          const tokens: GeneratedToken[] = [];
          for await (const token of model.stream(single, 'ab', options)) tokens.push(token);
          const [[generation]] = (await model.generate(single, ['ab'], options)) as [[{ tokenIds: number[]; text: string }]];
          expect(tokens.map(({ tokenId }) => tokenId)).toEqual(generation.tokenIds);
          const text = tokens.map((token) => token.text).join('');
          // The last character may have stayed incomplete.
          expect(generation.text.startsWith(text)).toBe(true);
          expect(generation.text.slice(text.length)).toMatch(/^\ufffd?$/u);
        }
        single.dispose();
      }));

    it('frees everything when the loop is left', () =>
      expectNoLeak(async () => {
        const single = first();
        for await (const token of model.stream(single, 'ab')) {
          expect(token.tokenId).toBeTypeOf('number');
          break;
        }
        single.dispose();
      }));

    it('frees everything when it is aborted, at the start and between tokens', () =>
      expectNoLeak(async () => {
        const single = first();
        const early = model.generate(single, ['ab'], { abortSignal: AbortSignal.abort(new Error('enough')) });
        await expect(early).rejects.toThrow('enough');
        const abort = new AbortController();
        const read = async (): Promise<void> => {
          for await (const token of model.stream(single, 'ab', { abortSignal: abort.signal, minNewTokens: 20 })) {
            abort.abort();
            expect(token).toBeDefined();
          }
        };
        await expect(read()).rejects.toMatchObject({ name: 'AbortError' });
        const timer = new AbortController();
        const long = model.generate(visualPrompt, ['a', 'b'], { beams: 4, minNewTokens: 30, abortSignal: timer.signal });
        setTimeout(() => timer.abort(), 5);
        await expect(long).rejects.toMatchObject({ name: 'AbortError' });
        single.dispose();
      }));

    it('ends a session whose pass failed', () =>
      expectNoLeak(async () => {
        const session = model.startDecoding(visualPrompt, ['a', 'b']);
        (await session.start()).dispose();
        await expect(session.step([5, 9999])).rejects.toThrowErrorMatchingInlineSnapshot(
          `[InputError: Token ids: got 9999, but the model's table has the ids 0 to 263. Use the tokenizer that belongs to the model.]`,
        );
        await expect(async () => session.step([5, 5])).rejects.toThrow('The decoding session was disposed');
      }));

    it('takes what a session is told in order', () =>
      expectNoLeak(async () => {
        const session = model.startDecoding(visualPrompt, ['a', 'b']);
        expect(() => session.step([5, 5])).toThrowErrorMatchingInlineSnapshot(
          `[InputError: step: the prompt has not been run. Call start first, and wait for one call before the next.]`,
        );
        (await session.start()).dispose();
        expect(() => session.start()).toThrowErrorMatchingInlineSnapshot(
          `[InputError: start: start was called before; a session runs its prompt once. Call step, or start another session.]`,
        );
        expect(() => session.step([5])).toThrowErrorMatchingInlineSnapshot(
          `[InputError: step: got 1 tokens for 2 rows. Pass one token a row.]`,
        );
        expect(() => session.reorder([0, 2])).toThrowErrorMatchingInlineSnapshot(
          `[InputError: reorder: got [0, 2], expected one or more row numbers from 0 to 1. Name the old row of each new one.]`,
        );
        const running = session.step([5, 5]);
        session.dispose();
        session.dispose();
        await expect(running).rejects.toThrow('The decoding session was disposed');
        expect(() => session.reorder([0])).toThrow('The decoding session was disposed');
      }));

    it('keeps no hold of the visual prompt', () =>
      expectNoLeak(async () => {
        const copy = tf.clone(visualPrompt);
        const session = model.startDecoding(copy, ['a', 'b']);
        copy.dispose();
        const logits = await session.start();
        expect(logits.shape).toEqual([2, model.config.vocabSize]);
        logits.dispose();
        session.dispose();
        model.startDecoding(visualPrompt, ['a', 'b']).dispose();
      }));

    it('refuses what does not fit together', async () => {
      await expect(model.generate(visualPrompt, [])).rejects.toThrowErrorMatchingInlineSnapshot(
        `[InputError: generate: got no prompts. Pass one text an image; an empty string stands for none.]`,
      );
      await expect(model.generate(visualPrompt, ['a'])).rejects.toThrowErrorMatchingInlineSnapshot(
        `[InputError: generate: got 2 visual prompts and 1 text prompts. Pass one text an image; an empty string stands for none.]`,
      );
      const wide = tf.zeros<Rank.R3>([1, 4, 9]);
      await expect(model.generate(wide, ['a'])).rejects.toThrowErrorMatchingInlineSnapshot(
        `[ShapeError: generate: visualPrompt is [1, 4, 9], expected [batch, queries, 24]. This language model takes embeddings of width 24: use the language projection that was trained for it.]`,
      );
      wide.dispose();
      const ragged = { ids: [[1, 2], [1]], mask: [[1, 1], [1]] };
      await expect(model.generate(visualPrompt, ragged)).rejects.toThrowErrorMatchingInlineSnapshot(
        `[InputError: generate: the rows of ids and mask have the lengths 2, 1 and 2, 1, expected one length above 0. Pad them with tokenBatch().]`,
      );
      expect(() => model.loss(visualPrompt, { prompts: [], targets: [] })).toThrowErrorMatchingInlineSnapshot(
        `[InputError: loss: got no targets. Pass one text an image.]`,
      );
      expect(() => model.loss(visualPrompt, { prompts: ['a'], targets: ['b', 'c'] })).toThrowErrorMatchingInlineSnapshot(
        `[InputError: loss: got 1 prompts and 2 targets. Pass one prompt a target; an empty string stands for none.]`,
      );
      expect(() => model.loss(visualPrompt, { prompts: ['a', 'b'], targets: ['b', ''] })).toThrowErrorMatchingInlineSnapshot(
        `[InputError: loss: target 1 is empty. Pass a text to predict.]`,
      );
    });

    it('cannot be used after it was disposed', () =>
      expectNoLeak(async () => {
        const other = await make();
        const session = other.startDecoding(undefined, ['a']);
        other.dispose();
        other.dispose();
        await expect(other.generate(undefined, ['a'])).rejects.toMatchObject({ code: 'disposed' });
        expect(() => other.loss(undefined, { prompts: ['a'], targets: ['b'] })).toThrow('was disposed');
        await expect(session.start()).rejects.toMatchObject({ code: 'disposed' });
      }));

    it('reports its loading', async () => {
      const events: number[][] = [];
      const other = await make({ onProgress: ({ loadedBytes, totalBytes }) => events.push([loadedBytes, totalBytes]) });
      expect(events.at(-1)![0]).toBe(4 * other.parameterCount);
      expect(events.at(-1)![1]).toBe(4 * other.parameterCount);
      other.dispose();
    });
  });
});

it.each([
  { family: 'OPT', make: toyOpt },
  { family: 'T5', make: toyT5 },
])('$family gives its room in the budget back', async ({ make }) => {
  const budget = new WeightBudget(1e9);
  const other = await make({}, { budget });
  expect(budget.reservedBytes).toBe(4 * other.parameterCount);
  other.dispose();
  expect(budget.reservedBytes).toBe(0);
  const elsewhere = await make({}, { budget, engine: eagerEngine() });
  expect(budget.reservedBytes).toBe(0);
  elsewhere.dispose();
});

it('refuses more tokens than the context of OPT holds, before any work', async () => {
  const model = await toyOpt();
  const visualPrompt = spread<Rank.R3>([1, 4, model.embeddingWidth], 3);
  await expect(model.generate(visualPrompt, ['a'.repeat(60)])).rejects.toThrowErrorMatchingInlineSnapshot(
    `[InputError: generate: the longest prompt has 65 tokens, 4 of them the visual prompt, and the model's context has room for 48 with the new ones. Shorten the prompt.]`,
  );
  await expect(model.generate(visualPrompt, ['abc'], { maxNewTokens: 41 })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[InputError: generate: maxNewTokens is 41, expected at most 40, which is what fits into the model's context. Set maxNewTokens to 40 or less, or shorten the prompt.]`,
  );
  expect((await model.generate(visualPrompt, ['abc'], { maxNewTokens: 40, minNewTokens: 40 }))[0]![0]!.tokenIds).toHaveLength(40);
  expect(() =>
    model.loss(visualPrompt, { prompts: [''], targets: ['a'.repeat(60)] }, { maxTextTokens: 60 }),
  ).toThrowErrorMatchingInlineSnapshot(
    `[InputError: lossFromTokens: the longest row has 64 tokens, the model's context has room for 48. Shorten it.]`,
  );
  visualPrompt.dispose();
  model.dispose();
});
