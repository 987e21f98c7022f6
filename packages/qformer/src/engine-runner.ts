import {
  type Described,
  disposeOutputs,
  type Engine,
  EngineFunction,
  type EngineInputs,
  type EngineOutputs,
  type EngineTensor,
  graphIdentity,
  type PreparableFunction,
  prepareFunctions,
  type RunOptions,
  type TokenBatch,
} from '@blip2/core';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import {
  captionStartGraph,
  captionStepGraph,
  type CaptionStepOutputs,
  type CaptionStepTensors,
  type Graph,
  matchingGraph,
  passGraph,
  type PassKind,
  type PassTensors,
  projectionGraph,
} from './graphs.ts';
import type { KeyValues, QFormerParams } from './qformer.ts';
import type { QFormerConfig } from './qformer-config.ts';
import {
  type CaptionCache,
  PART,
  type PassInputs,
  type PassOutputs,
  type ProjectionName,
  type QFormerRunner,
  type WantedOutputs,
} from './qformer-runner.ts';
import { textNumbers } from './text-input.ts';

/** Raise it when a graph of this package computes something else, or by other operations: engines keep what they prepared. */
const GRAPH_VERSION = 2;

/**
 * Runs the layers on an {@link Engine}, every task as one function. What every user of a checkpoint needs is prepared at
 * load: the queries' pass, and the projection to a prompt or matching where the checkpoint has them. The others are prepared
 * when they are first used. The engine keeps one copy of the weights for all.
 */
export class EngineRunner implements QFormerRunner {
  readonly #described: Described<QFormerParams>;
  readonly #config: QFormerConfig;
  readonly #engine: Engine;
  /** By the name of their graphs. */
  readonly #functions: Map<string, PreparableFunction> = new Map();

  constructor(described: Described<QFormerParams>, config: QFormerConfig, engine: Engine) {
    this.#described = described;
    this.#config = config;
    this.#engine = engine;
  }

  load(options: RunOptions): Promise<void> {
    const { promptWidth, hasMatchingHead } = this.#config;
    const functions: PreparableFunction[] = [this.#function(passGraph(this.#described, this.#config, { reads: 'image' }))];
    if (promptWidth !== undefined) {
      functions.push(this.#function(projectionGraph(this.#described, this.#config, 'promptProjection')));
    }
    if (hasMatchingHead) functions.push(this.#function(matchingGraph(this.#described, this.#config, {})));
    return prepareFunctions(functions, PART, options);
  }

  runPass(inputs: PassInputs, wanted: WantedOutputs, options: RunOptions): Promise<PassOutputs> {
    const graph = passGraph(this.#described, this.#config, { ...kindOf(inputs), ...wanted });
    return this.#function(graph).runToTensors(tensorsOf(inputs), options);
  }

  match(imageFeatures: Tensor3D, text: TokenBatch, options: RunOptions): Promise<Tensor2D> {
    const inputs = { imageFeatures, text };
    const graph = matchingGraph(this.#described, this.#config, kindOf(inputs));
    return this.#function(graph).runToTensors(tensorsOf(inputs), options); // [texts, 2]
  }

  project(name: ProjectionName, rows: Tensor3D, options: RunOptions): Promise<Tensor3D> {
    return this.#function(projectionGraph(this.#described, this.#config, name)).runToTensors({ rows }, options); // [batch, rows, …]
  }

  async startCaptions(imageFeatures: Tensor3D, options: RunOptions): Promise<CaptionCache> {
    const start = this.#function(captionStartGraph(this.#described, this.#config));
    const step = this.#function(captionStepGraph(this.#described, this.#config));
    const keyValues = await start.run({ image: imageFeatures }, options);
    return new EngineCaptionCache(this.#engine, step, keyValues);
  }

  dispose(): void {
    for (const one of this.#functions.values()) one.dispose();
  }

  /** The function of a graph, the same for the same name. */
  #function<Params, Inputs, Outputs>(graph: Graph<Params, Inputs, Outputs>): EngineFunction<Params, Inputs, Outputs> {
    const { name, params, inputs, compute } = graph;
    const known = this.#functions.get(name) as EngineFunction<Params, Inputs, Outputs> | undefined;
    if (known !== undefined) return known;
    const made = new EngineFunction<Params, Inputs, Outputs>(this.#engine, compute, {
      name: `${PART}, ${name}`,
      params,
      inputs,
      identity: graphIdentity({ package: '@blip2/qformer', version: GRAPH_VERSION, name, config: this.#config }),
      quantize: 'never', // it is the small, trained part
    });
    this.#functions.set(name, made);
    return made;
  }
}

class EngineCaptionCache implements CaptionCache {
  readonly #engine: Engine;
  readonly #step: EngineFunction<QFormerParams, CaptionStepTensors, CaptionStepOutputs>;
  #keyValues: EngineOutputs<readonly KeyValues[]>;
  /** Rows that `reorder` asked for and that are not gathered yet. */
  #order: readonly number[] | undefined;

  constructor(
    engine: Engine,
    step: EngineFunction<QFormerParams, CaptionStepTensors, CaptionStepOutputs>,
    keyValues: EngineOutputs<readonly KeyValues[]>,
  ) {
    this.#engine = engine;
    this.#step = step;
    this.#keyValues = keyValues;
  }

  async read(tokenIds: readonly number[], position: number, options: RunOptions): Promise<Tensor2D> {
    if (this.#order !== undefined) {
      this.#replace(await gatherAll(this.#engine, this.#keyValues, this.#order));
      this.#order = undefined;
    }
    const { logits, keyValues } = await this.#step.run(
      {
        ids: { shape: [tokenIds.length, 1], data: Int32Array.from(tokenIds) },
        positions: { shape: [1], data: Int32Array.of(position) },
        past: this.#keyValues,
      },
      options,
    );
    try {
      const tensor = await logits.toTensor<Tensor2D['rankType']>(); // [rows, vocab]
      this.#replace(keyValues);
      return tensor;
    } catch (cause) {
      disposeOutputs(keyValues);
      throw cause;
    } finally {
      logits.dispose();
    }
  }

  reorder(rows: readonly number[]): void {
    const before = this.#order;
    const order = before === undefined ? rows : rows.map((row) => before[row]!);
    this.#order = order.slice();
  }

  dispose(): void {
    disposeOutputs(this.#keyValues);
  }

  #replace(keyValues: EngineOutputs<readonly KeyValues[]>): void {
    disposeOutputs(this.#keyValues);
    this.#keyValues = keyValues;
  }
}

/** Keys and values in another order, new tensors of the engine. */
async function gatherAll(
  engine: Engine,
  keyValues: EngineOutputs<readonly KeyValues[]>,
  rows: readonly number[],
): Promise<EngineOutputs<readonly KeyValues[]>> {
  const made: EngineTensor[] = [];
  const gather = async (tensor: EngineTensor): Promise<EngineTensor> => {
    const gathered = await engine.gatherRows(tensor, rows);
    made.push(gathered);
    return gathered;
  };
  try {
    const result = [];
    for (const { keys, values } of keyValues) result.push({ keys: await gather(keys), values: await gather(values) });
    return result;
  } catch (cause) {
    disposeOutputs(made);
    throw cause;
  }
}

function kindOf({ imageFeatures, text }: PassInputs): PassKind {
  if (imageFeatures === undefined) return { reads: 'text' };
  if (text === undefined) return { reads: 'image' };
  return { reads: 'image and text', oneImage: imageFeatures.shape[0] === 1 && text.ids.length > 1 };
}

function tensorsOf({ imageFeatures, text }: PassInputs): EngineInputs<PassTensors> {
  return { ...(imageFeatures && { image: imageFeatures }), ...(text && { text: textNumbers(text) }) };
}
