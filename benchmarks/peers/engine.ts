import { onnxEngine } from '@blip2/compiler/node';
import { type Engine, InputError } from '@blip2/core';
import type { Dtype, Task } from './protocol.ts';

/** How our side computes: functions compiled to ONNX Runtime, or tfjs operations as they come. */
export type OurEngine = 'compiled' | 'eager';

/** The one place where the compiled engine is made. */
export async function createEngine(kind: OurEngine, task: Task): Promise<Engine | undefined> {
  if (kind === 'eager') {
    if (task.dtype === 'fp32') return undefined;
    throw new InputError(
      `The eager engine: got ${task.dtype}, expected fp32, the only format it computes in. Take the compiled one.`,
    );
  }
  return onnxEngine({ ...compilerSettings(task), dtype: compiledDtype(task.dtype) });
}

/** What compiled functions of both kinds, of stages and of training, are told. */
export function compilerSettings({ threads, cacheFolder }: Task): { readonly threads: number; readonly cache: string } {
  return { threads, cache: cacheFolder };
}

function compiledDtype(dtype: Dtype): 'fp32' | 'int8' | 'int4' {
  if (dtype !== 'bf16') return dtype;
  throw new InputError(`The compiled engine: got bf16, expected fp32, int8 or int4. Leave bf16 to PyTorch.`);
}
