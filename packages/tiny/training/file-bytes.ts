/** A text as the bytes of a file. */
export function textBytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** A value as the bytes of a JSON file. */
export function jsonBytes(value: unknown): Uint8Array {
  return textBytes(`${JSON.stringify(value, undefined, 2)}\n`);
}
