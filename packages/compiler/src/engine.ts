import type { Engine, EngineTensor, PreparedFunction, PrepareOptions } from '@blip2/core';
import { compileFor, type Target } from './compile.ts';
import type { CompiledDtype } from './quantize/policy.ts';
import type { QuantizationReport } from './quantize/report.ts';

/** Options of an engine. */
export interface OnnxEngineOptions {
  /** Numbers of frozen weights; trained ones stay in float32. @default 'fp32' */
  readonly dtype?: CompiledDtype;
  /** Is told how the products of each function that is prepared are quantised, and with what error; nothing for functions in float32. */
  readonly onReport?: (report: QuantizationReport) => void;
}

/**
 * An engine for stages that runs whole functions on ONNX Runtime.
 *
 * @param target - Stays the caller's, and alive as long as anything that the engine prepared.
 */
export function engineFor(target: Target, { dtype = 'fp32', onReport }: OnnxEngineOptions = {}): Engine {
  return {
    name: `${target.runtime.name}, ${dtype}`,
    async prepare<Params, Inputs, Outputs>(
      compute: (params: Params, inputs: Inputs) => Outputs,
      { params, quantize = 'never', ...options }: PrepareOptions<Params, Inputs>,
    ): Promise<PreparedFunction<Inputs, Outputs>> {
      const swapped = (inputs: Inputs, weights: Params): Outputs => compute(weights, inputs);
      const compiled = await compileFor(target, swapped, { ...options, weights: params, dtype, quantize });
      if (compiled.report !== undefined) onReport?.(compiled.report);
      return compiled;
    },
    gatherRows: (tensor: EngineTensor, rows: readonly number[]) => target.runtime.gatherRows(tensor, rows),
  };
}
