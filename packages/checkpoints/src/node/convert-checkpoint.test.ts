import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CheckpointError, InputError, ResourceError, sizeOf, type Checkpoint, type Progress, type Weight } from '@blip2/core';
import { fixturePath } from '@blip2/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkpointFromFiles } from '../checkpoint/open-checkpoint-files.ts';
import { readModelConfig } from '../config/read-config-files.ts';
import { errorBetween } from '../quantization/quantization-error.ts';
import { encodeSafetensors, type TensorData } from '../safetensors/encode-safetensors.ts';
import { convertCheckpoint, type Conversion, type ConvertOptions } from './convert-checkpoint.ts';
import { openCheckpointFolder, openSafetensorsFile } from './open-folder.ts';

let scratch: string;
let out: string;

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'blip2-convert-'));
  out = join(scratch, 'out');
});

afterEach(() => rmSync(scratch, { recursive: true, force: true }));

async function convertFixture(model: string, options: ConvertOptions, target = out): Promise<Conversion> {
  const source = await openCheckpointFolder(fixturePath('models', model));
  try {
    return await convertCheckpoint(source, target, options);
  } finally {
    source.dispose();
  }
}

/** Runs `use` with the fixture and the converted folder open. */
async function withBoth(model: string, use: (source: Checkpoint, converted: Checkpoint) => Promise<void>): Promise<void> {
  const [source, converted] = [await openCheckpointFolder(fixturePath('models', model)), await openCheckpointFolder(out)];
  await use(source, converted);
  source.dispose();
  converted.dispose();
}

const allWeights = ({ weights }: Checkpoint): Weight[] => weights.names.map((name) => weights.get(name)!);

/** A fixture with zeros where the original layout has no place for a bias of keys, as in all published models. */
async function withoutKeyBias(model: string): Promise<Checkpoint> {
  const checkpoint = await openCheckpointFolder(fixturePath('models', model));
  const get = (name: string): Weight | undefined => {
    const weight = checkpoint.weights.get(name);
    if (weight === undefined || !name.endsWith('.self_attn.qkv.bias')) return weight;
    const third = weight.shape[0]! / 3;
    const read = async (): Promise<Float32Array> => ((await weight.read()) as Float32Array).fill(0, third, 2 * third);
    return {
      ...weight,
      read,
      rows: (begin, end) => ({ ...weight.rows(begin, end), read: async () => (await read()).subarray(begin, end) }),
    };
  };
  return { ...checkpoint, weights: { ...checkpoint.weights, get } };
}

interface Report {
  readonly layers: readonly { name: string; bits: number; blockSize: number; relativeError: number; maxAbsError: number }[];
}

describe('quantising', () => {
  it.each([
    ['blip2-opt', 'int8'],
    ['blip2-opt-float16', 'int4'],
    ['blip2-flan-t5-bfloat16-sharded', 'int8'],
    ['blip2-itm', 'int4'],
    ['clip-vit-l-vision', 'int8'],
    ['opt-350m-style', 'int4'],
    ['t5-v1.0-style', 'int8'],
  ] as const)('%s to %s: linear layers become codes, all else stays bit for bit', async (model, dtype) => {
    const { files, summary } = await convertFixture(model, { dtype, blockSize: 16 });
    const report = JSON.parse(readFileSync(join(out, 'quantization-report.json'), 'utf8')) as Report;
    expect(report).toMatchObject({ summary });
    const rows = new Map(report.layers.map((layer) => [layer.name, layer]));
    await withBoth(model, async (source, converted) => {
      expect(converted.weights.names.toSorted()).toEqual(source.weights.names.toSorted());
      for (const original of allWeights(source)) {
        const weight = converted.weights.get(original.name)!;
        const row = rows.get(original.name);
        const [before, after] = await Promise.all([original.read(), weight.read()]);
        expect(weight.shape).toEqual(original.shape);
        if (row === undefined) {
          expect([weight.dtype, weight.quantized, after]).toEqual([original.dtype, undefined, before]);
          continue;
        }
        expect(weight.quantized).toMatchObject({ bits: row.bits, blockSize: 16 });
        const error = errorBetween(before as Float32Array, after as Float32Array);
        expect(error.relative).toBeCloseTo(row.relativeError, 10);
        expect(error.maxAbs).toBe(row.maxAbsError);
        expect(error.relative).toBeLessThan(row.bits === 8 ? 0.006 : 0.09);
      }
      const parameters = allWeights(source).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
      expect(summary).toMatchObject({ dtype, parameters, quantizedMatrices: rows.size });
      await readModelConfig(converted); // fits
    });
    expect(readdirSync(out).toSorted()).toEqual(files.toSorted());
    const copied = readdirSync(fixturePath('models', model)).filter((name) => !/safetensors|golden|^config\.json$/.test(name));
    for (const name of copied) expect(readFileSync(join(out, name))).toEqual(readFileSync(fixturePath('models', model, name)));
    expect(readdirSync(scratch)).toEqual(['out']);
  });

  it('says in config.json what it did, and keeps the rest of it', async () => {
    await convertFixture('blip2-opt', { dtype: 'int8', keep: ['vision_model.encoder.layers.1.*', '*.fc2.weight'] });
    const config = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8')) as Record<string, unknown>;
    const { quantization_config: quantization, ...rest } = config;
    expect(rest).toEqual(JSON.parse(readFileSync(fixturePath('models/blip2-opt/config.json'), 'utf8')));
    expect(quantization).toMatchInlineSnapshot(`
      {
        "bits": 8,
        "block_size": 128,
        "kept": [
          "language_model.model.decoder.embed_positions.weight",
          "language_model.model.decoder.embed_tokens.weight",
          "language_model.model.decoder.layers.*.fc2.weight",
          "language_projection.weight",
          "qformer.encoder.layer.*.attention.attention.key.weight",
          "qformer.encoder.layer.*.attention.attention.query.weight",
          "qformer.encoder.layer.*.attention.attention.value.weight",
          "qformer.encoder.layer.*.attention.output.dense.weight",
          "qformer.encoder.layer.*.crossattention.attention.key.weight",
          "qformer.encoder.layer.*.crossattention.attention.query.weight",
          "qformer.encoder.layer.*.crossattention.attention.value.weight",
          "qformer.encoder.layer.*.crossattention.output.dense.weight",
          "qformer.encoder.layer.*.intermediate_query.dense.weight",
          "qformer.encoder.layer.*.output_query.dense.weight",
          "query_tokens",
          "vision_model.embeddings.class_embedding",
          "vision_model.embeddings.patch_embedding.weight",
          "vision_model.embeddings.position_embedding",
          "vision_model.encoder.layers.*.mlp.fc2.weight",
          "vision_model.encoder.layers.1.mlp.fc1.weight",
          "vision_model.encoder.layers.1.self_attn.projection.weight",
          "vision_model.encoder.layers.1.self_attn.qkv.weight",
        ],
        "quant_method": "blip2js",
      }
    `);
  });

  it('takes blocks as large as asked for, smaller ones for short rows, and 8 bits for a head', async () => {
    await convertFixture('blip2-flan-t5', { dtype: 'int4' });
    await withBoth('blip2-flan-t5', async (_, converted) => {
      const kind = (name: string): unknown => {
        const { bits, blockSize, codes } = converted.weights.get(name)!.quantized!;
        return [bits, blockSize, codes.shape];
      };
      expect(kind('vision_model.encoder.layers.0.mlp.fc2.weight')).toEqual([4, 32, [40, 3, 16]]); // [40, 88]
      expect(kind('language_model.lm_head.weight')).toEqual([8, 64, [352, 1, 64]]); // [352, 40]
      expect(converted.weights.get('language_model.shared.weight')!.quantized).toBeUndefined();
    });
  });

  it("leaves OPT's head alone, which is its token table", async () => {
    await convertFixture('blip2-opt-float16', { dtype: 'int8' });
    await withBoth('blip2-opt-float16', async (_, converted) => {
      expect(converted.weights.get('language_model.lm_head.weight')!.dtype).toBe('F16');
    });
  });

  it('sums up in figures', async () => {
    const { summary } = await convertFixture('blip2-itm', { dtype: 'int8', blockSize: 32 });
    expect(summary.quantizedMatrices).toBe(12);
    expect(summary.storedBytes).toBeLessThan(summary.sourceBytes);
    expect(summary.worst!.relativeError).toBeGreaterThanOrEqual(summary.relativeError!);
    expect(summary.worst!.name).toMatch(/^vision_model\.encoder\.layers\./);
  });

  it('is the same in shards, of a few weights each', async () => {
    const whole = await convertFixture('blip2-opt', { dtype: 'int8', blockSize: 32 });
    const shards = await convertFixture(
      'blip2-opt',
      { dtype: 'int8', blockSize: 32, maxShardBytes: 20_000 },
      join(scratch, 'shards'),
    );
    expect(shards.files.length).toBeGreaterThan(whole.files.length + 10);
    expect(shards.summary).toEqual(whole.summary);
    const [a, b] = [await openCheckpointFolder(out), await openCheckpointFolder(join(scratch, 'shards'))];
    for (const weight of allWeights(a)) expect(await b.weights.get(weight.name)!.read()).toEqual(await weight.read());
    a.dispose();
    b.dispose();
  });

  it('puts codes and scales side by side, at places that their formats can start at', async () => {
    await convertFixture('blip2-opt-float16', { dtype: 'int4', blockSize: 16 });
    const file = await openSafetensorsFile(join(out, 'model.safetensors'));
    const size = { F32: 4, F16: 2, U8: 4, I64: 8 } as Record<string, number>;
    for (const name of file.names) {
      const { dtype, location } = file.get(name)!;
      expect(location!.byteOffset % size[dtype]!).toBe(0);
    }
    const { location: codes } = file.get('language_model.model.decoder.layers.0.fc1.weight.int4')!;
    const { location: scales } = file.get('language_model.model.decoder.layers.0.fc1.weight.scale')!;
    expect(scales!.byteOffset).toBe(codes!.byteOffset + codes!.byteLength);
    file.dispose();
  });
});

describe('other conversions', () => {
  it.each([
    ['blip2-opt', 'fp16', 'F16', 'float16'],
    ['blip2-opt-float16', 'bf16', 'BF16', 'bfloat16'],
    ['blip2-flan-t5-bfloat16-sharded', 'fp32', 'F32', 'float32'],
  ] as const)('%s to %s', async (model, dtype, stored, torchDtype) => {
    const { summary } = await convertFixture(model, { dtype });
    expect(summary).toMatchObject({ dtype, quantizedMatrices: 0 });
    expect(summary.relativeError).toBeUndefined();
    await withBoth(model, async (source, converted) => {
      for (const original of allWeights(source)) {
        const weight = converted.weights.get(original.name)!;
        if (original.dtype !== 'I64') expect(weight.dtype).toBe(stored);
        expect(await weight.read()).toBeAllclose(await original.read(), 2 ** -8);
      }
    });
    const config = readFileSync(join(out, 'config.json'), 'utf8');
    expect(new Set(config.match(/(?<=dtype": ")\w+/g))).toEqual(new Set([torchDtype]));
    expect(config).not.toContain('quantization');
    expect(readdirSync(out)).not.toContain('quantization-report.json');
  });

  it('original names, and back', async () => {
    const source = await withoutKeyBias('blip2-opt');
    const lavis = join(scratch, 'lavis');
    const { summary } = await convertCheckpoint(source, lavis, { names: 'lavis' });
    expect(summary.dtype).toBe('unchanged');
    const file = await openSafetensorsFile(join(lavis, 'model.safetensors'));
    expect(file.names).toContain('visual_encoder.blocks.0.attn.qkv.weight');
    expect(file.names).toContain('opt_model.model.decoder.layers.0.fc1.weight');
    file.dispose();
    const opened = await openCheckpointFolder(lavis);
    await convertCheckpoint(opened, out);
    opened.dispose();
    const converted = await openCheckpointFolder(out);
    expect(converted.weights.names.toSorted()).toEqual(source.weights.names.toSorted());
    for (const weight of allWeights(source))
      expect(await converted.weights.get(weight.name)!.read()).toEqual(await weight.read());
    converted.dispose();
    source.dispose();
  });

  it.each(['blip2-opt', 'blip2-flan-t5', 'clip-vit-l-vision'])('%s quantised is the same under original names', async (model) => {
    const lavis = join(scratch, 'lavis');
    const source = await withoutKeyBias(model);
    const { summary } = await convertCheckpoint(source, lavis, { dtype: 'int4', names: 'lavis' });
    const other = await convertCheckpoint(source, out, { dtype: 'int4' });
    expect(summary.relativeError).toBeCloseTo(other.summary.relativeError!, 12);
    source.dispose();
    const [a, b] = [await openCheckpointFolder(out), await openCheckpointFolder(lavis)];
    expect(b.weights.names.toSorted()).toEqual(a.weights.names.toSorted());
    for (const weight of allWeights(a)) {
      const same = b.weights.get(weight.name)!;
      expect([same.quantized?.bits, same.quantized?.blockSize]).toEqual([weight.quantized?.bits, weight.quantized?.blockSize]);
      expect(await same.read()).toEqual(await weight.read());
    }
    a.dispose();
    b.dispose();
  });

  it('a quantised model is copied as it is, renamed too, or becomes floats', async () => {
    const [quantized, copy] = [join(scratch, 'int8'), join(scratch, 'copy')];
    await convertFixture('clip-vit-l-vision', { dtype: 'int8', blockSize: 16 }, quantized);
    const source = await openCheckpointFolder(quantized);
    await convertCheckpoint(source, copy, { names: 'lavis', maxShardBytes: 10_000 });
    await convertCheckpoint(source, out, { dtype: 'fp32' });
    const [copied, floats] = [await openCheckpointFolder(copy), await openCheckpointFolder(out)];
    for (const weight of allWeights(source)) {
      const [same, float] = [copied.weights.get(weight.name)!, floats.weights.get(weight.name)!];
      expect(await same.quantized?.codes.read()).toEqual(await weight.quantized?.codes.read());
      expect(await same.quantized?.scales.read()).toEqual(await weight.quantized?.scales.read());
      expect(float.quantized).toBeUndefined();
      expect(await float.read()).toEqual(await weight.read());
    }
    expect(readFileSync(join(copy, 'config.json'), 'utf8')).toContain('blip2js');
    expect(readFileSync(join(out, 'config.json'), 'utf8')).not.toContain('blip2js');
    for (const checkpoint of [source, copied, floats]) checkpoint.dispose();
  });
});

it('reports progress: monotone, one total, complete at the end, with names of files', async () => {
  const events: Progress[] = [];
  await convertFixture('blip2-opt', { dtype: 'int8', maxShardBytes: 100_000, onProgress: (event) => events.push(event) });
  const loaded = events.map(({ loadedBytes }) => loadedBytes);
  expect(loaded).toEqual(loaded.toSorted((a, b) => a - b));
  expect(new Set(events.map(({ totalBytes }) => totalBytes)).size).toBe(1);
  expect(loaded.at(-1)).toBe(events[0]!.totalBytes);
  expect(events[0]!.part).toMatch(/^model-00001-of-\d+\.safetensors$/);
});

const OPT = 'model.decoder.layers.0.fc1.weight';

/** A small model in memory with one linear layer, to break. */
async function opt(values: Float32Array | readonly number[], more: Record<string, TensorData> = {}): Promise<Checkpoint> {
  const config = new TextEncoder().encode(JSON.stringify({ model_type: 'opt' }));
  const weights = encodeSafetensors({ [OPT]: { shape: [2, values.length / 2], values: Float32Array.from(values) }, ...more });
  return checkpointFromFiles(
    'small',
    new Map([
      ['config.json', config],
      ['model.safetensors', weights],
    ]),
  );
}

describe('when it cannot be done, nothing is left', () => {
  const failure = async (checkpoint: Checkpoint, options: ConvertOptions, target = out): Promise<unknown> => {
    const before = readdirSync(scratch);
    const error: unknown = await convertCheckpoint(checkpoint, target, options).catch((cause: unknown) => cause);
    expect(readdirSync(scratch)).toEqual(before);
    return error;
  };
  const message = async (...args: Parameters<typeof failure>): Promise<string> => {
    const error = await failure(...args);
    expect(error).toBeInstanceOf(Error);
    return `${(error as Error).name}: ${(error as Error).message.replaceAll(scratch, 'SCRATCH')}`;
  };

  it('each reason has its message', async () => {
    const good = await opt(new Float32Array(32));
    const weightsOnly = await checkpointFromFiles('bare', new Map([['model.safetensors', encodeSafetensors({})]]));
    await convertCheckpoint(good, join(scratch, 'int4'), { dtype: 'int4' });
    const quantized = await openCheckpointFolder(join(scratch, 'int4'));
    writeFileSync(join(scratch, 'file'), '');
    mkdirSync(join(scratch, 'full/inner'), { recursive: true });
    const large = await opt([...new Float32Array(31), 70_000]);
    const broken = (options: object): ConvertOptions => options as ConvertOptions;
    expect({
      'a folder with something': await message(good, {}, join(scratch, 'full')),
      'a file': await message(good, {}, join(scratch, 'file')),
      'a folder in a folder that is not there': await message(good, {}, join(scratch, 'no/such')),
      'quantised already': (await message(quantized, { dtype: 'int8' })).replace('SCRATCH/', ''),
      'no configuration': await message(weightsOnly, { dtype: 'int8' }),
      'not a number': await message(await opt([1, Number.NaN, 1, 1]), { dtype: 'int8' }),
      'too large for fp16': await message(large, { dtype: 'fp16' }),
      'nothing to keep': await message(good, { dtype: 'int8', keep: ['qformer.*', OPT, 'lm_haed.weight'] }),
      'keep without quantising': await message(good, { keep: [OPT] }),
      'blocks without quantising': await message(good, { dtype: 'fp16', blockSize: 32 }),
      'odd blocks': await message(good, { dtype: 'int8', blockSize: 100 }),
      'unknown dtype': await message(good, broken({ dtype: 'int3' })),
      'unknown names': await message(good, broken({ names: 'keras' })),
      'no shards': await message(good, { maxShardBytes: 0 }),
      'shards of a size that is no number': await message(good, { maxShardBytes: Number.NaN }),
    }).toMatchInlineSnapshot(`
      {
        "a file": "CheckpointError: SCRATCH/file: cannot be made: the place is taken by a file, or a part of the path is one. Name a folder that does not exist yet.",
        "a folder in a folder that is not there": "CheckpointError: SCRATCH/no/such: cannot be written: there is no such file or folder. Check the path.",
        "a folder with something": "CheckpointError: SCRATCH/full: already exists and holds inner. Name a folder that does not exist yet, or remove this one.",
        "blocks without quantising": "InputError: convertCheckpoint: blockSize is for int8 and int4, but dtype is 'fp16'. Leave it out, or quantise.",
        "keep without quantising": "InputError: convertCheckpoint: keep is for int8 and int4, but dtype is 'not given'. Leave it out, or quantise.",
        "no configuration": "ConfigError: bare/config.json: missing, expected a JSON file. Fetch it from where the model was published.",
        "no shards": "InputError: writeWeights: maxShardBytes is 0, expected a positive number of bytes.",
        "not a number": "InputError: Quantising: 'model.decoder.layers.0.fc1.weight' has NaN at row 0, column 1, expected finite numbers up to 2^120. Check the checkpoint, or keep this weight in full precision.",
        "nothing to keep": "InputError: convertCheckpoint: no weight fits 'qformer.*', 'lm_haed.weight', expected names of weights, with * for any characters. Take names such as 'model.decoder.layers.0.fc1.weight'.",
        "odd blocks": "InputError: Quantising: the block size is 100, expected a power of two from 16 to 1024. Take 128, or 32 for 4 bits.",
        "quantised already": "InputError: convertCheckpoint: int4 is quantised already (1 matrices, such as model.decoder.layers.0.fc1.weight with 4 bits), expected floats: quantising twice adds up the errors. Convert the original model.",
        "shards of a size that is no number": "InputError: writeWeights: maxShardBytes is NaN, expected a positive number of bytes.",
        "too large for fp16": "InputError: convertCheckpoint: 'model.decoder.layers.0.fc1.weight' has 70000 at index 31, but fp16 ends at 65504. Take bf16, or fp32.",
        "unknown dtype": "InputError: convertCheckpoint: dtype is 'int3', expected one of int8, int4, fp32, fp16, bf16.",
        "unknown names": "InputError: convertCheckpoint: names is 'keras', expected 'hub' or 'lavis'.",
      }
    `);
    quantized.dispose();
  });

  it('a disk that is too small is told before the work', async () => {
    const shape = [2 ** 24, 2 ** 24];
    const weight: Weight = { name: OPT, dtype: 'F32', shape, read: () => Promise.reject(new Error('read')), rows: () => weight };
    const huge: Checkpoint = { ...(await opt(new Float32Array(32))), weights: { name: 'huge', names: [OPT], get: () => weight } };
    const error = await failure(huge, { dtype: 'int8' });
    expect(error).toBeInstanceOf(ResourceError);
    expect((error as Error).message).toMatch(/the weights would take 290271\.\d GB, but [\d.]+ GB are free there\./);
  });

  it('an abort is its reason, a weight that cannot be read its error', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const good = await opt(new Float32Array(32));
    expect(await failure(good, { dtype: 'int4', abortSignal: AbortSignal.abort(reason) })).toBe(reason);
    const events: Progress[] = [];
    const onProgress = (event: Progress): void => {
      events.push(event);
      if (events.length === 2) controller.abort(reason);
    };
    expect(await failure(good, { dtype: 'int4', abortSignal: controller.signal, onProgress })).toBe(reason);
    const cause = new CheckpointError('damaged', 'x');
    const weight = { ...good.weights.get(OPT)!, rows: () => weight, read: () => Promise.reject(cause) };
    expect(await failure({ ...good, weights: { name: 'x', names: [OPT], get: () => weight } }, { dtype: 'int8' })).toBe(cause);
  });

  it('an empty folder is taken as a place', async () => {
    mkdirSync(out);
    const { files } = await convertCheckpoint(await opt(new Float32Array(32)), out, { dtype: 'int8' });
    expect(readdirSync(out).toSorted()).toEqual([...files].toSorted());
    expect(files).toEqual(['model.safetensors', 'config.json', 'quantization-report.json']);
  });

  it('options and weights that cannot be are the errors of their kinds', async () => {
    const good = await opt(new Float32Array(32));
    expect(await failure(good, { dtype: 'int8', keep: ['x'] })).toBeInstanceOf(InputError);
    expect(await failure(await opt([1, Number.POSITIVE_INFINITY]), { dtype: 'int4' })).toBeInstanceOf(InputError);
    writeFileSync(join(scratch, 'x'), '');
    expect(await failure(good, {}, scratch)).toBeInstanceOf(CheckpointError);
  });
});
