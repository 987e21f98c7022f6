import type { DecodingSession, Engine, PrepareOptions, WeightSource } from '@blip2/core';
import { expectNoLeak, spread } from '@blip2/testing';
import { onCpuBackend } from '@blip2/testing/backends';
import { eagerEngine } from '@blip2/testing/engine';
import * as tf from '@tensorflow/tfjs-core';
import type { Rank } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { byteTokenizer, toyOpt, toyOptConfig, toyT5, toyT5Config } from './__fixtures__/toy-models.ts';
import { sharedPrompts } from './key-value-cache.ts';
import { createOpt } from './opt-model.ts';
import { randomOptWeights } from './random-weights.ts';

/** An engine that counts the tensors whose rows it gathers, and notes what it is told of functions. */
function observed(
  engine: Engine,
): Engine & { gathered: number; options: Pick<PrepareOptions<unknown, unknown>, 'identity' | 'quantize'>[] } {
  const seen: ReturnType<typeof observed> = {
    ...engine,
    gathered: 0,
    options: [],
    prepare(compute, options) {
      seen.options.push({ identity: options.identity, quantize: options.quantize });
      return engine.prepare(compute, options);
    },
    gatherRows(tensor, rows) {
      seen.gathered++;
      return engine.gatherRows(tensor, rows);
    },
  };
  return seen;
}

async function startOf(session: DecodingSession): Promise<void> {
  (await session.start()).dispose();
}

async function stepOf(session: DecodingSession): Promise<void> {
  (await session.step(Array.from({ length: session.rows }, (_, row) => 65 + row))).dispose();
}

it('prepares OPT as one function for prompt and tokens, and one for whole sequences at their first pass', () =>
  expectNoLeak(async () => {
    const engine = eagerEngine();
    const model = await toyOpt({}, { engine });
    await model.generate(undefined, ['abc', 'd'], { beams: 3, minNewTokens: 4, maxNewTokens: 4 });
    expect(engine.prepared).toEqual(['language model']);
    expect(engine.runs.map(({ name }) => name)).toEqual(Array.from({ length: 4 }, () => 'language model'));
    const result = await model.forward(undefined, { ids: [[1, 70]], mask: [[1, 1]] });
    tf.dispose([result.logits, result.features]);
    expect(engine.prepared).toEqual(['language model', 'language model, whole sequences']);
    expect(model.streamedBytes).toBe(0);
    model.dispose();
  }));

it('prepares T5 as a function for the prompt and one for tokens, and one for whole sequences at their first pass', () =>
  expectNoLeak(async () => {
    const engine = eagerEngine();
    const model = await toyT5({}, { engine });
    await model.generate(undefined, ['abc', 'd'], { beams: 3, minNewTokens: 3, maxNewTokens: 3 });
    const [encoder, decoder] = ['language model, encoder', 'language model, decoder'];
    expect(engine.prepared).toEqual([encoder, decoder]);
    expect(engine.runs.map(({ name }) => name)).toEqual([encoder, decoder, decoder, decoder]);
    const { logits, encoded, decoded } = await model.forward(undefined, { ids: [[1, 70]], mask: [[1, 1]] }, [[0, 65]]);
    tf.dispose([logits, encoded, decoded]);
    expect(engine.prepared).toEqual([encoder, decoder, 'language model, whole sequences']);
    model.dispose();
  }));

describe.each([
  { family: 'OPT', make: (engine: Engine) => toyOpt({}, { engine }), layers: toyOptConfig.layers },
  { family: 'T5', make: (engine: Engine) => toyT5({}, { engine }), layers: toyT5Config.decoderLayers },
])('$family', ({ make, layers }) => {
  const keysAndValues = 2 * layers;

  it('copies no cache in greedy search', () =>
    expectNoLeak(async () => {
      const engine = observed(eagerEngine());
      const model = await make(engine);
      await model.generate(undefined, ['a', 'bc'], { minNewTokens: 3, maxNewTokens: 3 });
      expect(engine.gathered).toBe(0);
      model.dispose();
    }));

  it('copies what rows have said when rows really change, once a step, and the prompts when those do', () =>
    expectNoLeak(async () => {
      const engine = observed(eagerEngine());
      const model = await make(engine);
      const session = model.startDecoding(undefined, ['a', 'bc']);
      const gatheredBy = async (...orders: number[][]): Promise<number> => {
        const before = engine.gathered;
        for (const rows of orders) session.reorder(rows);
        await stepOf(session);
        return engine.gathered - before;
      };
      await startOf(session);
      const afterStart = model.architecture === 'decoder-only' ? 0 : keysAndValues; // T5 has run a token by then
      expect(await gatheredBy([0, 0, 1, 1])).toBe(afterStart);
      expect(await gatheredBy([0, 1, 2, 3])).toBe(0);
      expect(await gatheredBy([1, 0, 3, 2], [1, 0, 3, 2])).toBe(0);
      expect(await gatheredBy([1, 1, 3, 2])).toBe(keysAndValues);
      expect(await gatheredBy([2, 3], [0, 1, 1])).toBe(2 * keysAndValues); // one prompt is left, for three rows
      expect(await gatheredBy([2, 0, 1])).toBe(keysAndValues);
      session.dispose();
      model.dispose();
    }));
});

it('shares the prompts of equally many rows', () => {
  expect(sharedPrompts([0, 1, 2])).toEqual([0, 1, 2]);
  expect(sharedPrompts([4, 4, 4, 7, 7, 7])).toEqual([4, 7]);
  expect(sharedPrompts([4, 4, 7, 7, 7, 7])).toEqual([4, 7, 7]);
  expect(sharedPrompts([4, 7, 7])).toEqual([4, 7, 7]);
  expect(sharedPrompts([4, 7, 4])).toEqual([4, 7, 4]);
  expect(sharedPrompts([5])).toEqual([5]);
});

describe.each([
  { family: 'OPT', make: (engine: Engine) => toyOpt({}, { engine }) },
  {
    family: 'OPT, 350m style',
    make: (engine: Engine) => toyOpt({ embeddingWidth: 16, normBefore: false, finalNorm: false }, { engine }),
  },
  { family: 'T5', make: (engine: Engine) => toyT5({}, { engine }) },
  {
    family: 'T5, plain and tied',
    make: (engine: Engine) =>
      toyT5({ tiedHead: true, scaleTiedHead: true, gatedFeedForward: false, activation: 'relu' }, { engine }),
  },
])('$family', ({ make }) => {
  it('gives an engine functions of the same structure for all sizes', () =>
    onCpuBackend(async () => {
      const engine = eagerEngine({ recordKernels: true });
      const model = await make(engine);
      for (const [prompts, queries, beams, steps] of [
        [[''], 0, 1, 1],
        [['abc', ''], 2, 3, 3],
        [['abcdefg', 'hi', 'jklm', '', 'x'], 7, 2, 2],
      ] as const) {
        const visualPrompt = queries > 0 ? spread<Rank.R3>([prompts.length, queries, model.embeddingWidth], 3) : undefined;
        const session = model.startDecoding(visualPrompt, prompts);
        await startOf(session);
        session.reorder(prompts.flatMap((_, row) => Array.from({ length: beams }, () => row)));
        for (let step = 0; step < steps; step++) await stepOf(session);
        const tokens = { ids: prompts.map(() => [1, 70, 80]), mask: prompts.map(() => [1, 1, 1]) };
        if (model.architecture === 'decoder-only') await model.forward(visualPrompt, tokens);
        else await model.forward(visualPrompt, tokens, tokens.ids);
        session.dispose();
      }
      const structures = Map.groupBy(engine.runs, ({ name }) => name);
      expect([...structures.keys()]).toEqual(engine.prepared);
      for (const runs of structures.values()) {
        expect(runs.length).toBeGreaterThan(2);
        expect(runs[0]!.kernels.length).toBeGreaterThan(40);
        for (const { kernels } of runs) expect(kernels).toEqual(runs[0]!.kernels);
      }
    }));

  it('says what its functions are, in JSON', async () => {
    const engine = observed(eagerEngine());
    const model = await make(engine);
    expect(engine.options.length).toBeGreaterThan(0);
    for (const { identity, quantize } of engine.options) {
      expect(quantize).toBe('few-rows');
      expect(identity).toMatchObject({ package: '@blip2/llm-adapters', version: expect.any(Number), config: model.config });
      expect(JSON.parse(JSON.stringify(identity))).toEqual(identity);
    }
    expect(new Set(engine.options.map(({ identity }) => (identity as { name: string }).name)).size).toBe(engine.options.length);
    model.dispose();
  });

  it('keeps the encoder and the cache until a pass has ended, also when the session ends before', () =>
    expectNoLeak(async () => {
      const model = await make(eagerEngine());
      const session = model.startDecoding(undefined, ['a', 'b']);
      const starting = session.start();
      session.dispose();
      await expect(starting).rejects.toThrow('The decoding session was disposed');
      const other = model.startDecoding(undefined, ['a', 'b']);
      await startOf(other);
      other.reorder([1, 1]);
      const stepping = other.step([65, 66]);
      other.dispose();
      await expect(stepping).rejects.toThrow('The decoding session was disposed');
      model.dispose();
    }));
});

it('refuses a loss: gradients go through tensors', async () => {
  const batch = { prompts: ['a'], targets: ['b'] };
  const opt = await toyOpt({}, { engine: eagerEngine() });
  expect(() => opt.loss(undefined, batch)).toThrowErrorMatchingInlineSnapshot(
    `[ResourceError: The OPT language model has its weights in an engine (eager tfjs), but gradients need them all as tensors in memory. Make it without the engine option to train it.]`,
  );
  const t5 = await toyT5({}, { engine: eagerEngine() });
  expect(() => t5.loss(undefined, batch)).toThrow('The T5 language model has its weights in an engine (eager tfjs)');
  opt.dispose();
  t5.dispose();
});

it('leaves nothing behind when preparing fails or is stopped', async () => {
  const weights = randomOptWeights(toyOptConfig);
  const unreadable: WeightSource = {
    ...weights,
    get(name) {
      const weight = weights.get(name);
      if (weight === undefined || !name.includes('layers.2.fc1')) return weight;
      return { ...weight, read: () => Promise.reject(new Error('the disk is gone')) };
    },
  };
  const create = () => createOpt(unreadable, toyOptConfig, byteTokenizer, { engine: eagerEngine() });
  await expect(expectNoLeak(create)).rejects.toThrow('the disk is gone');
  const abort = new AbortController();
  const options = { engine: eagerEngine(), abortSignal: abort.signal, onProgress: () => abort.abort() };
  await expect(expectNoLeak(() => toyT5({}, options))).rejects.toMatchObject({ name: 'AbortError' });
});
