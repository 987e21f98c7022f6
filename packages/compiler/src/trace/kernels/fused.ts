import type { TensorInfo } from '@tensorflow/tfjs-core';
import { kernel, reshape, scalar, type TraceKernels, transpose } from './kernel.ts';

interface CrossEntropyAttributes {
  readonly ignoreIndex?: number;
  readonly labelSmoothing?: number;
}

/** −log softmax(logits) at the label of each row; what the smoothing spreads goes to the mean over the classes. */
const crossEntropy = kernel<CrossEntropyAttributes>((call) => {
  const { backend, builder } = call;
  const { logits, labels } = call.inputs as { logits: TensorInfo; labels: TensorInfo };
  const { ignoreIndex, labelSmoothing = 0 } = call.attributes;
  const rows = { shape: labels.shape, dtype: 'float32' } as const;
  const column = { shape: [...labels.shape, 1], dtype: 'float32' } as const;
  const logarithms = backend.emit('LogSoftmax', [logits], logits, { attributes: { axis: -1 } });
  // An ignored label is no index; its row is taken out below.
  const index = reshape(call, backend.emit('Max', [labels, scalar(call, 0, 'int32')], labels), column.shape);
  const atLabel = backend.emit('GatherElements', [logarithms, index], column, { attributes: { axis: -1 } });
  const smoothed = (): string => {
    const mean = builder.operation('ReduceMean', [backend.nameOf(logarithms), builder.sizes([-1])], {
      attributes: { keepdims: 1 },
    });
    const kept = builder.operation('Mul', [backend.nameOf(atLabel), builder.float(1 - labelSmoothing)]);
    return builder.operation('Add', [kept, builder.operation('Mul', [mean, builder.float(labelSmoothing)])]);
  };
  const wanted = labelSmoothing === 0 ? backend.nameOf(atLabel) : smoothed();
  const losses = reshape(call, backend.emit('Neg', [wanted], column), rows.shape);
  if (ignoreIndex === undefined) return losses;
  const ignored = builder.operation('Equal', [backend.nameOf(labels), scalar(call, ignoreIndex, 'int32')]);
  return backend.emit('Where', [ignored, builder.float(0), losses], rows);
});

/**
 * The fused operations of `@blip2/core`, by the kernel names they are called with. Each is one ONNX operator where there is
 * one. A model that uses them needs no import of this package, nor this package of the model's.
 */
export const FUSED_KERNELS: TraceKernels = {
  // ONNX Runtime's own MultiHeadAttention wants the queries with their heads side by side. With the transpositions for that it is not
  // faster: 3.2 ms against 4.0 ms for 16 heads of 257×88, but 38 ms against 30 ms for a batch of 8, 0.78 ms against 0.67 ms for
  // 5 beams, 32 heads, one query and 200 keys (1.30, 2 cores of x86-64, best of 25).
  FusedAttention: kernel<{ scale: number }>((call) => {
    const { backend, builder } = call;
    const { query, key, value, bias } = call.inputs as Record<string, TensorInfo | undefined>;
    const scaled = builder.operation('Mul', [backend.nameOf(query!), builder.float(call.attributes.scale)]);
    const scores = builder.operation('MatMul', [scaled, backend.nameOf(transpose(call, key!, [0, 1, 3, 2]))]); // [batch, heads, queries, keys]
    const biased = bias ? builder.operation('Add', [scores, backend.nameOf(bias)]) : scores;
    const probabilities = builder.operation('Softmax', [biased], { attributes: { axis: -1 } });
    return backend.emit('MatMul', [probabilities, value!], query!, { product: { inner: value!.shape[2]!, ranks: [4, 4] } });
  }),
  FusedGelu: kernel<{ approximate: 'none' | 'tanh' }>(({ inputs, attributes, backend }) => {
    const x = inputs['x']!;
    return backend.emit('Gelu', [x], x, { attributes: { approximate: attributes.approximate } });
  }),
  FusedLayerNorm: kernel<{ epsilon: number }>(({ inputs, attributes, backend }) => {
    const { x, weight, bias } = inputs as { x: TensorInfo; weight: TensorInfo; bias: TensorInfo };
    const settings = { attributes: { axis: -1, epsilon: { float: attributes.epsilon } } };
    return backend.emit('LayerNormalization', [x, weight, bias], x, settings);
  }),
  // A product with the weight as it is stored: what the pass that places weights looks for.
  FusedLinear: kernel(({ inputs, backend }) => {
    const { x, weight, bias } = inputs as { x: TensorInfo; weight: TensorInfo; bias?: TensorInfo };
    const operands = bias ? [x, weight, bias] : [x, weight];
    const shape = [x.shape[0]!, weight.shape[0]!];
    return backend.emit('Gemm', operands, { shape, dtype: 'float32' }, { attributes: { transB: 1 } });
  }),
  FusedQuickGelu: kernel<{ alpha: number }>(({ inputs, attributes, backend }) => {
    const x = inputs['x']!;
    const settings = { domain: 'com.microsoft', attributes: { alpha: { float: attributes.alpha } } };
    return backend.emit('QuickGelu', [x], x, settings);
  }),
  // ONNX has this norm from version 23 on; ONNX Runtime finds it in these operators and computes it as one.
  FusedRmsNorm: kernel<{ epsilon: number }>(({ inputs, attributes, backend, builder }) => {
    const { x, weight } = inputs as { x: TensorInfo; weight: TensorInfo };
    const squares = builder.operation('Pow', [backend.nameOf(x), builder.float(2)]);
    const mean = builder.operation('ReduceMean', [squares, builder.sizes([-1])], { attributes: { keepdims: 1 } }); // [..., 1]
    const root = builder.operation('Sqrt', [builder.operation('Add', [mean, builder.float(attributes.epsilon)])]);
    return backend.emit('Mul', [builder.operation('Div', [backend.nameOf(x), root]), weight], x);
  }),
  FusedSoftmaxCrossEntropy: crossEntropy,
};
