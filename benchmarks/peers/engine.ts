import { onnxEngine } from '@blip2/compiler/node';
import { type Engine, InputError } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Dtype, Task } from './protocol.ts';

/**
 * How our side computes: functions compiled to ONNX Runtime; tfjs operations as they come, in the forms that our layers choose for
 * the wasm backend; or the same operations in plain forms, as anybody would write them for tfjs.
 */
export type OurEngine = 'compiled' | 'eager' | 'plain';

/** The one place where the compiled engine is made. */
export async function createEngine(kind: OurEngine, task: Task): Promise<Engine | undefined> {
  if (kind !== 'compiled') {
    if (task.dtype === 'fp32') return undefined;
    throw new InputError(
      `The ${kind} engine: got ${task.dtype}, expected fp32, the only format it computes in. Take the compiled one.`,
    );
  }
  return onnxEngine({ ...compilerSettings(task), dtype: compiledDtype(task.dtype) });
}

/** Makes the backend ready that a kind of our side computes with, or traces from. */
export async function setBackend(kind: OurEngine): Promise<void> {
  if (kind !== 'plain') {
    await tf.setBackend('wasm');
    return;
  }
  // Layers know the backend by its name.
  const name = 'wasm in plain forms';
  tf.copyRegisteredKernels('wasm', name);
  tf.registerBackend(name, tf.findBackendFactory('wasm')!);
  await tf.setBackend(name);
}

/** What compiled functions of both kinds, of stages and of training, are told. */
export function compilerSettings({ threads, cacheFolder }: Task): { readonly threads: number; readonly cache: string } {
  return { threads, cache: cacheFolder };
}

function compiledDtype(dtype: Dtype): 'fp32' | 'int8' | 'int4' {
  if (dtype !== 'bf16') return dtype;
  throw new InputError(`The compiled engine: got bf16, expected fp32, int8 or int4. Leave bf16 to PyTorch.`);
}
