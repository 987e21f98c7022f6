import { InputError } from '@blip2/core';
import { expectNoLeak, fixturePath } from '@blip2/testing';
import { describe, expect, it } from 'vitest';
import { type Blip2, ENGINES, loadBlip2, measureBlip2 } from './node.ts';

/** How often each of the model's functions was called. */
function counting(model: Blip2): { model: Blip2; calls: Record<string, number> } {
  const calls: Record<string, number> = {};
  const watch = <T extends object>(name: string, target: T): T =>
    new Proxy(target, {
      get(object, property) {
        const value: unknown = Reflect.get(object, property);
        if (typeof value !== 'function') return value;
        return (...words: unknown[]) => {
          const key = `${name}.${String(property)}`;
          calls[key] = (calls[key] ?? 0) + 1;
          return value.apply(object, words) as unknown;
        };
      },
    });
  const { visionEncoder, qformer, languageModel } = model;
  return {
    calls,
    model: {
      ...model,
      visionEncoder: watch('vision', visionEncoder),
      qformer: watch('qformer', qformer),
      ...(languageModel && { languageModel: watch('language', languageModel) }),
    },
  };
}

describe.each(ENGINES)('measureBlip2, %s', (engine) => {
  it('times every stage of a model that writes, run by run', async () => {
    using loaded = await loadBlip2(fixturePath('models/blip2-opt'), { engine });
    const { model, calls } = counting(loaded);
    await expectNoLeak(async () => {
      const done: number[] = [];
      const measured = await measureBlip2(model, {
        images: 2,
        newTokens: 3,
        beams: 2,
        repeat: 3,
        onRun: (run) => done.push(run),
      });
      expect(done).toEqual([1, 2, 3, 4]);
      expect(calls).toEqual({
        'vision.encode': 4,
        'qformer.encodeQueries': 4,
        'qformer.projectToPrompt': 4,
        'language.generate': 8,
      });
      for (const times of [measured.firstRun, measured.medians]) {
        expect(Object.keys(times)).toEqual(['preprocess', 'visionEncoder', 'qformer', 'prefill', 'token', 'total']);
        const { preprocess, visionEncoder, qformer, prefill } = times;
        for (const time of [preprocess, visionEncoder, qformer, prefill!]) expect(time).toBeGreaterThan(0);
      }
      const { preprocess, visionEncoder, qformer, prefill, token, total } = measured.firstRun;
      expect(total).toBeCloseTo(preprocess + visionEncoder + qformer + prefill! + 2 * token!, 6);
    });
  });

  it('times matching where there is no language model', async () => {
    using model = await loadBlip2(fixturePath('models/blip2-itm'), { engine });
    await expectNoLeak(async () => {
      const { medians } = await measureBlip2(model, { images: 2, repeat: 2 });
      expect(Object.keys(medians)).toEqual(['preprocess', 'visionEncoder', 'qformer', 'text', 'match', 'total']);
      for (const time of Object.values(medians)) expect(time).toBeGreaterThan(0);
    });
  });
});

describe('measureBlip2', () => {
  it('stops when it is told to', async () => {
    using model = await loadBlip2(fixturePath('models/blip2-itm'));
    const reason = new DOMException('enough', 'AbortError');
    const controller = new AbortController();
    await expectNoLeak(async () => {
      const measuring = measureBlip2(model, { abortSignal: controller.signal, onRun: () => controller.abort(reason) });
      await expect(measuring).rejects.toBe(reason);
    });
  });

  it.each([{ images: 0 }, { newTokens: 1 }, { beams: 1.5 }, { repeat: Number.NaN }])('refuses %j', async (options) => {
    using model = await loadBlip2(fixturePath('models/blip2-itm'), { engine: 'eager' });
    await expect(measureBlip2(model, options)).rejects.toThrow(InputError);
    await expect(measureBlip2(model, options)).rejects.toThrow(`${Object.keys(options)[0]} is ${Object.values(options)[0]}`);
  });

  it('says how many tokens fit', async () => {
    using model = await loadBlip2(fixturePath('models/blip2-opt'), { engine: 'eager' });
    await expect(measureBlip2(model, { newTokens: 100 })).rejects.toThrow(/at most 57/);
  });
});
