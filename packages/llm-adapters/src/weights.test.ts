import { type Weight, weightFromValues, type WeightSource, WeightsError } from '@blip2/core';
import { expectNoLeak } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { byteTokenizer, toyOptConfig, toyT5Config } from './__fixtures__/toy-models.ts';
import { createOpt } from './opt-model.ts';
import { readOptParams } from './opt-weights.ts';
import { randomOptWeights, randomT5Weights } from './random-weights.ts';
import { createT5 } from './t5-model.ts';
import { readT5Params } from './t5-weights.ts';

/** A source with some weights renamed, dropped (`undefined`) or added. */
function changed(source: WeightSource, rename: (name: string) => string | undefined, added: Weight[] = []): WeightSource {
  const weights = new Map<string, Weight>();
  for (const name of source.names) {
    const newName = rename(name);
    if (newName !== undefined) weights.set(newName, { ...source.get(name)!, name: newName });
  }
  for (const weight of added) weights.set(weight.name, weight);
  return { name: 'toy', names: [...weights.keys()], get: (name) => weights.get(name) };
}

const matrix = (name: string, rows: number, columns: number, value: number): Weight =>
  weightFromValues(name, [rows, columns], new Float32Array(rows * columns).fill(value));

const opt = randomOptWeights(toyOptConfig);
const t5 = randomT5Weights(toyT5Config);

it('draws T5 weights as widely as T5 begins', async () => {
  const { width, heads, headWidth, feedForwardWidth } = toyT5Config;
  const expected = {
    'shared.weight': 1,
    'encoder.block.0.layer.0.SelfAttention.q.weight': 1 / Math.sqrt(width * headWidth),
    'decoder.block.1.layer.1.EncDecAttention.v.weight': 1 / Math.sqrt(width),
    'decoder.block.1.layer.1.EncDecAttention.o.weight': 1 / Math.sqrt(heads * headWidth),
    'decoder.block.0.layer.2.DenseReluDense.wi_0.weight': 1 / Math.sqrt(width),
    'encoder.block.0.layer.1.DenseReluDense.wo.weight': 1 / Math.sqrt(feedForwardWidth),
  };
  for (const [name, spread] of Object.entries(expected)) {
    const weight = t5.names.find((each) => each.endsWith(name))!;
    const values = Array.from(await t5.get(weight)!.read());
    const meanSquare = values.reduce((sum, value) => sum + value ** 2, 0) / values.length;
    expect(Math.abs(Math.sqrt(meanSquare) / spread - 1), name).toBeLessThan(0.1);
  }
});

describe('OPT', () => {
  it.each([
    ['inside BLIP-2', (name: string) => name],
    ['plain', (name: string) => name.replace('language_model.', '')],
    ['old plain', (name: string) => name.replace('language_model.model.', '')],
  ])('is found %s', async (_, rename) => {
    const params = await readOptParams(changed(opt, rename), toyOptConfig);
    expect(params.layers).toHaveLength(3);
    expect(params.output.head).toBe(params.tokens);
  });

  it('leaves other parts of BLIP-2 alone', async () => {
    const others = [matrix('query_tokens', 2, 2, 1), matrix('language_projection.weight', 2, 2, 1)];
    await expect(
      readOptParams(
        changed(opt, (name) => name, others),
        toyOptConfig,
      ),
    ).resolves.toBeDefined();
  });

  it('takes the head for the token table where only the head is stored', async () => {
    const source = changed(opt, (name) => (name.endsWith('embed_tokens.weight') ? 'language_model.lm_head.weight' : name));
    const params = await readOptParams(source, toyOptConfig);
    expect(params.tokens).toBe(params.output.head);
    expect(params.tokens.name).toBe('language_model.lm_head.weight');
  });

  it('keeps a stored copy of the table once, and a head that differs', async () => {
    const tokens = opt.get('language_model.model.decoder.embed_tokens.weight')!;
    const copy = { ...tokens, name: 'language_model.lm_head.weight' };
    const tied = await readOptParams(
      changed(opt, (name) => name, [copy]),
      toyOptConfig,
    );
    expect(tied.output.head).toBe(tied.tokens);
    const { vocabSize, width } = toyOptConfig;
    const other = matrix('language_model.lm_head.weight', vocabSize, width, 0.5);
    const untied = await readOptParams(
      changed(opt, (name) => name, [other]),
      toyOptConfig,
    );
    expect(untied.output.head).not.toBe(untied.tokens);
  });

  it('has norms without parameters, and layers without biases', async () => {
    const config = { ...toyOptConfig, normAffine: false, linearBias: false };
    const source = randomOptWeights(config);
    expect(source.names.filter((name) => name.endsWith('.bias') || name.includes('norm'))).toEqual([]);
    const model = await createOpt(source, config, byteTokenizer);
    const [texts] = await model.generate(undefined, ['a'], { maxNewTokens: 2, minNewTokens: 2 });
    expect(texts![0]!.tokenIds).toHaveLength(2);
    model.dispose();
  });

  it('says what is missing, wrong or left over, and keeps nothing', async () => {
    const broken = changed(opt, (name) => (name.includes('layers.1.fc1') ? undefined : name), [
      matrix('language_model.model.decoder.layers.3.fc1.weight', 2, 2, 1),
      matrix('language_model.model.decoder.embed_positions.weight', 2, 2, 1),
    ]);
    const source = changed(broken, (name) => name);
    await expectNoLeak(async () => {
      const failed = createOpt(source, { ...toyOptConfig, feedForwardWidth: 41 }, byteTokenizer);
      await expect(failed).rejects.toThrow(WeightsError);
      await expect(createOpt(source, toyOptConfig, byteTokenizer)).rejects.toThrowErrorMatchingInlineSnapshot(
        `[WeightsError: toy: the OPT language model's weights do not fit its configuration — missing language_model.model.decoder.layers.1.fc1.weight, language_model.model.decoder.layers.1.fc1.bias. wrong shapes: language_model.model.decoder.embed_positions.weight is [2, 2], expected [50, 24]. not part of this model: language_model.model.decoder.layers.3.fc1.weight. Check that config.json and the weights come from the same model.]`,
      );
    });
  });

  it('keeps nothing when loading is aborted or a read fails', async () => {
    await expectNoLeak(async () => {
      const aborted = AbortSignal.abort();
      await expect(createOpt(opt, toyOptConfig, byteTokenizer, { abortSignal: aborted })).rejects.toMatchObject({
        name: 'AbortError',
      });
      const unreadable = {
        ...opt.get('language_model.model.decoder.layers.2.fc1.weight')!,
        read: () => Promise.reject(new Error('disk gone')),
      };
      const source = changed(opt, (name) => (name === unreadable.name ? undefined : name), [unreadable]);
      await expect(createOpt(source, toyOptConfig, byteTokenizer)).rejects.toThrow('disk gone');
    });
    expect(tf.memory().numTensors).toBe(0);
  });
});

describe('T5', () => {
  const table = t5.get('language_model.shared.weight')!;

  it.each([
    ['inside BLIP-2', (name: string) => name],
    ['plain', (name: string) => name.replace('language_model.', '')],
  ])('is found %s', async (_, rename) => {
    const params = await readT5Params(changed(t5, rename), toyT5Config);
    expect(params.encoder.layers).toHaveLength(2);
    expect(params.decoder.layers).toHaveLength(3);
    expect(params.decoderTokens).toBe(params.encoderTokens);
    expect(params.headIsTied).toBe(false);
  });

  it('takes the table under any of its names', async () => {
    const source = changed(t5, (name) => name.replace('shared.weight', 'decoder.embed_tokens.weight'));
    const params = await readT5Params(source, toyT5Config);
    expect(params.encoderTokens.name).toBe('language_model.decoder.embed_tokens.weight');
    expect(params.decoderTokens).toBe(params.encoderTokens);
  });

  it('keeps copies of the table once, and tables that differ', async () => {
    const copies = ['encoder', 'decoder'].map((stack) => ({ ...table, name: `${stack}.embed_tokens.weight` }));
    const plain = (name: string): string => name.replace('language_model.', '');
    const copied = await readT5Params(changed(t5, plain, copies), toyT5Config);
    expect(copied.decoderTokens).toBe(copied.encoderTokens);
    const { vocabSize, width } = toyT5Config;
    const others = ['encoder', 'decoder'].map((stack, index) => matrix(`${stack}.embed_tokens.weight`, vocabSize, width, index));
    const apart = await readT5Params(changed(t5, plain, others), toyT5Config);
    expect([apart.encoderTokens.name, apart.decoderTokens.name]).toEqual(others.map(({ name }) => name));
  });

  it('ties the head where the file has none or a copy, if the configuration lets it', async () => {
    const config = { ...toyT5Config, tiedHead: true, scaleTiedHead: true };
    const without = changed(t5, (name) => (name.endsWith('lm_head.weight') ? undefined : name));
    const tied = await readT5Params(without, config);
    expect(tied.headIsTied).toBe(true);
    expect(tied.head).toBe(tied.encoderTokens);
    const copy = changed(without, (name) => name, [{ ...table, name: 'language_model.lm_head.weight' }]);
    expect(await readT5Params(copy, config)).toMatchObject({ headIsTied: true });
    expect(await readT5Params(copy, toyT5Config)).toMatchObject({ headIsTied: false });
    expect(await readT5Params(t5, config)).toMatchObject({ headIsTied: false });
    await expect(readT5Params(without, toyT5Config)).rejects.toThrowErrorMatchingInlineSnapshot(
      `[WeightsError: toy: the T5 language model's weights do not fit its configuration — missing language_model.lm_head.weight. Check that config.json and the weights come from the same model.]`,
    );
  });

  it('ignores what old library versions stored', async () => {
    const stale = matrix('language_model.decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight', 32, 3, 1);
    const model = await createT5(
      changed(t5, (name) => name, [stale]),
      toyT5Config,
      byteTokenizer,
    );
    expect(model.parameterCount).toBeGreaterThan(0);
    model.dispose();
  });
});
