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
import { causalMask } from './host-tensors.ts';
import type { OptConfig } from './opt-config.ts';
import { type OptParams, optPositions } from './opt-decoder.ts';
import {
  type OptInputs,
  optPass,
  type OptPassOutputs,
  optPassSpecs,
  optStep,
  type OptStepInputs,
  type OptStepOutputs,
  optStepSpecs,
} from './opt-functions.ts';
import type { DecodingRows, OptCache, OptForward, OptForwardOptions, OptRunner } from './opt-runner.ts';
import type { InputPositions, PromptLayout } from './prompt.ts';
import { assertTokenIds } from './token-table.ts';

type StepFunction = EngineFunction<OptParams, OptStepInputs, OptStepOutputs>;

/** OPT as whole functions in an engine, which keeps the weights. */
export class OptEngineRunner extends EngineWeights implements OptRunner {
  readonly #engine: Engine;
  readonly #config: OptConfig;
  readonly #step: StepFunction;
  readonly #pass: EngineFunction<OptParams, OptInputs, OptPassOutputs>;

  constructor(params: Described<OptParams>, config: OptConfig, engine: Engine) {
    const step = engineFunction(engine, (tree: OptParams, inputs: OptStepInputs) => optStep(tree, config, inputs), {
      name: 'language model',
      functionName: 'optStep',
      config,
      params,
      inputs: optStepSpecs(config),
    });
    const pass = engineFunction(engine, (tree: OptParams, inputs: OptInputs) => optPass(tree, config, inputs), {
      name: 'language model, whole sequences',
      functionName: 'optPass',
      config,
      params,
      inputs: optPassSpecs(config),
    });
    super([step], [pass]);
    this.#engine = engine;
    this.#config = config;
    this.#step = step;
    this.#pass = pass;
  }

  get tensors(): never {
    throw gradientsNeedTensors('The OPT language model', this.#engine);
  }

  openCache(): OptCache {
    return new OptEngineCache(this.#engine, this.#step, this.#config);
  }

  forward(layout: PromptLayout, visualPrompt: Tensor3D | undefined, options: OptForwardOptions): Promise<OptForward> {
    return withTensorScope(async (scope) => {
      const inputs = optInputs(scope, layout, visualPrompt, layout.mask, this.#config);
      const { hiddenStates, ...outputs } = await this.#pass.run(inputs, options);
      if (options.hiddenStates) return outputsToTensors<OptPassOutputs>({ ...outputs, hiddenStates });
      disposeOutputs(hiddenStates);
      return outputsToTensors<OptForward>(outputs);
    });
  }
}

/** Caches in the engine: of the prompts, which beams share, and of what each row has said since. */
class OptEngineCache implements OptCache {
  readonly #step: StepFunction;
  readonly #config: OptConfig;
  readonly #promptCache: PromptCache;
  readonly #ownCache: EngineCache;

  constructor(engine: Engine, step: StepFunction, config: OptConfig) {
    this.#step = step;
    this.#config = config;
    this.#promptCache = new PromptCache(engine);
    this.#ownCache = new EngineCache(engine);
  }

  advance(
    positions: InputPositions,
    visualPrompt: Tensor3D | undefined,
    { mask, promptOf }: DecodingRows,
    options: PassOptions,
  ): Promise<Tensor2D> {
    const { layers, heads, width } = this.#config;
    const nothing = emptyKeysAndValues(layers, [mask.length, heads, width / heads]);
    return withTensorScope(async (scope) => {
      const inputs = optInputs(scope, positions, visualPrompt, mask, this.#config);
      const logits = await this.#promptCache.use(promptOf, (shared) =>
        this.#ownCache.use(async (own) => {
          const prompt = shared.length > 0 ? shared : nothing;
          const past = own.length > 0 ? own : nothing;
          const next = await this.#step.run({ ...inputs, prompt, past }, options);
          if (shared.length > 0) this.#ownCache.replace(next.cache);
          else this.#promptCache.replace(next.cache, promptOf.length);
          return next.logits;
        }),
      );
      return outputsToTensors<Tensor2D>(logits); // [rows, vocab]
    });
  }

  reorder(rows: readonly number[]): void {
    this.#ownCache.reorder(rows);
  }

  dispose(): void {
    this.#promptCache.dispose();
    this.#ownCache.dispose();
  }
}

/** What the functions take for new positions. @param scope - Owns the tensors among it. @throws {InputError} for an unknown id. */
function optInputs(
  scope: TensorScope,
  positions: InputPositions,
  visualPrompt: Tensor3D | undefined,
  mask: readonly (readonly number[])[],
  { embeddingWidth, vocabSize }: OptConfig,
): EngineInputs<OptInputs> {
  const tokens = positions.ids[0]!.length;
  assertTokenIds(positions.ids, vocabSize);
  return {
    ...embeddingInputs(scope, positions, visualPrompt, embeddingWidth),
    positions: optPositions(mask, tokens),
    bias: causalMask(mask, tokens),
  };
}
