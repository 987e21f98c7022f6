import { InputError, ResourceError, ShapeError, sizeOf } from '@blip2/core';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import {
  ONNX_TYPE_BYTES,
  ONNX_TYPE_CODES,
  type OnnxAttribute,
  type OnnxGraph,
  type OnnxInitializer,
  type OnnxNode,
  type OnnxType,
  type OnnxValue,
} from './graph.ts';
import { PRODUCER_VERSION } from './producer.ts';

/** Version of the file format. Source: onnx.proto3, `IR_VERSION_2024_3_25`, the one of ONNX 1.16 to 1.17. */
export const IR_VERSION = 10;

/** Versions of the operator sets that the graph's nodes belong to. Source: onnx/docs/Versioning.md; ONNX 1.16 to 1.17. */
export const OPERATOR_SETS: readonly { readonly domain: string; readonly version: number }[] = [
  { domain: '', version: 21 },
  { domain: 'com.microsoft', version: 1 },
];

/** A protobuf message cannot be larger. Source: https://protobuf.dev/programming-guides/proto-limits/ */
const LARGEST_MODEL = 2 ** 31 - 1;

/** Options of {@link writeModel}. */
export interface WriteModelOptions {
  /**
   * The path that the model shall use for a file of weights, relative to the model's own folder.
   * ONNX Runtime takes no other. @default an error for a graph that refers to files
   */
  readonly externalPath?: (file: string) => string;
}

/**
 * The graph as an ONNX model file (`ModelProto`). Weights with a location are referred to, not read.
 *
 * @returns the bytes, the caller's.
 * @throws {ShapeError} when an initializer's bytes do not fit its shape.
 * @throws {InputError} when an initializer has no values, or an attribute is a fraction that does not say that it is a float.
 * @throws {ResourceError} when values inside the file would make it larger than 2 GiB.
 *
 * Source: the messages and field numbers of ONNX's `onnx.proto3`.
 */
export function writeModel(graph: OnnxGraph, options: WriteModelOptions = {}): Uint8Array<ArrayBuffer> {
  const graphMessage = new Message();
  graph.nodes.forEach((node, index) => graphMessage.message(1, nodeMessage(node, index)));
  graphMessage.string(2, graph.name);
  for (const initializer of graph.initializers) graphMessage.message(5, tensorMessage(initializer, options));
  for (const input of graph.inputs) graphMessage.message(11, valueMessage(input));
  for (const output of graph.outputs) graphMessage.message(12, valueMessage(output));
  // Some room is left for what stands around the graph.
  if (graphMessage.length > LARGEST_MODEL - 1024) {
    throw new ResourceError(
      `writeModel: the graph '${graph.name}' holds ${graphMessage.length} bytes of values and nodes; an ONNX file can have at most ` +
        `${LARGEST_MODEL}. Keep large weights in a file of their own and refer to it: an initializer takes a location instead of bytes.`,
    );
  }

  const model = new Message();
  model.integer(1, IR_VERSION);
  model.string(2, '@blip2/compiler');
  model.string(3, PRODUCER_VERSION);
  model.message(7, graphMessage);
  for (const { domain, version } of OPERATOR_SETS) {
    const operatorSet = new Message(); // OperatorSetIdProto
    if (domain !== '') operatorSet.string(1, domain);
    operatorSet.integer(2, version);
    model.message(8, operatorSet);
  }
  return model.toBytes();
}

/** `NodeProto`. The name is for messages and profiles. */
function nodeMessage(node: OnnxNode, index: number): Message {
  const message = new Message();
  for (const input of node.inputs) message.string(1, input);
  for (const output of node.outputs) message.string(2, output);
  message.string(3, node.name ?? `${node.operator}_${index}`);
  message.string(4, node.operator);
  for (const [name, value] of Object.entries(node.attributes)) {
    message.message(5, attributeMessage(name, value, `attribute '${name}' of ${node.operator}`));
  }
  if (node.domain !== '') message.string(7, node.domain);
  return message;
}

/** `AttributeProto.AttributeType`. */
const ATTRIBUTE_TYPES = { float: 1, int: 2, string: 3, floats: 6, ints: 7 } as const;

/** `AttributeProto`. */
function attributeMessage(name: string, value: OnnxAttribute, what: string): Message {
  const message = new Message();
  message.string(1, name);
  let type: keyof typeof ATTRIBUTE_TYPES;
  if (typeof value === 'number') {
    type = 'int';
    message.integer(3, integerOrThrow(value, what));
  } else if (typeof value === 'string') {
    type = 'string';
    message.string(4, value); // `bytes`, but UTF-8 by convention
  } else if ('float' in value) {
    type = 'float';
    message.float(2, value.float);
  } else if ('floats' in value) {
    type = 'floats';
    message.packed(7, value.floats, (writer, one) => writer.float(one));
  } else {
    type = 'ints';
    for (const one of value) integerOrThrow(one, what);
    message.packed(8, value, (writer, one) => writer.int64(one));
  }
  message.integer(20, ATTRIBUTE_TYPES[type]);
  return message;
}

/** `TensorProto`, its values inside or in another file. */
function tensorMessage(initializer: OnnxInitializer, options: WriteModelOptions): Message {
  const { name, type, shape, bytes, location } = initializer;
  const message = new Message();
  message.packed(1, shape, (writer, size) => writer.int64(size));
  message.integer(2, ONNX_TYPE_CODES[type]);
  message.string(8, name);
  if (bytes !== undefined) {
    assertBytes(name, type, shape, bytes.length);
    message.bytes(9, bytes);
  } else if (location !== undefined) {
    assertBytes(name, type, shape, location.byteLength);
    const path = options.externalPath?.(location.file);
    if (path === undefined) {
      throw new InputError(
        `writeModel: '${name}' lies in ${location.file}, and no externalPath says what the model shall call that file. Pass externalPath.`,
      );
    }
    const entries = { location: path, offset: String(location.byteOffset), length: String(location.byteLength) };
    for (const [key, value] of Object.entries(entries)) {
      const entry = new Message(); // StringStringEntryProto
      entry.string(1, key);
      entry.string(2, value);
      message.message(13, entry);
    }
    message.integer(14, 1); // DataLocation.EXTERNAL
  } else {
    throw new InputError(`writeModel: the initializer '${name}' has neither bytes nor a location. Give it one of them.`);
  }
  return message;
}

/** `ValueInfoProto`. */
function valueMessage({ name, type, shape }: OnnxValue): Message {
  const shapeMessage = new Message(); // TensorShapeProto
  for (const size of shape) {
    const dimension = new Message();
    if (typeof size === 'number') dimension.integer(1, size);
    else dimension.string(2, size);
    shapeMessage.message(1, dimension);
  }
  const tensor = new Message(); // TypeProto.Tensor
  tensor.integer(1, ONNX_TYPE_CODES[type]);
  tensor.message(2, shapeMessage);
  const typeMessage = new Message(); // TypeProto
  typeMessage.message(1, tensor);
  const message = new Message();
  message.string(1, name);
  message.message(2, typeMessage);
  return message;
}

function assertBytes(name: string, type: OnnxType, shape: readonly number[], length: number): void {
  const expected = sizeOf(shape) * ONNX_TYPE_BYTES[type];
  if (length === expected) return;
  throw new ShapeError(
    `writeModel: '${name}', ${type} of shape [${shape.join(', ')}], has ${length} bytes, expected ${expected}. ` +
      'Correct its shape, its type or its byte range.',
    [length],
    [expected],
  );
}

function integerOrThrow(value: number, what: string): number {
  if (Number.isSafeInteger(value)) return value;
  throw new InputError(`writeModel: ${what} is ${value}, expected an integer. Write { float: ${value} } for a float.`);
}

/**
 * A protobuf message under construction. Byte arrays are kept by reference until the end: `BinaryWriter.fork`
 * would move the values of weights once for each message around them.
 */
class Message {
  readonly #chunks: Uint8Array[] = [];
  #writer: BinaryWriter = new BinaryWriter();
  #writerIsEmpty = true;
  #length = 0;

  integer(field: number, value: number): void {
    this.#fields().tag(field, WireType.Varint).int64(value);
  }

  float(field: number, value: number): void {
    this.#fields().tag(field, WireType.Bit32).float(value);
  }

  string(field: number, value: string): void {
    this.#fields().tag(field, WireType.LengthDelimited).string(value);
  }

  bytes(field: number, value: Uint8Array): void {
    this.#fields().tag(field, WireType.LengthDelimited).uint32(value.length);
    this.#append(value);
  }

  packed<Value>(field: number, values: readonly Value[], write: (writer: BinaryWriter, value: Value) => unknown): void {
    if (values.length === 0) return; // as protobuf has it: an empty list is no field
    const writer = this.#fields().tag(field, WireType.LengthDelimited).fork();
    for (const value of values) write(writer, value);
    writer.join();
  }

  message(field: number, value: Message): void {
    this.#fields().tag(field, WireType.LengthDelimited).uint32(value.length);
    for (const chunk of value.#finished()) this.#append(chunk);
  }

  /** Bytes, so far; ends the present chunk. */
  get length(): number {
    this.#flush();
    return this.#length;
  }

  toBytes(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.length);
    let offset = 0;
    for (const chunk of this.#chunks) {
      bytes.set(chunk, offset);
      offset += chunk.length;
    }
    return bytes;
  }

  #fields(): BinaryWriter {
    this.#writerIsEmpty = false;
    return this.#writer;
  }

  #finished(): readonly Uint8Array[] {
    this.#flush();
    return this.#chunks;
  }

  /** Small chunks are joined, so that a graph of many nodes does not become a list of many arrays. */
  #append(chunk: Uint8Array): void {
    if (chunk.length < 4096) {
      this.#fields().raw(chunk);
      return;
    }
    this.#flush();
    this.#chunks.push(chunk);
    this.#length += chunk.length;
  }

  #flush(): void {
    if (this.#writerIsEmpty) return;
    const chunk = this.#writer.finish();
    this.#writerIsEmpty = true;
    this.#chunks.push(chunk);
    this.#length += chunk.length;
  }
}
