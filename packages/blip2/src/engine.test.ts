import { spawn } from 'node:child_process';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { openCheckpoint } from '@blip2/checkpoints/node';
import type { Engine } from '@blip2/core';
import { expectNoLeak, fixturePath } from '@blip2/testing';
import { eagerEngine } from '@blip2/testing/engine';
import { describe, expect, it, vi } from 'vitest';
import { asksForCompiled, resolveEngines } from './engine-choice.ts';
import { loadBlip2 as loadAnywhere } from './load-blip2.ts';
import { caption, chooseEngines, type Dtype, loadBlip2, match } from './node.ts';

const OPT = fixturePath('models/blip2-opt');
const ITM = fixturePath('models/blip2-itm');
const IMAGE = fixturePath('models/preprocessing/images/landscape.png');

/** An engine by name only. */
const named = (name: string): Engine => ({ ...eagerEngine(), name });
const maker = (dtype: Dtype): Promise<Engine> => Promise.resolve(named(dtype));

describe('resolveEngines', () => {
  it('is eager without a compiler and compiled with one, unless told', async () => {
    expect(await resolveEngines({})).toEqual({});
    expect(await resolveEngines({ engine: 'eager' }, maker)).toEqual({});
    expect(await resolveEngines({ engine: 'eager', dtype: 'fp32' }, maker)).toEqual({});
    for (const engine of [undefined, 'compiled'] as const) {
      const engines = await resolveEngines({ engine }, maker);
      expect(Object.values(engines).map(({ name }: Engine) => name)).toEqual(['fp32', 'fp32', 'fp32']);
    }
  });

  it('makes one engine for each number format', async () => {
    const made: Dtype[] = [];
    const counting = (dtype: Dtype): Promise<Engine> => {
      made.push(dtype);
      return maker(dtype);
    };
    const all = await resolveEngines({ dtype: 'int8' }, counting);
    expect(made).toEqual(['int8']);
    expect(all.visionEncoder).toBe(all.languageModel);
    const byPart = await resolveEngines({ dtype: { visionEncoder: 'int8', languageModel: 'int4' } }, counting);
    expect([byPart.visionEncoder!.name, byPart.qformer!.name, byPart.languageModel!.name]).toEqual(['int8', 'fp32', 'int4']);
  });

  it('takes an engine for all parts, or for some', async () => {
    const engine = named('mine');
    expect(await resolveEngines({ engine })).toEqual({ visionEncoder: engine, qformer: engine, languageModel: engine });
    expect(await resolveEngines({ engine: { languageModel: engine } }, maker)).toEqual({ languageModel: engine });
  });

  const mistake = (choice: object, withCompiler = true): Promise<unknown> =>
    resolveEngines(choice, withCompiler ? maker : undefined).catch(String);

  it('refuses what it does not have, with what it has', async () => {
    expect(await mistake({ engine: 'compiled' }, false)).toMatchInlineSnapshot(
      `"ConfigError: loadBlip2: the engine 'compiled' was asked for, but this entry of the package brings no compiler. Import loadBlip2 from 'blip2/node' or 'blip2/browser', or pass an Engine of your own."`,
    );
    expect(await mistake({ engine: 'fast' })).toMatchInlineSnapshot(
      `"ConfigError: loadBlip2: the engine 'fast' is not known. Take one of compiled, eager, or pass an Engine of your own."`,
    );
    expect(await mistake({ engine: { vision: named('mine') } })).toMatchInlineSnapshot(
      `"ConfigError: loadBlip2: engine is an object with the key 'vision', and neither an Engine nor engines by part. Pass an Engine (an object with prepare and gatherRows), or some for visionEncoder, qformer, languageModel."`,
    );
    expect(await mistake({ dtype: 'int3' })).toMatchInlineSnapshot(
      `"ConfigError: loadBlip2: dtype is 'int3', expected one of fp32, int8, int4."`,
    );
    expect(await mistake({ dtype: { vision: 'int8' } })).toMatchInlineSnapshot(
      `"ConfigError: loadBlip2: dtype has a key 'vision', which is no part. The parts are visionEncoder, qformer, languageModel."`,
    );
    expect(await mistake({ engine: 'eager', dtype: 'int8' })).toMatchInlineSnapshot(
      `"ConfigError: loadBlip2: dtype is 'int8', but the eager engine computes in float32 only. Leave dtype out, or take the compiled engine ({ engine: 'compiled' }, of 'blip2/node' and 'blip2/browser')."`,
    );
    expect(await mistake({ dtype: { languageModel: 'int4' } }, false)).toMatchInlineSnapshot(
      `"ConfigError: loadBlip2: dtype is {"languageModel":"int4"}, but the eager engine computes in float32 only. Leave dtype out, or take the compiled engine ({ engine: 'compiled' }, of 'blip2/node' and 'blip2/browser')."`,
    );
    expect(await mistake({ engine: named('mine'), dtype: 'int8' })).toMatchInlineSnapshot(
      `"ConfigError: loadBlip2: dtype is 'int8', but an engine was given, and an engine has its own number format. Leave dtype out; to choose it, make the engine with it, such as onnxEngine({ dtype: 'int8' })."`,
    );
  });

  it('knows what only the compiled engine can do', () => {
    expect([{}, { engine: 'eager' }, { dtype: 'fp32' }].map((choice) => asksForCompiled(choice as object))).toEqual([
      false,
      false,
      false,
    ]);
    expect(
      [{ engine: 'compiled' }, { dtype: 'int8' }, { dtype: { languageModel: 'int4' } }].map((choice) =>
        asksForCompiled(choice as object),
      ),
    ).toEqual([true, true, true]);
  });
});

describe('loadBlip2', () => {
  it('is compiled in Node and eager elsewhere, and says so', async () => {
    using compiled = await loadBlip2(OPT);
    expect(compiled.engine).toMatch(/^ONNX Runtime 1\.\d+\.\d+, cpu, fp32$/);
    using eager = await loadAnywhere(await openCheckpoint(OPT));
    expect(eager.engine).toBe('tfjs wasm');
    using mixed = await loadBlip2(OPT, { dtype: { visionEncoder: 'int8', languageModel: 'int4' } });
    expect(mixed.engine).toMatch(/^vision encoder: ONNX.*, int8; Q-Former: ONNX.*, fp32; language model: ONNX.*, int4$/);
    using matching = await loadBlip2(ITM, { engine: { visionEncoder: named('mine') } });
    expect(matching.engine).toBe('vision encoder: mine; Q-Former: tfjs wasm');
  });

  it('runs on an engine of your own in every entry, whole and by part', async () => {
    const engine = eagerEngine();
    using whole = await loadAnywhere(await openCheckpoint(ITM), { engine });
    expect(new Set(engine.prepared.map((name) => name.split(',')[0]))).toEqual(new Set(['vision encoder', 'Q-Former']));
    const part = eagerEngine();
    using mixed = await loadBlip2(ITM, { engine: { qformer: part } });
    expect(part.prepared.length).toBeGreaterThan(0);
    using eager = await loadBlip2(ITM, { engine: 'eager' });
    const pixels = { width: 2, height: 1, data: Uint8Array.from([200, 100, 0, 0, 100, 200]) };
    const [expected] = (await match(eager, pixels, 'tennis')).flat();
    for (const model of [whole, mixed]) {
      const [scores] = (await match(model, pixels, 'tennis')).flat();
      expect([scores!.itm, scores!.itc]).toBeAllclose([expected!.itm, expected!.itc], 1e-6);
    }
  });

  it('refuses a contradiction before it reads anything, and lets go of the checkpoint', async () => {
    await expectNoLeak(async () => {
      const checkpoint = await openCheckpoint(OPT);
      const dispose = vi.spyOn(checkpoint, 'dispose');
      await expect(loadBlip2(checkpoint, { engine: 'eager', dtype: 'int4' })).rejects.toThrow(/eager engine computes in float32/);
      expect(dispose).toHaveBeenCalledOnce();
      await expect(
        loadBlip2('no/such/model', { engine: 'eager', provider: 'webgpu' }),
      ).rejects.toThrowErrorMatchingInlineSnapshot(
        `[ConfigError: loadBlip2: provider is 'webgpu', which is for the compiled engine, but the eager engine was chosen. Leave one of them out.]`,
      );
      await expect(loadBlip2('no/such/model', { engine: eagerEngine(), threads: 2 })).rejects.toThrowErrorMatchingInlineSnapshot(
        `[ConfigError: loadBlip2: threads is 2, which is for the compiled engine, but an engine of your own was chosen. Leave one of them out.]`,
      );
    });
  });

  it('shares engines between models', async () => {
    const engine = await chooseEngines({ dtype: 'int8', threads: 1 });
    using opt = await loadBlip2(OPT, { engine });
    using itm = await loadBlip2(ITM, { engine });
    expect(opt.engine).toBe(itm.engine);
    expect((await caption(opt, IMAGE, { maxNewTokens: 3 }))[0]!.tokenIds).toHaveLength(3);
  });
});

/** A process that has no onnxruntime-node; what `script` prints and warns of. */
async function withoutOnnxRuntime(script: string): Promise<{ out: string; error: string }> {
  const hooks = fileURLToPath(new URL('../../../testing/src/without-onnxruntime.ts', import.meta.url));
  const setUp = `import '@tensorflow/tfjs-backend-wasm'; import * as tf from '@tensorflow/tfjs-core';
    import { caption, loadBlip2 } from 'blip2/node'; tf.env().set('IS_TEST', true); await tf.setBackend('wasm');`;
  const words = ['--import', hooks, '--input-type=module', '--eval', `${setUp} ${script}`];
  const child = spawn(process.execPath, words, {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, error] = ['', ''];
  child.stdout.on('data', (chunk) => (out += String(chunk)));
  child.stderr.on('data', (chunk) => (error += String(chunk)));
  await new Promise((resolve) => child.on('close', resolve));
  return { out, error };
}

describe('without onnxruntime-node', () => {
  const [model, image] = [JSON.stringify(OPT), JSON.stringify(IMAGE)];

  it('falls back to eager execution after one warning, and writes the same', async () => {
    const write = `const [{ tokenIds }] = await caption(model, ${image}, { maxNewTokens: 6 }); console.log(model.engine, ...tokenIds);`;
    const { out, error } = await withoutOnnxRuntime(`const model = await loadBlip2(${model}); ${write}`);
    using compiled = await loadBlip2(OPT);
    const [expected] = await caption(compiled, IMAGE, { maxNewTokens: 6 });
    expect(out.trim()).toBe(`tfjs wasm ${expected!.tokenIds.join(' ')}`);
    expect(error.match(/Blip2Warning/g)).toHaveLength(1);
    expect(error).toMatch(
      /Models will run on tfjs, many times slower than compiled\. .*onnxruntime-node.*npm install onnxruntime-node/,
    );
  });

  it('tells a listener instead, and says nothing when eager was asked for', async () => {
    const { out, error } = await withoutOnnxRuntime(
      `await loadBlip2(${model}, { onWarning: (message) => console.log('told:', message) }); await loadBlip2(${model}, { engine: 'eager' });`,
    );
    expect(out.match(/told:/g)).toHaveLength(1);
    expect(error).toBe('');
  });

  it('refuses when the compiled engine or what only it has was asked for', async () => {
    const attempts = [`{ engine: 'compiled' }`, `{ dtype: 'int8' }`, `{ provider: 'cpu' }`, `{ threads: 1 }`];
    const { out, error } = await withoutOnnxRuntime(
      attempts
        .map((options) => `await loadBlip2(${model}, ${options}).catch(({ name, message }) => console.log(name, message));`)
        .join(''),
    );
    const lines = out.trim().split('\n');
    expect(lines).toHaveLength(attempts.length);
    for (const line of lines) expect(line).toMatch(/^UnsupportedBackendError .*onnxruntime-node.*npm install onnxruntime-node$/);
    expect(error).toBe('');
  });
});
