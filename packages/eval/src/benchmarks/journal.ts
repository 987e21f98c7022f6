import type { Id } from '../ids.ts';

/** What a run has done, kept where a crash does not reach it. `openJournal` of `@blip2/eval/node` keeps it in a file. */
export interface Journal {
  /**
   * What an earlier run wrote for an item, which is forgotten here: rows of similarities are large.
   *
   * @param part - Of the run: `captions`, `similarities`.
   * @returns JSON; `undefined` when the item is not done.
   */
  take(part: string, id: Id): unknown;
  /** Writes finished items. When it resolves, they outlive the process. */
  append(part: string, entries: readonly (readonly [id: Id, value: unknown])[]): Promise<void>;
}

/** How something is written in a journal. */
export interface JournalCodec<Value> {
  toJson(value: Value): unknown;
  /** @returns `undefined` for what cannot be read: the item is done again. */
  fromJson(json: unknown): Value | undefined;
}

export const TEXT_CODEC: JournalCodec<string> = {
  toJson: (text) => text,
  fromJson: (json) => (typeof json === 'string' ? json : undefined),
};

/** Numbers, `float32`, bit by bit, in base 64. */
export const ROW_CODEC: JournalCodec<Float32Array> = {
  toJson(row) {
    const bytes = new Uint8Array(row.buffer, row.byteOffset, row.byteLength);
    let text = '';
    for (let begin = 0; begin < bytes.length; begin += 8192) text += String.fromCharCode(...bytes.subarray(begin, begin + 8192));
    return btoa(text);
  },
  fromJson(json) {
    if (typeof json !== 'string') return undefined;
    let text: string;
    try {
      text = atob(json);
    } catch {
      return undefined;
    }
    const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
    return bytes.length % 4 === 0 ? new Float32Array(bytes.buffer) : undefined;
  },
};
