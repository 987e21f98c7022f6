import { Blip2Error, DisposedError, InputError, type RunOptions } from '@blip2/core';
import type { Tensor } from '@tensorflow/tfjs-core';
import type { OnnxType, OnnxValue } from '../onnx/graph.ts';
import type { OrtData, OrtModule, OrtSession, OrtTensor, OrtValueMetadata } from './ort-api.ts';
import { runFailure } from './ort-failures.ts';
import { dtypeOf, OrtRuntimeTensor, type TensorStorage } from './ort-tensor.ts';
import { checkInputs, isHost, planOutputs, type PlannedOutput } from './run-checks.ts';
import type { OutputRequest, RuntimeSession, RuntimeTensor, RuntimeValue } from './runtime.ts';

/** What goes wrong is thrown; without this it is printed as well. */
const SILENT = { logSeverityLevel: 4 } as const;

/** What a session shares with the others of its runtime. */
export interface SessionContext {
  readonly ort: OrtModule;
  readonly storage: TensorStorage;
  /**
   * Makes a tensor for an output, or `undefined` for one that ONNX Runtime shall make. Absent where it makes all of them.
   * @throws {ResourceError} when there is no memory for it.
   */
  readonly allocate?: (dtype: 'float32' | 'int32' | 'bool', shape: readonly number[]) => OrtTensor | undefined;
  /** Whether an output may lie where an input of the same run does. @default true */
  readonly writesInPlace?: boolean;
  /** Takes over a result that ONNX Runtime made. @default the result itself */
  readonly adopt?: (result: OrtTensor) => OrtTensor;
  /** Does work of ONNX Runtime that must not overlap with other such work. @default at once */
  readonly exclusive?: <Result>(work: () => Promise<Result>) => Promise<Result>;
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
      await this.#exclusive(() => this.#session.release());
      this.#context.onRelease();
    });
    return this.#released;
  }

  borrow(tensor: Tensor): RuntimeTensor | undefined {
    const { storage } = this.#context;
    const value = storage.borrow?.(tensor);
    return value && new OrtRuntimeTensor(value, storage);
  }

  #exclusive<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.#context.exclusive === undefined ? work() : this.#context.exclusive(work);
  }

  async #runNow(
    inputs: readonly RuntimeValue[],
    planned: readonly PlannedOutput[],
    abortSignal: AbortSignal | undefined,
  ): Promise<RuntimeTensor[]> {
    abortSignal?.throwIfAborted();
    const values = await Promise.all(inputs.map((one) => this.#toOrt(one)));
    const feeds = Object.fromEntries(this.inputs.map(({ name }, index) => [name, values[index]!]));
    const results = await this.#compute(feeds, planned);
    const tensors = planned.map(({ into }, index) => {
      into?.replace(results[index]!);
      return into ?? new OrtRuntimeTensor(results[index]!, this.#context.storage);
    });
    if (abortSignal?.aborted) {
      for (const tensor of tensors) if (!planned.some(({ into }) => into === tensor)) tensor.dispose();
      throw abortSignal.reason;
    }
    return tensors;
  }

  /** One result for each of `planned`, in memory that was made for it where that is possible. */
  async #compute(feeds: Readonly<Record<string, OrtTensor>>, planned: readonly PlannedOutput[]): Promise<OrtTensor[]> {
    // Without any fetch ONNX Runtime would compute all outputs.
    if (planned.length === 0) return [];
    const { allocate, writesInPlace = true, adopt = (made) => made, storage } = this.#context;
    const made: OrtTensor[] = [];
    try {
      const targets = planned.map(({ value, shape, into }) => {
        if (allocate === undefined || shape === undefined) return undefined;
        if (into !== undefined && writesInPlace) return into.held;
        const target = allocate(value.type as RuntimeTensor['dtype'], shape);
        if (target !== undefined) made.push(target);
        return target;
      });
      const fetches = Object.fromEntries(planned.map(({ value }, index) => [value.name, targets[index] ?? null]));
      return await this.#exclusive(async () => {
        const results = await this.#session.run(feeds, fetches, SILENT);
        return planned.map(({ value }, index) => targets[index] ?? adopt(results[value.name]!));
      });
    } catch (cause) {
      for (const target of made) storage.recycle(target);
      throw Blip2Error.isInstance(cause) ? cause : runFailure(this.name, cause);
    }
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
