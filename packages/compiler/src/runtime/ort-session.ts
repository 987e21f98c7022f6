import { DisposedError, InputError, type RunOptions } from '@blip2/core';
import type { OnnxType, OnnxValue } from '../onnx/graph.ts';
import type { OrtData, OrtModule, OrtSession, OrtTensor, OrtValueMetadata } from './ort-api.ts';
import { runFailure } from './ort-failures.ts';
import { dtypeOf, OrtRuntimeTensor, type TensorStorage } from './ort-tensor.ts';
import { checkInputs, isHost, planOutputs, type PlannedOutput } from './run-checks.ts';
import type { OutputRequest, RuntimeSession, RuntimeTensor, RuntimeValue } from './runtime.ts';

/** What a session shares with the others of its runtime. */
export interface SessionContext {
  readonly ort: OrtModule;
  readonly storage: TensorStorage;
  /** Makes a tensor that a run writes in place. Absent where the provider makes its own outputs. */
  readonly allocate?: (dtype: 'float32' | 'int32' | 'bool', shape: readonly number[]) => OrtTensor;
  /** Called when the session is freed. */
  onRelease(): void;
}

/** A session of onnxruntime-node or onnxruntime-web behind {@link RuntimeSession}. */
export class OrtRuntimeSession implements RuntimeSession {
  readonly name: string;
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  readonly #session: OrtSession;
  readonly #context: SessionContext;
  /** Ends when every run asked for so far has ended; never rejects. */
  #queue: Promise<unknown> = Promise.resolve();
  #released: Promise<void> | undefined;

  /** @throws {InputError} when inputs or outputs are of other types than tensors of this package. */
  constructor(name: string, session: OrtSession, context: SessionContext) {
    this.name = name;
    this.inputs = session.inputMetadata.map((one) => describe(name, 'input', one));
    this.outputs = session.outputMetadata.map((one) => describe(name, 'output', one));
    this.#session = session;
    this.#context = context;
  }

  async run(
    inputs: readonly RuntimeValue[],
    outputs: readonly OutputRequest[] = this.outputs.map(({ name }) => ({ name })),
    options: Pick<RunOptions, 'abortSignal'> = {},
  ): Promise<RuntimeTensor[]> {
    if (this.#released) throw new DisposedError(this.name);
    options.abortSignal?.throwIfAborted();
    const axes = checkInputs(this.name, this.inputs, inputs);
    const planned = planOutputs(this.name, this.outputs, outputs, axes);
    // From here on nobody else gets the memory of these tensors, whoever disposes them.
    const held = holdAll([...inputs, ...planned.map(({ into }) => into)]);
    const run = this.#queue.then(() => this.#runNow(inputs, planned, options.abortSignal));
    const end = run.finally(() => {
      for (const tensor of held) tensor.release();
    });
    this.#queue = end.catch(() => undefined);
    return end;
  }

  dispose(): Promise<void> {
    this.#released ??= this.#queue.then(async () => {
      await this.#session.release();
      this.#context.onRelease();
    });
    return this.#released;
  }

  async #runNow(
    inputs: readonly RuntimeValue[],
    planned: readonly PlannedOutput[],
    abortSignal: AbortSignal | undefined,
  ): Promise<RuntimeTensor[]> {
    abortSignal?.throwIfAborted();
    const values = await Promise.all(inputs.map((one) => this.#toOrt(one)));
    const feeds = Object.fromEntries(this.inputs.map(({ name }, index) => [name, values[index]!]));
    const { allocate } = this.#context;
    const targets = planned.map(({ value, shape, into }) => {
      if (allocate === undefined || shape === undefined) return undefined;
      return into?.held ?? allocate(value.type as RuntimeTensor['dtype'], shape);
    });
    const fetches = Object.fromEntries(planned.map(({ value }, index) => [value.name, targets[index] ?? null]));
    let results: Readonly<Record<string, OrtTensor>>;
    try {
      // Without any fetch ONNX Runtime would compute all outputs.
      results = planned.length === 0 ? {} : await this.#session.run(feeds, fetches);
    } catch (cause) {
      planned.forEach(({ into }, index) => {
        const target = targets[index];
        if (into === undefined && target !== undefined) this.#context.storage.recycle(target);
      });
      throw runFailure(this.name, cause);
    }
    const tensors = planned.map(({ value, into }, index) => {
      const result = targets[index] ?? results[value.name]!;
      into?.replace(result);
      return into ?? new OrtRuntimeTensor(result, this.#context.storage);
    });
    if (abortSignal?.aborted) {
      for (const tensor of tensors) if (!planned.some(({ into }) => into === tensor)) tensor.dispose();
      throw abortSignal.reason;
    }
    return tensors;
  }

  async #toOrt(value: RuntimeValue): Promise<OrtTensor> {
    if (value instanceof OrtRuntimeTensor) return value.held;
    const data: OrtData = isHost(value) ? value.data : await value.data();
    return new this.#context.ort.Tensor(dtypeOf(data), data, value.shape);
  }
}

function holdAll(values: readonly unknown[]): OrtRuntimeTensor[] {
  const tensors = values.filter((one) => one instanceof OrtRuntimeTensor);
  const held: OrtRuntimeTensor[] = [];
  try {
    for (const tensor of tensors) {
      tensor.hold();
      held.push(tensor);
    }
  } catch (cause) {
    for (const tensor of held) tensor.release();
    throw cause;
  }
  return held;
}

function describe(where: string, kind: string, metadata: OrtValueMetadata): OnnxValue {
  const type = metadata.isTensor ? metadata.type : 'no tensor';
  if (!metadata.isTensor || !['float32', 'int32', 'bool'].includes(type)) {
    throw new InputError(
      `${where}: ${kind} '${metadata.name}' is ${type}, expected float32, int32 or bool. Put a Cast between it and the graph's ${kind}.`,
    );
  }
  return { name: metadata.name, type: metadata.type as OnnxType, shape: metadata.shape };
}
