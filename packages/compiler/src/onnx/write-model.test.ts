import fc from 'fast-check';
import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { decodeMessage } from './onnx-test-support.ts';
import type { OnnxAttribute, OnnxGraph, OnnxNode, OnnxType } from './graph.ts';
import { writeModel } from './write-model.ts';

const bytesOf = (values: Float32Array | Int32Array | BigInt64Array): Uint8Array => new Uint8Array(values.buffer);

/** y = x·W + 1, any number of rows. */
const LINEAR: OnnxGraph = {
  name: 'linear',
  nodes: [
    { operator: 'MatMul', domain: '', inputs: ['x', 'w'], outputs: ['product'], attributes: {} },
    { operator: 'Add', domain: '', inputs: ['product', 'one'], outputs: ['y'], attributes: {} },
  ],
  initializers: [
    { name: 'w', type: 'float32', shape: [3, 2], bytes: bytesOf(Float32Array.of(1, 2, 3, 4, 5, 6)) },
    { name: 'one', type: 'float32', shape: [], bytes: bytesOf(Float32Array.of(1)) },
  ],
  inputs: [{ name: 'x', type: 'float32', shape: ['rows', 3] }],
  outputs: [{ name: 'y', type: 'float32', shape: ['rows', 2] }],
};

/** A graph of one node. */
function single(
  node: Omit<OnnxNode, 'domain' | 'inputs' | 'outputs'> & Partial<OnnxNode>,
  type: OnnxType = 'float32',
): OnnxGraph {
  return {
    name: 'single',
    nodes: [{ domain: '', inputs: ['x'], outputs: ['y'], ...node }],
    initializers: [],
    inputs: [{ name: 'x', type, shape: ['a', 'b'] }],
    outputs: [{ name: 'y', type, shape: ['c', 'd'] }],
  };
}

async function runSingle(graph: OnnxGraph, x: Float32Array, dims: number[]): Promise<ort.Tensor> {
  const session = await ort.InferenceSession.create(writeModel(graph));
  const { y } = await session.run({ x: new ort.Tensor('float32', x, dims) });
  await session.release();
  return y!;
}

describe('ONNX Runtime reads what writeModel writes', () => {
  it('weights, scalars and axes of any size', async () => {
    const y = await runSingle(LINEAR, Float32Array.of(1, 0, 0, 0, 1, 1), [2, 3]);
    expect([y.dims, [...(y.data as Float32Array)]]).toEqual([
      [2, 2],
      [2, 3, 9, 11],
    ]);
    const none = await runSingle(LINEAR, new Float32Array(), [0, 3]);
    expect(none.dims).toEqual([0, 2]);
  });

  it('attributes of every kind', async () => {
    const x = Float32Array.of(-2, 1, 3, -4);
    const leaky = single({ operator: 'LeakyRelu', attributes: { alpha: { float: 0.25 } } });
    expect([...((await runSingle(leaky, x, [2, 2])).data as Float32Array)]).toEqual([-0.5, 1, 3, -1]);
    const transpose = single({ operator: 'Transpose', attributes: { perm: [1, 0] } });
    expect([...((await runSingle(transpose, x, [2, 2])).data as Float32Array)]).toEqual([-2, 3, 1, -4]);
    const cumulate = single({ operator: 'Softmax', attributes: { axis: -1 } });
    expect((await runSingle(cumulate, x, [2, 2])).data[0]).toBeCloseTo(1 / (1 + Math.exp(3)), 6);
    const gelu = single({ operator: 'Gelu', attributes: { approximate: 'tanh' } });
    expect((await runSingle(gelu, x, [2, 2])).data[1]).toBeCloseTo(0.841192, 6);
    const node: OnnxNode = {
      operator: 'Constant',
      domain: '',
      inputs: [],
      outputs: ['c'],
      attributes: { value_floats: { floats: [1, -0.5] } },
    };
    const floats: OnnxGraph = {
      ...single(node),
      nodes: [node, { operator: 'Mul', domain: '', inputs: ['x', 'c'], outputs: ['y'], attributes: {} }],
    };
    expect([...((await runSingle(floats, x, [2, 2])).data as Float32Array)]).toEqual([-2, -0.5, 3, 2]);
  });

  it('nodes of ONNX Runtime’s own domain', async () => {
    const graph = single({
      operator: 'FusedMatMul',
      domain: 'com.microsoft',
      inputs: ['x', 'x'],
      attributes: { transB: 1, alpha: { float: 2 } },
    });
    const y = await runSingle(graph, Float32Array.of(1, 2, 3, 4), [2, 2]);
    expect([...(y.data as Float32Array)]).toEqual([10, 22, 22, 50]);
  });

  it('an empty name for an input that is left out', async () => {
    const graph: OnnxGraph = {
      ...single({ operator: 'Clip', inputs: ['x', '', 'high'], attributes: {} }),
      initializers: [{ name: 'high', type: 'float32', shape: [], bytes: bytesOf(Float32Array.of(2)) }],
    };
    expect([...((await runSingle(graph, Float32Array.of(-7, 3), [1, 2])).data as Float32Array)]).toEqual([-7, 2]);
  });

  it('initializers of every type', async () => {
    const types: readonly [OnnxType, number[], number[]][] = [
      ['float32', [0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0], [1, -2.5]],
      ['float16', [0, 0x3c, 0, 0xc1], [1, -2.5]],
      ['bfloat16', [0x80, 0x3f, 0x20, 0xc0], [1, -2.5]],
      ['int64', [1, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], [1, -2]],
      ['int32', [1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff], [1, -2]],
      ['int8', [1, 0xfe], [1, -2]],
      ['uint8', [1, 0xfe], [1, 254]],
      ['bool', [1, 0], [1, 0]],
    ];
    const graph: OnnxGraph = {
      name: 'types',
      nodes: types.map(([type]) => ({
        operator: 'Cast',
        domain: '',
        inputs: [`${type}_in`],
        outputs: [type],
        attributes: { to: 1 },
      })),
      initializers: types.map(([type, bytes]) => ({ name: `${type}_in`, type, shape: [2], bytes: Uint8Array.from(bytes) })),
      inputs: [],
      outputs: types.map(([type]) => ({ name: type, type: 'float32', shape: [2] })),
    };
    const session = await ort.InferenceSession.create(writeModel(graph));
    const results = await session.run({});
    await session.release();
    expect(types.map(([type]) => [type, [...(results[type]!.data as Float32Array)]])).toEqual(
      types.map(([type, , values]) => [type, values]),
    );
  });

  it('values larger than the writer’s chunks, and many nodes', async () => {
    const width = 700;
    const values = Float32Array.from({ length: width * width }, (_, i) => (i % (width + 1) === 0 ? 2 : 0));
    const nodes = Array.from({ length: 300 }, (_, i): OnnxNode => ({
      operator: i === 0 ? 'MatMul' : 'Add',
      domain: '',
      inputs: i === 0 ? ['x', 'w'] : [`v${i - 1}`, 'one'],
      outputs: [i === 299 ? 'y' : `v${i}`],
      attributes: {},
    }));
    const graph: OnnxGraph = {
      name: 'long',
      nodes,
      initializers: [
        { name: 'w', type: 'float32', shape: [width, width], bytes: bytesOf(values) },
        { name: 'one', type: 'float32', shape: [], bytes: bytesOf(Float32Array.of(1)) },
      ],
      inputs: [{ name: 'x', type: 'float32', shape: [1, width] }],
      outputs: [{ name: 'y', type: 'float32', shape: [1, width] }],
    };
    const y = await runSingle(
      graph,
      Float32Array.from({ length: width }, (_, i) => i),
      [1, width],
    );
    expect(y.data).toEqual(Float32Array.from({ length: width }, (_, i) => 2 * i + 299));
  });
});

describe('the message', () => {
  it('has versions, names, axes and places of weights', () => {
    const graph: OnnxGraph = {
      ...LINEAR,
      initializers: [
        {
          name: 'w',
          type: 'float16',
          shape: [3, 2],
          location: { file: '/models/a.safetensors', byteOffset: 5_000_000_123, byteLength: 12 },
        },
        LINEAR.initializers[1]!,
      ],
    };
    const model = decodeMessage(writeModel(graph, { externalPath: (file) => `weights-0${file.length}` }));
    expect([model.integer(1), model.text(2)]).toEqual([10, '@blip2/compiler']);
    expect(model.text(3)).toMatch(/^\d+\.\d+\.\d+/);
    expect(model.messages(8).map((one) => [one.text(1), one.integer(2)])).toEqual([
      [undefined, 21],
      ['com.microsoft', 1],
    ]);
    const written = model.message(7);
    expect(written.text(2)).toBe('linear');
    expect(written.messages(1).map((node) => [node.text(3), node.text(4), node.texts(1), node.texts(2)])).toEqual([
      ['MatMul_0', 'MatMul', ['x', 'w'], ['product']],
      ['Add_1', 'Add', ['product', 'one'], ['y']],
    ]);
    const [w, scalar] = written.messages(5);
    expect([w!.integers(1), w!.integer(2), w!.text(8), w!.integer(14), w!.all(9)]).toEqual([[3, 2], 10, 'w', 1, []]);
    expect(w!.messages(13).map((entry) => [entry.text(1), entry.text(2)])).toEqual([
      ['location', 'weights-021'],
      ['offset', '5000000123'],
      ['length', '12'],
    ]);
    expect([scalar!.integers(1), scalar!.integer(14), scalar!.all(9)]).toEqual([[], undefined, [bytesOf(Float32Array.of(1))]]);
    const dimensions = written.messages(11)[0]!.message(2).message(1).message(2).messages(1);
    expect(dimensions.map((one) => one.text(2) ?? one.integer(1))).toEqual(['rows', 3]);
  });

  it('keeps integers and floats apart', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), fc.float({ noNaN: true }), fc.array(fc.maxSafeInteger()), (integer, float, integers) => {
        const attributes: Record<string, OnnxAttribute> = { integer, integers, float: { float } };
        const [node] = decodeMessage(writeModel(single({ operator: 'Any', attributes })))
          .message(7)
          .messages(1);
        const [a, b, c] = node!.messages(5);
        expect([a!.integer(20), a!.integer(3)]).toEqual([2, integer]);
        expect([b!.integer(20), b!.integers(8)]).toEqual([7, integers]);
        expect([c!.integer(20), c!.integer(2)]).toEqual([1, float]);
      }),
    );
  });

  it('says what is wrong with a graph', () => {
    const initializer = { name: 'w', type: 'float32', shape: [2] } as const;
    const withWeight = (more: object): OnnxGraph => ({ ...LINEAR, initializers: [{ ...initializer, ...more }] });
    expect(() => writeModel(single({ operator: 'LeakyRelu', attributes: { alpha: 0.1 } }))).toThrowErrorMatchingInlineSnapshot(
      `[InputError: writeModel: attribute 'alpha' of LeakyRelu is 0.1, expected an integer. Write { float: 0.1 } for a float.]`,
    );
    expect(() => writeModel(withWeight({ bytes: new Uint8Array(6) }))).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: writeModel: 'w', float32 of shape [2], has 6 bytes, expected 8. Correct its shape, its type or its byte range.]`,
    );
    expect(() => writeModel(withWeight({}))).toThrowErrorMatchingInlineSnapshot(
      `[InputError: writeModel: the initializer 'w' has neither bytes nor a location. Give it one of them.]`,
    );
    expect(() =>
      writeModel(withWeight({ location: { file: 'a', byteOffset: 0, byteLength: 8 } })),
    ).toThrowErrorMatchingInlineSnapshot(
      `[InputError: writeModel: 'w' lies in a, and no externalPath says what the model shall call that file. Pass externalPath.]`,
    );
  });

  it('refuses what cannot be one message', () => {
    const gigabyte = new Uint8Array(2 ** 30);
    const big = { type: 'uint8', shape: [2 ** 30], bytes: gigabyte } as const;
    const graph = {
      ...LINEAR,
      initializers: [
        { name: 'a', ...big },
        { name: 'b', ...big },
      ],
    };
    expect(() => writeModel(graph)).toThrowErrorMatchingInlineSnapshot(
      `[ResourceError: writeModel: the graph 'linear' holds 2147483820 bytes of values and nodes; an ONNX file can have at most 2147483647. Keep large weights in a file of their own and refer to it: an initializer takes a location instead of bytes.]`,
    );
  });
});
