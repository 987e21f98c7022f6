import type { TensorInfo } from '@tensorflow/tfjs-core';
import { kernel, type TraceKernels } from './kernel.ts';

/**
 * The fused operations of `@blip2/core`, by the kernel names they are called with. Each is one ONNX operator where there is
 * one. A model that uses them needs no import of this package, nor this package of the model's.
 */
export const FUSED_KERNELS: TraceKernels = {
  FusedLayerNorm: kernel<{ epsilon: number }>(({ inputs, attributes, backend }) => {
    const { x, weight, bias } = inputs as { x: TensorInfo; weight: TensorInfo; bias: TensorInfo };
    const settings = { attributes: { axis: -1, epsilon: { float: attributes.epsilon } } };
    return backend.emit('LayerNormalization', [x, weight, bias], x, settings);
  }),
  FusedRmsNorm: kernel<{ epsilon: number }>(({ inputs, attributes, backend }) => {
    const { x, weight } = inputs as { x: TensorInfo; weight: TensorInfo };
    const settings = { attributes: { axis: -1, epsilon: { float: attributes.epsilon } } };
    return backend.emit('SimplifiedLayerNormalization', [x, weight], x, settings);
  }),
  FusedGelu: kernel<{ approximate: 'none' | 'tanh' }>(({ inputs, attributes, backend }) => {
    const x = inputs['x']!;
    return backend.emit('Gelu', [x], x, { attributes: { approximate: attributes.approximate } });
  }),
  FusedQuickGelu: kernel<{ alpha: number }>(({ inputs, attributes, backend }) => {
    const x = inputs['x']!;
    const settings = { domain: 'com.microsoft', attributes: { alpha: { float: attributes.alpha } } };
    return backend.emit('QuickGelu', [x], x, settings);
  }),
  FusedLinear: kernel(({ inputs, backend }) => {
    const { x, weight, bias } = inputs as { x: TensorInfo; weight: TensorInfo; bias?: TensorInfo };
    const operands = bias ? [x, weight, bias] : [x, weight];
    const shape = [x.shape[0]!, weight.shape[0]!];
    return backend.emit('Gemm', operands, { shape, dtype: 'float32' }, { attributes: { transB: 1 } });
  }),
  FusedAttention: kernel<{ scale: number }>(({ inputs, attributes, backend, builder }) => {
    const { query, key, value, bias } = inputs as Record<string, TensorInfo> & { bias?: TensorInfo };
    const [batch, heads, queries] = query!.shape as [number, number, number];
    const scaled = builder.operation('Mul', [backend.nameOf(query!), builder.float(attributes.scale)]);
    const keys = builder.operation('Transpose', [backend.nameOf(key!)], { attributes: { perm: [0, 1, 3, 2] } });
    const scores = builder.operation('MatMul', [scaled, keys]);
    const biased = bias ? builder.operation('Add', [scores, backend.nameOf(bias)]) : scores;
    const probabilities = builder.operation('Softmax', [biased], { attributes: { axis: -1 } });
    const shape = [batch, heads, queries, value!.shape[3]!];
    return backend.emit('MatMul', [probabilities, value!], { shape, dtype: 'float32' });
  }),
};
