import { CheckpointError, ConfigError, ShapeError, type Weight } from '@blip2/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkpointFromFiles, type OpenedCheckpoint } from '../checkpoint/open-checkpoint-files.ts';
import { parseModelConfig } from '../config/blip2-config.ts';
import { parseQuantizationConfig } from '../config/quantization-config.ts';
import { withLavisNames } from '../names/hub-names.ts';
import { encodeSafetensors, type TensorData } from '../safetensors/encode-safetensors.ts';
import { dequantizeBlocks, quantizeBlocks } from './quantize-blocks.ts';

/** Numbers that look random and are the same everywhere. */
function spread(length: number): Float32Array {
  return Float32Array.from({ length }, (_, index) => Math.sin((index + 1) * 12.9898) ** 3);
}

interface Quantized {
  readonly tensors: Record<string, TensorData>;
  readonly metadata: Record<string, string>;
  readonly values: Float32Array;
}

/** A matrix as it is stored, and the values it stands for. */
function stored(name: string, rows: number, columns: number, bits: 8 | 4, blockSize = 16): Quantized {
  const { codes, scales } = quantizeBlocks(spread(rows * columns), { rows, columns, bits, blockSize });
  const blocks = Math.ceil(columns / blockSize);
  return {
    tensors: {
      [`${name}.int${bits}`]: { shape: [rows, blocks, (blockSize * bits) / 8], values: codes },
      [`${name}.scale`]: { shape: [rows, blocks], values: scales },
    },
    metadata: columns % blockSize === 0 ? {} : { [`${name}.columns`]: String(columns) },
    values: dequantizeBlocks({ columns, bits, blockSize, codes, scales }, new Float32Array(rows * columns)),
  };
}

async function open(tensors: Record<string, TensorData>, metadata: Record<string, string> = {}): Promise<OpenedCheckpoint> {
  return checkpointFromFiles('folder', new Map([['model.safetensors', encodeSafetensors(tensors, { metadata })]]));
}

describe('a quantised matrix', () => {
  it.each([8, 4] as const)('of %i bits is one weight under its own name, with its parts', async (bits) => {
    const { tensors, values } = stored('a.weight', 6, 48, bits);
    const checkpoint = await open({ 'a.bias': { shape: [6], values: spread(6) }, ...tensors });
    expect(checkpoint.weights.names.toSorted()).toEqual(['a.bias', 'a.weight']);
    const weight = checkpoint.weights.get('a.weight')!;
    expect(weight).toMatchObject({ name: 'a.weight', dtype: 'F32', shape: [6, 48], quantized: { bits, blockSize: 16 } });
    expect(weight.location).toBeUndefined();
    expect(await weight.read()).toEqual(values);
    const { codes, scales } = weight.quantized!;
    expect(codes).toMatchObject({ dtype: 'U8', shape: [6, 3, 2 * bits], location: { file: 'folder/model.safetensors' } });
    expect(scales).toMatchObject({ dtype: 'F32', shape: [6, 3], location: { byteLength: 72 } });
    expect(checkpoint.weights.get('a.bias')!.quantized).toBeUndefined();
    checkpoint.dispose();
  });

  it('has the columns that the file says where its last block is not full', async () => {
    const { tensors, metadata, values } = stored('a.weight', 5, 40, 4, 32);
    const checkpoint = await open(tensors, metadata);
    const weight = checkpoint.weights.get('a.weight')!;
    expect(weight.shape).toEqual([5, 40]);
    expect(await weight.read()).toEqual(values);
    checkpoint.dispose();
  });

  it('gives any rows by reference', async () => {
    const { tensors, metadata, values } = stored('a.weight', 9, 40, 8);
    const checkpoint = await open(tensors, metadata);
    const weight = checkpoint.weights.get('a.weight')!;
    await fc.assert(
      fc.asyncProperty(fc.nat(9), fc.nat(9), fc.nat(9), async (a, b, c) => {
        const [begin, inner, end] = [a, b, c].toSorted((x, y) => x - y) as [number, number, number];
        const rows = weight.rows(begin, end);
        expect(rows.shape).toEqual([end - begin, 40]);
        expect(rows.quantized!.codes.shape).toEqual([end - begin, 3, 16]);
        expect(await rows.read()).toEqual(values.subarray(40 * begin, 40 * end));
        expect(await rows.rows(0, inner - begin).read()).toEqual(values.subarray(40 * begin, 40 * inner));
      }),
      { numRuns: 30 },
    );
    expect(() => weight.rows(3, 10)).toThrow(ShapeError);
    checkpoint.dispose();
  });

  it('of several pieces reads whole, and an abort ends it', async () => {
    const { tensors, values } = stored('a.weight', 3000, 1024, 8, 128);
    const checkpoint = await open(tensors);
    const weight = checkpoint.weights.get('a.weight')!;
    const read = await weight.read();
    expect(read.findIndex((value, index) => value !== values[index])).toBe(-1);
    const reason = new Error('enough');
    await expect(weight.read({ abortSignal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    checkpoint.dispose();
  });

  it('is renamed and split like any other', async () => {
    const fused = 'visual_encoder.transformer.resblocks.0.attn.in_proj_weight';
    const whole = stored(fused, 48, 16, 4);
    const other = stored('visual_encoder.transformer.resblocks.0.mlp.c_fc.weight', 8, 16, 8);
    const checkpoint = await open({ ...whole.tensors, ...other.tensors });
    const layer = 'vision_model.encoder.layers.0';
    expect(checkpoint.weights.names.toSorted()).toEqual(
      ['mlp.fc1', 'self_attn.k_proj', 'self_attn.q_proj', 'self_attn.v_proj'].map((name) => `${layer}.${name}.weight`),
    );
    const keys = checkpoint.weights.get(`${layer}.self_attn.k_proj.weight`)!;
    expect(keys.quantized).toMatchObject({ bits: 4, codes: { shape: [16, 1, 8] }, scales: { shape: [16, 1] } });
    expect(await keys.read()).toEqual(whole.values.subarray(16 * 16, 32 * 16));
    expect(checkpoint.weights.get(`${layer}.mlp.fc1.weight`)!.quantized!.bits).toBe(8);
    // Joined again they have no single place in the file, but the same values.
    const joined = withLavisNames(checkpoint.weights).get(fused) as Weight;
    expect(joined.quantized).toMatchObject({ bits: 4, codes: { shape: [48, 1, 8] }, scales: { shape: [48, 1] } });
    expect(joined.quantized!.codes.location).toBeUndefined();
    expect(await joined.quantized!.codes.read()).toEqual(Int32Array.from(whole.tensors[`${fused}.int4`]!.values));
    expect(await joined.read()).toEqual(whole.values);
    checkpoint.dispose();
  });
});

describe('what does not fit', () => {
  const { tensors, metadata } = stored('a.weight', 4, 40, 8, 32);
  const codes = tensors['a.weight.int8']!;
  const scale = tensors['a.weight.scale']!;
  const bytes = (shape: number[]): TensorData => ({ shape, values: new Uint8Array(shape.reduce((a, b) => a * b, 1)) });
  const floats = (shape: number[]): TensorData => ({ shape, values: new Float32Array(shape.reduce((a, b) => a * b, 1)) });

  const CASES: Record<string, [Record<string, TensorData>, Record<string, string>?]> = {
    'no scales': [{ 'a.weight.int8': codes }],
    'no codes': [{ 'a.weight.scale': scale }],
    'unknown bits': [{ 'a.weight.int3': codes, 'a.weight.scale': scale }],
    'very many bits': [{ 'a.weight.int99999999999999999999': codes, 'a.weight.scale': scale }],
    'both numbers of bits': [{ ...tensors, 'a.weight.int4': bytes([4, 2, 16]) }],
    'quantised and not': [{ ...tensors, 'a.weight': floats([4, 40]) }],
    'odd block size': [{ ...tensors, 'a.weight.int8': bytes([4, 2, 24]) }],
    'block too small': [{ ...tensors, 'a.weight.int8': bytes([4, 2, 8]) }],
    'block of nothing': [{ ...tensors, 'a.weight.int8': bytes([4, 2, 0]) }],
    'no rows': [{ 'a.weight.int8': bytes([0, 2, 32]), 'a.weight.scale': floats([0, 2]) }],
    'codes without blocks': [{ ...tensors, 'a.weight.int8': bytes([4, 64]) }],
    'codes of another dtype': [{ ...tensors, 'a.weight.int8': { ...codes, dtype: 'I32' } }],
    'scales of another dtype': [{ ...tensors, 'a.weight.scale': { ...scale, dtype: 'F16' } }],
    'scales of another shape': [{ ...tensors, 'a.weight.scale': floats([2, 4]) }],
    'too many columns': [tensors, { 'a.weight.columns': '65' }],
    'too few columns': [tensors, { 'a.weight.columns': '32' }],
    'columns that are no number': [tensors, { 'a.weight.columns': '4e1' }],
  };

  it('each has its message', async () => {
    const messages = await Promise.all(
      Object.entries(CASES).map(async ([kind, [files, extra]]) => {
        const error: unknown = await open(files, extra ?? metadata).catch((cause: unknown) => cause);
        expect(error, kind).toBeInstanceOf(CheckpointError);
        const message = (error as CheckpointError).message;
        expect(message).toMatch(
          / The file was not written by blip2\.js or is damaged; convert the model again with blip2 convert\.$/,
        );
        return [kind, message.replace(/ The file was not.*/, '')];
      }),
    );
    expect(Object.fromEntries(messages)).toMatchInlineSnapshot(`
      {
        "block of nothing": "folder/model.safetensors: 'a.weight.int8' is U8 [4, 2, 0], expected U8 [rows, blocks, bytes] with blocks of 16, 32, 64 … 1024 codes of 8 bits.",
        "block too small": "folder/model.safetensors: 'a.weight.int8' is U8 [4, 2, 8], expected U8 [rows, blocks, bytes] with blocks of 16, 32, 64 … 1024 codes of 8 bits.",
        "both numbers of bits": "folder/model.safetensors: 'a.weight' is in the checkpoint twice, expected it once.",
        "codes of another dtype": "folder/model.safetensors: 'a.weight.int8' is I32 [4, 2, 32], expected U8 [rows, blocks, bytes] with blocks of 16, 32, 64 … 1024 codes of 8 bits.",
        "codes without blocks": "folder/model.safetensors: 'a.weight.int8' is U8 [4, 64], expected U8 [rows, blocks, bytes] with blocks of 16, 32, 64 … 1024 codes of 8 bits.",
        "columns that are no number": "folder/model.safetensors: __metadata__ gives 'a.weight' '4e1' columns, expected 33 to 64, as it has 2 blocks of 32.",
        "no codes": "folder/model.safetensors: 'a.weight.scale' is without its codes, expected 'a.weight.int8' or 'a.weight.int4' beside it.",
        "no rows": "folder/model.safetensors: 'a.weight.int8' is U8 [0, 2, 32], expected U8 [rows, blocks, bytes] with blocks of 16, 32, 64 … 1024 codes of 8 bits.",
        "no scales": "folder/model.safetensors: 'a.weight.int8' is without its scales, expected 'a.weight.scale' beside it.",
        "odd block size": "folder/model.safetensors: 'a.weight.int8' is U8 [4, 2, 24], expected U8 [rows, blocks, bytes] with blocks of 16, 32, 64 … 1024 codes of 8 bits.",
        "quantised and not": "folder/model.safetensors: 'a.weight' is in the checkpoint twice, expected it once.",
        "scales of another dtype": "folder/model.safetensors: 'a.weight.scale' is F16 [4, 2], expected F32 [4, 2], one for each block of codes.",
        "scales of another shape": "folder/model.safetensors: 'a.weight.scale' is F32 [2, 4], expected F32 [4, 2], one for each block of codes.",
        "too few columns": "folder/model.safetensors: __metadata__ gives 'a.weight' '32' columns, expected 33 to 64, as it has 2 blocks of 32.",
        "too many columns": "folder/model.safetensors: __metadata__ gives 'a.weight' '65' columns, expected 33 to 64, as it has 2 blocks of 32.",
        "unknown bits": "folder/model.safetensors: 'a.weight.int3' would have codes of 3 bits, expected 8 or 4.",
        "very many bits": "folder/model.safetensors: 'a.weight.int99999999999999999999' would have codes of 100000000000000000000 bits, expected 8 or 4.",
      }
    `);
  });

  it("other libraries' formats are told by the configuration", () => {
    const message = (config: unknown): string => {
      try {
        parseModelConfig({ model_type: 'opt', quantization_config: config });
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError);
        return (error as Error).message;
      }
      return 'nothing';
    };
    expect([
      message({ quant_method: 'bitsandbytes', load_in_8bit: true }),
      message({ quant_method: 'blip2js', bits: 3, block_size: 128 }),
      message({ quant_method: 'blip2js', bits: 8, block_size: 0, kept: [1] }),
      message({ load_in_8bit: true }),
      message([]),
    ]).toMatchInlineSnapshot(`
      [
        "config.json: the weights were quantised by 'bitsandbytes', expected 'blip2js' or weights that are not quantised. Take the original model, and quantise it with blip2 convert.",
        "config.json, quantization_config: bits is 3, expected 8 or 4. Correct the file, or fetch it again from where the model was published.",
        "config.json, quantization_config: block_size is 0, expected at least 1; kept.0 is 1, expected string. Correct the file, or fetch it again from where the model was published.",
        "config.json, quantization_config: quant_method is missing, expected 'blip2js'; bits is missing, expected 8 or 4; block_size is missing, expected a whole number. Correct the file, or fetch it again from where the model was published.",
        "config.json, quantization_config: the file is [], expected object. Correct the file, or fetch it again from where the model was published.",
      ]
    `);
  });

  it('a good one is complete', () => {
    const quantization = { quant_method: 'blip2js', bits: 4, block_size: 32 };
    expect(parseQuantizationConfig({ quantization_config: quantization })).toEqual({ ...quantization, kept: [] });
    expect(parseQuantizationConfig({ quantization_config: null })).toBeUndefined();
    expect(parseModelConfig({ model_type: 'opt', quantization_config: { ...quantization, more: 1 } })).toBeDefined();
  });
});
