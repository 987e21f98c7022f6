import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';

/** A protobuf message without a schema: the values of each field number, in order. */
export interface DecodedMessage {
  /** The field's values: bytes of strings and messages, numbers of the rest. */
  all(field: number): readonly (Uint8Array | number)[];
  message(field: number): DecodedMessage;
  messages(field: number): readonly DecodedMessage[];
  text(field: number): string | undefined;
  texts(field: number): readonly string[];
  integer(field: number): number | undefined;
  /** A packed list of integers. */
  integers(field: number): readonly number[];
}

/** Reads any protobuf message, for tests of what was written. */
export function decodeMessage(bytes: Uint8Array): DecodedMessage {
  const fields = new Map<number, (Uint8Array | number)[]>();
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    const values = fields.get(field) ?? [];
    fields.set(field, values);
    if (wireType === WireType.LengthDelimited) values.push(reader.bytes());
    else if (wireType === WireType.Varint) values.push(Number(reader.int64()));
    else if (wireType === WireType.Bit32) values.push(reader.float());
    else throw new Error(`wire type ${wireType} in field ${field}`);
  }
  const all = (field: number): readonly (Uint8Array | number)[] => fields.get(field) ?? [];
  const texts = (field: number): readonly string[] => all(field).map((one) => new TextDecoder().decode(one as Uint8Array));
  const messages = (field: number): readonly DecodedMessage[] => all(field).map((one) => decodeMessage(one as Uint8Array));
  return {
    all,
    texts,
    messages,
    message: (field) => messages(field)[0]!,
    text: (field) => texts(field)[0],
    integer: (field) => all(field)[0] as number | undefined,
    integers(field) {
      const packed = new BinaryReader((all(field)[0] as Uint8Array | undefined) ?? new Uint8Array());
      const values: number[] = [];
      while (packed.pos < packed.len) values.push(Number(packed.int64()));
      return values;
    },
  };
}
