import { InferenceSession, Tensor } from 'onnxruntime-node';
import { expect, it } from 'vitest';
import { dequantizeBlocks, quantizeBlocks } from './quantize-blocks.ts';
import { dequantizeColumns, quantizeColumns } from './quantize-columns.ts';

/**
 * Models of one node each, in ONNX's binary form: `y = x · Wᵀ` for W `[24, 72]`, with x, codes and scales as inputs. Written with
 * Python's `onnx.helper`: `make_node('MatMulNBits', ['x', 'codes', 'scales'], ['y'], domain='com.microsoft', K=72, N=24, bits=8,
 * block_size=32, accuracy_level=0)`, and `make_node('DynamicQuantizeMatMul', ['x', 'codes', 'scales'], ['y'], domain='com.microsoft')`.
 */
const MODELS = {
  8: 'CAo65AEKfAoBeAoFY29kZXMKBnNjYWxlcxIBeSILTWF0TXVsTkJpdHMqCAoBSxhIoAECKggKAU4YGKABAioVCg5hY2N1cmFjeV9sZXZlbBgAoAECKgsKBGJpdHMYCKABAioRCgpibG9ja19zaXplGCCgAQI6DWNvbS5taWNyb3NvZnQSAWdaFAoBeBIPCg0IARIJCgMSAW0KAghIWhsKBWNvZGVzEhIKEAgCEgwKAggYCgIIAwoCCCBaGAoGc2NhbGVzEg4KDAgBEggKAggYCgIIA2IUCgF5Eg8KDQgBEgkKAxIBbQoCCBhCBAoAEBVCEQoNY29tLm1pY3Jvc29mdBAB',
  4: 'CAo65AEKfAoBeAoFY29kZXMKBnNjYWxlcxIBeSILTWF0TXVsTkJpdHMqCAoBSxhIoAECKggKAU4YGKABAioVCg5hY2N1cmFjeV9sZXZlbBgAoAECKgsKBGJpdHMYBKABAioRCgpibG9ja19zaXplGCCgAQI6DWNvbS5taWNyb3NvZnQSAWdaFAoBeBIPCg0IARIJCgMSAW0KAghIWhsKBWNvZGVzEhIKEAgCEgwKAggYCgIIAwoCCBBaGAoGc2NhbGVzEg4KDAgBEggKAggYCgIIA2IUCgF5Eg8KDQgBEgkKAxIBbQoCCBhCBAoAEBVCEQoNY29tLm1pY3Jvc29mdBAB',
  columns:
    'CAo6mwEKOwoBeAoFY29kZXMKBnNjYWxlcxIBeSIVRHluYW1pY1F1YW50aXplTWF0TXVsOg1jb20ubWljcm9zb2Z0EgFnWhQKAXgSDwoNCAESCQoDEgFtCgIISFoXCgVjb2RlcxIOCgwIAxIICgIISAoCCBhaFAoGc2NhbGVzEgoKCAgBEgQKAggYYhQKAXkSDwoNCAESCQoDEgFtCgIIGEIECgAQFUIRCg1jb20ubWljcm9zb2Z0EAE=',
} as const;

const [rows, columns, inputs] = [24, 72, 5];

/** Numbers that look random and are the same everywhere. */
function spread(length: number, seed: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length }, (_, index) => Math.sin((index + 1) * 12.9898 + seed) ** 3);
}

const weight = spread(rows * columns, 1);
const x = spread(inputs * columns, 2);

async function run(model: keyof typeof MODELS, codes: Tensor, scales: Tensor): Promise<Float32Array> {
  const session = await InferenceSession.create(Buffer.from(MODELS[model], 'base64'), { logSeverityLevel: 3 });
  try {
    const { y } = await session.run({ x: new Tensor('float32', x, [inputs, columns]), codes, scales });
    return y!.data as Float32Array;
  } finally {
    await session.release();
  }
}

/** x · Wᵀ, `[inputs, rows]`. */
function product(values: Float32Array): number[] {
  return Array.from({ length: inputs * rows }, (_, index) => {
    const [i, row] = [Math.floor(index / rows), index % rows];
    let sum = 0;
    for (let column = 0; column < columns; column++) sum += x[i * columns + column]! * values[row * columns + column]!;
    return sum;
  });
}

it.each([8, 4] as const)('ONNX Runtime multiplies with blocks of %i bits as they are here, the last one padded', async (bits) => {
  const quantized = quantizeBlocks(weight, { rows, columns, bits, blockSize: 32 });
  expect(Math.min(...quantized.scales)).toBeLessThan(bits === 4 ? 0 : 1); // negative scales are among them
  const y = await run(
    bits,
    new Tensor('uint8', quantized.codes, [rows, 3, 4 * bits]),
    new Tensor('float32', quantized.scales, [rows, 3]),
  );
  expect(y).toBeAllclose(product(dequantizeBlocks(quantized, new Float32Array(rows * columns))), 1e-5);
});

it('ONNX Runtime multiplies with columns of 8 bits as they are here', async () => {
  const quantized = quantizeColumns(weight, { rows, columns });
  const y = await run(
    'columns',
    new Tensor('int8', quantized.codes, [columns, rows]),
    new Tensor('float32', quantized.scales, [rows]),
  );
  // The activations are rounded to 8 bits on the way: an error of up to half of their range / 255 in each of 72 products.
  expect(y).toBeAllclose(product(dequantizeColumns(quantized)), 0.03);
});
