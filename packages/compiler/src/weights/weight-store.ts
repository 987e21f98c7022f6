import type { RunOptions, Weight } from '@blip2/core';
import type { OnnxInitializer, OnnxType } from '../onnx/graph.ts';

/**
 * The forms in which a graph may want a weight:
 * - `stored`: as it lies in its file, in 16 bits perhaps;
 * - `values`: as 32-bit numbers, row-major;
 * - `blocks`: quantised row by row in blocks, for `MatMulNBits`: two parts, `codes` and `scales`;
 * - `columns`: quantised with one scale a column, transposed, for `DynamicQuantizeMatMul`: two parts, `codes` `[in, out]` and `scales` `[out]`.
 */
export type WeightForm =
  | { readonly kind: 'stored' }
  | { readonly kind: 'values' }
  | { readonly kind: 'blocks'; readonly bits: 8 | 4; readonly blockSize: number }
  | { readonly kind: 'columns' };

/** A wish for one weight. */
export interface WeightRequest {
  /** Names of the initializers: one, or those of codes and scales. */
  readonly names: readonly string[];
  readonly weight: Weight;
  readonly form: WeightForm;
}

/** The parts of a weight in a form. */
export interface WeightPart {
  readonly type: OnnxType;
  readonly shape: readonly number[];
}

/**
 * Where graphs find their weights. In Node these are files that ONNX Runtime maps: the checkpoint's own, or a cache of converted
 * ones; in browsers, memory.
 */
export interface WeightStore {
  /**
   * Makes weights available in the wished forms, converting each at most once, ever.
   * @returns the initializers of all requests, in order.
   */
  place(requests: readonly WeightRequest[], options?: RunOptions): Promise<OnnxInitializer[]>;
}

/** Types and shapes of a weight's parts in a form. @param type - Of the stored values. */
export function partsOf({ shape }: Pick<Weight, 'shape'>, form: WeightForm, type: OnnxType): WeightPart[] {
  const [rows = 1, columns = 1] = shape;
  switch (form.kind) {
    case 'stored':
      return [{ type, shape }];
    case 'values':
      return [{ type: type === 'int32' ? 'int32' : 'float32', shape }];
    case 'blocks': {
      const blocks = Math.ceil(columns / form.blockSize);
      return [
        { type: 'uint8', shape: [rows, blocks, (form.blockSize * form.bits) / 8] },
        { type: 'float32', shape: [rows, blocks] },
      ];
    }
    case 'columns':
      return [
        { type: 'int8', shape: [columns, rows] },
        { type: 'float32', shape: [rows] },
      ];
  }
}
