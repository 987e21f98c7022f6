/**
 * Events of TensorBoard as protocol buffers, written by hand: the few fields that scalars need.
 *
 * Sources: TensorFlow `core/util/event.proto` (Event: wall_time 1, step 2, file_version 3, summary 5, session_log 7; SessionLog:
 * status 1, START = 1) and `core/framework/summary.proto` (Summary: value 1; Value: tag 1, simple_value 2);
 * https://protobuf.dev/programming-guides/encoding.
 */

/** An event: what a file begins with, numbers of a step, or the mark that a run goes on from a step. */
export type TensorBoardEvent = { readonly timeMs: number } & (
  | { readonly kind: 'version' }
  | { readonly kind: 'scalars'; readonly step: number; readonly scalars: Readonly<Record<string, number>> }
  /** TensorBoard forgets what earlier files say of this step and later ones. */
  | { readonly kind: 'restart'; readonly step: number }
);

/** How a field's value is stored. */
const [VARINT, FIXED_64, BYTES, FIXED_32] = [0, 1, 2, 5] as const;

/** The bytes of an event, to be put into a record. */
export function encodeEvent(event: TensorBoardEvent): Uint8Array {
  const time = [...tag(1, FIXED_64), ...fixed(8, (view) => view.setFloat64(0, event.timeMs / 1000, true))];
  switch (event.kind) {
    case 'version':
      return Uint8Array.from([...time, ...text(3, 'brain.Event:2')]);
    case 'restart':
      return Uint8Array.from([...time, ...tag(2, VARINT), ...varint(event.step), ...message(7, [...tag(1, VARINT), 1])]);
    case 'scalars':
      return Uint8Array.from([...time, ...tag(2, VARINT), ...varint(event.step), ...message(5, summary(event.scalars))]);
  }
}

function summary(scalars: Readonly<Record<string, number>>): number[] {
  return Object.entries(scalars).flatMap(([name, value]) =>
    message(1, [...text(1, name), ...tag(2, FIXED_32), ...fixed(4, (view) => view.setFloat32(0, value, true))]),
  );
}

function tag(field: number, type: number): number[] {
  return varint(field * 8 + type);
}

/** Seven bits a byte, the lowest first; steps may need more than the 32 bits of shifts. */
function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  return [...bytes, rest];
}

function message(field: number, content: readonly number[]): number[] {
  return [...tag(field, BYTES), ...varint(content.length), ...content];
}

function text(field: number, value: string): number[] {
  return message(field, [...new TextEncoder().encode(value)]);
}

function fixed(size: number, write: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(size);
  write(new DataView(bytes.buffer));
  return bytes;
}
