import { encodeBfloat16, encodeFloat16, quantizeBlocks, quantizeColumns } from '@blip2/checkpoints';
import { type RunOptions, type Weight } from '@blip2/core';
import { type ScaledInputs, STORED_TYPES, type WeightForm, type WeightPart } from './weight-store.ts';

/** A part of a weight with its bytes. */
export interface ConvertedPart extends WeightPart {
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/**
 * Reads a weight and brings it into a form.
 *
 * @returns one part for numbers, codes and scales for quantised forms; the caller's.
 * @throws {InputError} for values that cannot be quantised, naming the weight.
 */
export async function convertWeight(
  weight: Weight,
  form: WeightForm,
  options: Pick<RunOptions, 'abortSignal'> = {},
): Promise<ConvertedPart[]> {
  const { name, shape } = weight;
  if (form.kind === 'stored') return [await storedPart(weight, options)];
  if (form.kind === 'values') {
    const values = await weight.read(options);
    return [{ type: values instanceof Float32Array ? 'float32' : 'int32', shape, bytes: bytesOf(values) }];
  }
  const [rows, columns] = shape as [number, number];
  if (form.kind === 'columns') {
    const { codes, scales } = quantizeColumns(await scaledValues(weight, form, options), { rows, columns, name });
    return [
      { type: 'int8', shape: [columns, rows], bytes: bytesOf(codes) },
      { type: 'float32', shape: [rows], bytes: bytesOf(scales) },
    ];
  }
  const { bits, blockSize } = form;
  const { codes, scales } = quantizeBlocks(await scaledValues(weight, form, options), { rows, columns, bits, blockSize, name });
  const blocks = Math.ceil(columns / blockSize);
  return [
    { type: 'uint8', shape: [rows, blocks, (blockSize * bits) / 8], bytes: bytesOf(codes) },
    { type: 'float32', shape: [rows, blocks], bytes: bytesOf(scales) },
  ];
}

/** The values in the format of their file, which holds them exactly; in 32 bits where ONNX has no such format. */
async function storedPart(weight: Weight, options: Pick<RunOptions, 'abortSignal'>): Promise<ConvertedPart> {
  const { dtype, shape } = weight;
  const values = await weight.read(options);
  switch (dtype) {
    case 'F16':
    case 'BF16': {
      const halves = new Uint16Array(values.length);
      (dtype === 'F16' ? encodeFloat16 : encodeBfloat16)(values as Float32Array, halves);
      return { type: STORED_TYPES[dtype]!, shape, bytes: bytesOf(halves) };
    }
    case 'I8':
    case 'U8':
      // Codes of quantised matrices. Negative ones wrap around, which is their 8-bit form.
      return { type: STORED_TYPES[dtype]!, shape, bytes: Uint8Array.from(values) };
    default:
      return { type: values instanceof Float32Array ? 'float32' : 'int32', shape, bytes: bytesOf(values) };
  }
}

/** The matrix with the range of its inputs moved into it. */
async function scaledValues(
  weight: Weight,
  { inputExponents }: ScaledInputs,
  options: Pick<RunOptions, 'abortSignal'>,
): Promise<Float32Array> {
  const values = (await weight.read(options)) as Float32Array;
  if (inputExponents === undefined) return values;
  const scales = Float32Array.from(inputExponents, (exponent) => 2 ** exponent);
  const scaled = new Float32Array(values.length);
  for (let begin = 0; begin < values.length; begin += scales.length) {
    for (let column = 0; column < scales.length; column++) scaled[begin + column] = values[begin + column]! * scales[column]!;
  }
  return scaled;
}

function bytesOf(values: Float32Array | Int32Array | Int8Array | Uint8Array | Uint16Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(values.buffer as ArrayBuffer, values.byteOffset, values.byteLength);
}
