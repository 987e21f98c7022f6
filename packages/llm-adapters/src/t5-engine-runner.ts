import {
  type Described,
  disposeOutputs,
  type Engine,
  type EngineFunction,
  type EngineInputs,
  outputsToTensors,
  type TensorScope,
  withTensorScope,
} from '@blip2/core';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import type { PassOptions } from './decoding-session.ts';
import { embeddingInputs } from './embedding-inputs.ts';
import { emptyKeysAndValues, EngineCache, PromptCache } from './engine-cache.ts';
import { engineFunction, EngineWeights, gradientsNeedTensors } from './engine-weights.ts';
import { causalMask, hostRows, paddingMask } from './host-tensors.ts';
import { sharedPrompts } from './key-value-cache.ts';
import type { PromptLayout } from './prompt.ts';
import type { T5Config } from './t5-config.ts';
import { allReal, t5DecoderBuckets, type T5Params } from './t5-decoder.ts';
import { t5EncoderBuckets } from './t5-encoder.ts';
import {
  t5Decode,
  type T5DecodeInputs,
  type T5DecodeOutputs,
  type T5DecodeParams,
  t5DecodeParams,
  t5DecodeSpecs,
  t5Encode,
  type T5EncodeInputs,
  type T5EncodeParams,
  t5EncodeParams,
  t5EncodeSpecs,
  t5Pass,
  type T5PassInputs,
  type T5PassOutputs,
  t5PassSpecs,
} from './t5-functions.ts';
import type { T5Caches, T5DecodingRows, T5Forward, T5ForwardOptions, T5Runner } from './t5-runner.ts';
import { assertTokenIds } from './token-table.ts';

type EncodeFunction = EngineFunction<T5EncodeParams, T5EncodeInputs, ReturnType<typeof t5Encode>>;
type DecodeFunction = EngineFunction<T5DecodeParams, T5DecodeInputs, T5DecodeOutputs>;
type PassFunction = EngineFunction<T5Params, T5PassInputs, T5PassOutputs>;

/** T5 as whole functions in an engine, which keeps the weights. */
export class T5EngineRunner extends EngineWeights implements T5Runner {
  readonly #engine: Engine;
  readonly #config: T5Config;
  readonly #encode: EncodeFunction;
  readonly #decode: DecodeFunction;
  readonly #pass: PassFunction;

  constructor(params: Described<T5Params>, config: T5Config, engine: Engine) {
    const encode = engineFunction(engine, (tree: T5EncodeParams, inputs: T5EncodeInputs) => t5Encode(tree, config, inputs), {
      name: 'language model, encoder',
      functionName: 't5Encode',
      config,
      params: t5EncodeParams(params),
      inputs: t5EncodeSpecs(config),
    });
    const decode = engineFunction(engine, (tree: T5DecodeParams, inputs: T5DecodeInputs) => t5Decode(tree, config, inputs), {
      name: 'language model, decoder',
      functionName: 't5Decode',
      config: { ...config, headIsTied: params.headIsTied },
      params: t5DecodeParams(params),
      inputs: t5DecodeSpecs(config),
    });
    const pass = engineFunction(engine, (tree: T5Params, inputs: T5PassInputs) => t5Pass(tree, config, inputs), {
      name: 'language model, whole sequences',
      functionName: 't5Pass',
      config: { ...config, headIsTied: params.headIsTied },
      params,
      inputs: t5PassSpecs(config),
    });
    super([encode, decode], [pass]);
    this.#engine = engine;
    this.#config = config;
    this.#encode = encode;
    this.#decode = decode;
    this.#pass = pass;
  }

  get tensors(): never {
    throw gradientsNeedTensors('The T5 language model', this.#engine);
  }

  openCaches(): T5Caches {
    return new T5EngineCaches(this.#engine, this.#encode, this.#decode, this.#config);
  }

  forward(
    layout: PromptLayout,
    visualPrompt: Tensor3D | undefined,
    decoderIds: readonly (readonly number[])[],
    options: T5ForwardOptions,
  ): Promise<T5Forward> {
    const config = this.#config;
    const [batch, tokens] = [decoderIds.length, decoderIds[0]!.length];
    const decoderMask = options.decoderMask ?? allReal(batch, tokens);
    return withTensorScope(async (scope) => {
      const encoder = encodeInputs(scope, layout, visualPrompt, config);
      const decoder = decodeInputs(decoderIds, decoderMask, layout.mask, config);
      const { encoderStates, decoderStates, ...outputs } = await this.#pass.run({ encoder, decoder }, options);
      if (options.hiddenStates) return outputsToTensors<T5PassOutputs>({ ...outputs, encoderStates, decoderStates });
      disposeOutputs([encoderStates, decoderStates]);
      return outputsToTensors<T5Forward>(outputs);
    });
  }
}

/** Caches in the engine: what the encoder said of the prompts, which beams share, and what each row has said. */
class T5EngineCaches implements T5Caches {
  readonly #encode: EncodeFunction;
  readonly #decode: DecodeFunction;
  readonly #config: T5Config;
  readonly #crossCache: PromptCache;
  readonly #selfCache: EngineCache;
  /** Of each prompt, `[prompts][positions]`. */
  #encoderMask: readonly (readonly number[])[] = [];

  constructor(engine: Engine, encode: EncodeFunction, decode: DecodeFunction, config: T5Config) {
    this.#encode = encode;
    this.#decode = decode;
    this.#config = config;
    this.#crossCache = new PromptCache(engine);
    this.#selfCache = new EngineCache(engine);
  }

  async encode(layout: PromptLayout, visualPrompt: Tensor3D | undefined, options: PassOptions): Promise<void> {
    const { cross } = await withTensorScope((scope) =>
      this.#encode.run(encodeInputs(scope, layout, visualPrompt, this.#config), options),
    );
    this.#crossCache.replace(cross, layout.mask.length);
    this.#encoderMask = layout.mask;
  }

  async advance(tokenIds: readonly number[], { keys, promptOf }: T5DecodingRows, options: PassOptions): Promise<Tensor2D> {
    const { decoderLayers, heads, headWidth } = this.#config;
    const rows = tokenIds.length;
    const inputs = decodeInputs(
      tokenIds.map((id) => [id]),
      allReal(rows, keys),
      sharedPrompts(promptOf).map((prompt) => this.#encoderMask[prompt]!),
      this.#config,
    );
    const logits = await this.#crossCache.use(promptOf, (cross) =>
      this.#selfCache.use(async (own) => {
        const past = own.length > 0 ? own : emptyKeysAndValues(decoderLayers, [rows, heads, headWidth]);
        const next = await this.#decode.run({ ...inputs, cross, past }, options);
        this.#selfCache.replace(next.cache);
        return next.logits;
      }),
    );
    return outputsToTensors<Tensor2D>(logits); // [rows, vocab]
  }

  reorder(rows: readonly number[]): void {
    this.#selfCache.reorder(rows);
  }

  dispose(): void {
    this.#crossCache.dispose();
    this.#selfCache.dispose();
  }
}

/** What the functions take for a prompt. @param scope - Owns the tensors among it. @throws {InputError} for an unknown id. */
function encodeInputs(
  scope: TensorScope,
  layout: PromptLayout,
  visualPrompt: Tensor3D | undefined,
  config: T5Config,
): EngineInputs<T5EncodeInputs> {
  assertTokenIds(layout.ids, config.vocabSize);
  return {
    ...embeddingInputs(scope, layout, visualPrompt, config.width),
    buckets: t5EncoderBuckets(config, layout.ids[0]!.length),
    bias: paddingMask(layout.mask),
  };
}

/**
 * What the functions take for positions of the decoder, but for keys and values.
 *
 * @param mask - Of all positions so far, the new ones last, `[batch][past + tokens]`.
 * @throws {InputError} for an unknown id.
 */
function decodeInputs(
  ids: readonly (readonly number[])[],
  mask: readonly (readonly number[])[],
  encoderMask: readonly (readonly number[])[],
  config: T5Config,
): EngineInputs<T5PassInputs['decoder']> {
  const tokens = ids[0]!.length;
  assertTokenIds(ids, config.vocabSize);
  return {
    ids: hostRows(ids),
    buckets: t5DecoderBuckets(config, tokens, mask[0]!.length),
    bias: causalMask(mask, tokens),
    crossBias: paddingMask(encoderMask),
  };
}
