import { type HubOptions, openCheckpoint } from '@blip2/checkpoints/node';
import { type Checkpoint, type RunOptions, withTensorScope } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor3D } from '@tensorflow/tfjs-core';
import type { Blip2 } from './blip2.ts';
import { loadBlip2 } from './load-blip2.ts';

/** Options of {@link exportOnnx}. */
export interface ExportOnnxOptions extends HubOptions, RunOptions {
  /** Number format of the frozen weights. @default 'fp32' */
  readonly dtype?: 'fp32' | 'int8' | 'int4';
}

/** One of the models that were written. */
export interface OnnxModelFile {
  readonly name: string;
  /** Within the folder. */
  readonly file: string;
}

/**
 * Writes a BLIP-2 model as ONNX models, one for each function of each stage: the vision encoder, the Q-Former's passes and heads, the
 * language model's steps. `models.json` lists their inputs and outputs; weights lie together in `weights.bin`. Any ONNX Runtime reads them.
 *
 * @param source - A folder, a Hub id, or a `Checkpoint`, which is disposed.
 * @param folder - Must not exist. On error or abort nothing stays there.
 * @throws {InputError} when the folder exists. @throws {UnsupportedBackendError} when ONNX Runtime is not installed.
 *
 * @example
 * await exportOnnx('Salesforce/blip2-itm-vit-g', 'onnx', { dtype: 'int8' });
 */
export async function exportOnnx(
  source: string | Checkpoint,
  folder: string,
  options: ExportOnnxOptions = {},
): Promise<readonly OnnxModelFile[]> {
  const { nodeTarget, OnnxExporter } = await import('@blip2/compiler/node');
  const exporter = await OnnxExporter.create(folder, await nodeTarget(), options.dtype);
  try {
    const checkpoint = typeof source === 'string' ? await openCheckpoint(source, options) : source;
    const model = await loadBlip2(checkpoint, { ...options, dtype: undefined, engine: exporter.engine });
    try {
      await useOnce(model, options);
    } finally {
      model.dispose();
    }
    options.abortSignal?.throwIfAborted();
    return await exporter.finish();
  } finally {
    await exporter.dispose();
  }
}

/** Calls what stages prepare only when it is first needed. */
async function useOnce({ qformer }: Blip2, options: RunOptions): Promise<void> {
  const { contrastiveWidth, imageFeatureWidth, readsText, width } = qformer.config;
  await withTensorScope(async (scope) => {
    const image = scope.own(tf.zeros([1, 1, imageFeatureWidth]) as Tensor3D);
    const rows = scope.own(tf.zeros([1, 1, width]) as Tensor3D);
    const text = { ids: [[0]], mask: [[1]] };
    if (readsText) scope.own(await qformer.encodeText(text, options));
    if (contrastiveWidth !== undefined) {
      scope.own(await qformer.projectImage(rows, options));
      scope.own(await qformer.projectText(rows, options));
    }
    if (qformer.startCaptioning !== undefined) {
      const session = await qformer.startCaptioning(image, options);
      try {
        scope.own(await session.start(options));
      } finally {
        session.dispose();
      }
    }
  });
}
