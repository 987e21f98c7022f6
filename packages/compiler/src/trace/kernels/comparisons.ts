import type { TensorInfo } from '@tensorflow/tfjs-core';
import { broadcastShape, cast, elementwise, kernel, reshape, type TraceKernel, type TraceKernels } from './kernel.ts';

/** An ONNX operator that compares two tensors. */
function comparison(name: string): TraceKernel {
  return elementwise(['a', 'b'], (operands, { builder }) => builder.operation(name, operands), { whole: true, gives: 'bool' });
}

/** An ONNX operator of truth values. */
function logical(name: string): TraceKernel {
  return kernel(({ inputs, backend }) => {
    const { a, b } = inputs as { a: TensorInfo; b: TensorInfo };
    return backend.emit(name, [a, b], { shape: broadcastShape(a.shape, b.shape), dtype: 'bool' });
  });
}

/** A question about fractions, asked of any number. */
function question(build: (x: string, ask: (operator: string, ...operands: string[]) => string) => string): TraceKernel {
  return elementwise(['x'], ([x], { builder }) => build(x!, (operator, ...operands) => builder.operation(operator, operands)), {
    gives: 'bool',
  });
}

/** Kernels that compare, combine truth values and select by them. */
export const COMPARISON_KERNELS: TraceKernels = {
  Equal: comparison('Equal'),
  NotEqual: elementwise(['a', 'b'], (operands, { builder }) => builder.operation('Not', [builder.operation('Equal', operands)]), {
    whole: true,
    gives: 'bool',
  }),
  Greater: comparison('Greater'),
  GreaterEqual: comparison('GreaterOrEqual'),
  Less: comparison('Less'),
  LessEqual: comparison('LessOrEqual'),
  LogicalAnd: logical('And'),
  LogicalOr: logical('Or'),
  LogicalNot: kernel(({ inputs, backend }) => backend.emit('Not', [inputs['x']!], inputs['x']!)),
  IsNan: question((x, ask) => ask('IsNaN', x)),
  IsInf: question((x, ask) => ask('IsInf', x)),
  IsFinite: question((x, ask) => ask('Not', ask('Or', ask('IsNaN', x), ask('IsInf', x)))),
  Select: kernel((call) => {
    const { condition, t, e } = call.inputs as { condition: TensorInfo; t: TensorInfo; e: TensorInfo };
    // A condition of one axis chooses whole rows.
    const rows = condition.shape.length === 1 && t.shape.length > 1;
    const asked = rows ? reshape(call, condition, [condition.shape[0]!, ...t.shape.slice(1).map(() => 1)]) : condition;
    // ONNX Runtime selects no truth values.
    const [chosen, other] = [t, e].map((branch) => (branch.dtype === 'bool' ? cast(call, branch, 'int32') : branch));
    const result = { shape: broadcastShape(asked.shape, t.shape, e.shape), dtype: chosen!.dtype };
    return cast(call, call.backend.emit('Where', [cast(call, asked, 'bool'), chosen!, other!], result), t.dtype);
  }),
};
