/** One entry of a list, or one value of an object, as it was found. */
export interface JsonEntry {
  /** The key of the outer object it belongs to; `undefined` when the whole file is a list. */
  readonly key: string | undefined;
  /** Its number in its list; `undefined` for a value of the outer object that is no list. */
  readonly index: number | undefined;
  readonly value: unknown;
}

/** What is wrong with a text of JSON, in words that follow the file's name. */
export class JsonProblem extends Error {
  /** What was expected, and what to do. */
  readonly cure: string;

  constructor(message: string, { cure, cause }: { readonly cure?: string; readonly cause?: unknown } = {}) {
    super(message, { cause });
    this.cure = cure ?? 'Expected complete JSON. Download or copy it again.';
  }
}

/** An entry may have so many bytes; those of the known data sets have some thousands. */
const LARGEST_ENTRY = 64 * 2 ** 20;

const DECODER = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const [QUOTE, BACKSLASH, COLON, COMMA] = [0x22, 0x5c, 0x3a, 0x2c];
const [BRACE, BRACE_END, BRACKET, BRACKET_END] = [0x7b, 0x7d, 0x5b, 0x5d];
/** Braces and brackets differ in this bit alone. */
const SHAPE_BIT = 0x20;

/** A byte order mark in UTF-8. It says nothing, and many editors write one. */
const MARK = [0xef, 0xbb, 0xbf];
/** Begins one in UTF-16, which no UTF-8 begins with. */
const UTF_16 = [0xff, 0xfe];

/** What is expected at the depth of entries. */
type State = 'begin' | 'key' | 'value' | 'after list' | 'end';

/**
 * Takes JSON apart while it is read: a list into its entries, an object into the entries of its lists and its other values.
 *
 * Annotations come as lists of hundreds of megabytes, more than a string may hold. Here brackets are counted, and the text
 * of each entry goes through `JSON.parse` by itself.
 */
export class JsonEntryScanner {
  readonly #isWanted: (key: string) => boolean;
  readonly #onEntry: (entry: JsonEntry) => void;
  #state: State = 'begin';
  /** Containers that are open around the place. Entries lie at depth 1, or 2 in a list of the outer object. */
  #depth = 0;
  #entryDepth = 0;
  #isObject = false;
  #key: string | undefined;
  #index: number | undefined;
  #inString = false;
  #escaped = false;
  /** Bytes of a byte order mark that have come; -1 when there is none, or no more. */
  #mark = 0;
  /** Nothing but white space has come since the last comma, colon or opening bracket. */
  #blank = true;
  /** The last of these was a comma, so that something has to come. */
  #afterComma = false;
  /** Bytes of the present key or entry from earlier pieces. */
  #earlier: Uint8Array[] = [];
  #earlierBytes = 0;

  /**
   * @param onEntry - Called for each entry, in order.
   * @param isWanted - Values of the outer object with other keys are passed over unread.
   */
  constructor(onEntry: (entry: JsonEntry) => void, isWanted: (key: string) => boolean = () => true) {
    this.#onEntry = onEntry;
    this.#isWanted = isWanted;
  }

  /** @throws {JsonProblem} when the text is broken. */
  push(piece: Uint8Array): void {
    let at = this.#mark < 0 ? 0 : this.#skipMark(piece);
    let from = at;
    while (at < piece.length) {
      if (this.#inString || this.#depth > this.#entryDepth) {
        at = this.#skipInside(piece, at);
        continue;
      }
      const byte = piece[at]!;
      if (byte === QUOTE && this.#entryDepth > 0) {
        this.#assertExpected(byte);
        this.#inString = true;
        this.#blank = false;
      } else if (!isSpace(byte) && this.#meet(byte, piece, from, at)) {
        from = at + 1;
      }
      at++;
    }
    if (this.#state === 'key' || this.#state === 'value') this.#keep(piece.subarray(from));
  }

  /** @throws {JsonProblem} when the text is not complete. */
  end(): void {
    if (this.#state === 'begin') throw new JsonProblem('is empty');
    if (this.#state !== 'end') throw new JsonProblem(`ends in the middle (${this.#place()})`);
  }

  /** The inside of a text or of an entry's brackets, as far as the piece goes. @returns the place after it. */
  #skipInside(piece: Uint8Array, from: number): number {
    let [depth, inString, escaped] = [this.#depth, this.#inString, this.#escaped];
    let at = from;
    do {
      const byte = piece[at]!;
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === BACKSLASH) escaped = true;
        else if (byte === QUOTE) inString = false;
      } else if (byte === QUOTE) inString = true;
      else if ((byte | SHAPE_BIT) === BRACE) depth++;
      else if ((byte | SHAPE_BIT) === BRACE_END) depth--;
      at++;
    } while (at < piece.length && (inString || depth > this.#entryDepth));
    [this.#depth, this.#inString, this.#escaped] = [depth, inString, escaped];
    return at;
  }

  /** A byte order mark, which may come in several pieces. @returns the place after it. */
  #skipMark(piece: Uint8Array): number {
    if (this.#mark === 0 && UTF_16.includes(piece[0]!)) throw notUtf8('at its beginning');
    let at = 0;
    while (at < piece.length && this.#mark >= 0 && this.#mark < MARK.length) {
      if (piece[at] !== MARK[this.#mark]) {
        if (this.#mark > 0) throw notUtf8('at its beginning');
        break;
      }
      this.#mark++;
      at++;
    }
    if (at < piece.length || this.#mark === MARK.length) this.#mark = -1;
    return at;
  }

  /** A byte at the depth of entries. @returns whether a new key or entry begins after it. */
  #meet(byte: number, piece: Uint8Array, from: number, at: number): boolean {
    this.#assertExpected(byte);
    if (this.#state === 'begin') return this.#beginText(byte);
    if (byte === COMMA || byte === BRACE_END || byte === BRACKET_END) return this.#finish(byte, piece, from, at);
    if (this.#state === 'key' && byte === COLON) {
      this.#key = this.#parse(piece.subarray(from, at), true) as string;
      this.#begin('value');
      return true;
    }
    const beginsList = byte === BRACKET && this.#state === 'value' && this.#blank && this.#isObject && this.#entryDepth === 1;
    if (beginsList && this.#isWanted(this.#key!)) {
      this.#depth = this.#entryDepth = 2;
      this.#index = 0;
      this.#begin('value');
      return true;
    }
    if (byte === BRACE || byte === BRACKET) this.#depth++;
    this.#blank = false;
    return false;
  }

  #beginText(byte: number): boolean {
    this.#isObject = byte === BRACE;
    this.#index = this.#isObject ? undefined : 0;
    this.#depth = this.#entryDepth = 1;
    this.#begin(this.#isObject ? 'key' : 'value');
    return true;
  }

  /** A comma or a closing bracket: what came before it is complete. */
  #finish(byte: number, piece: Uint8Array, from: number, at: number): boolean {
    const inObject = this.#isObject && this.#entryDepth === 1;
    const closes = byte !== COMMA;
    if (closes && (byte === BRACE_END) !== inObject) throw this.#broken();
    const isNothing = closes && this.#blank && !this.#afterComma && this.#state === (inObject ? 'key' : 'value');
    if (!isNothing && this.#state !== 'after list') {
      if (this.#state === 'key') throw this.#broken();
      this.#give(piece.subarray(from, at));
    }
    if (!closes) this.#begin(inObject ? 'key' : 'value', true);
    else if (this.#entryDepth === 2) {
      this.#depth = this.#entryDepth = 1;
      this.#index = undefined;
      this.#begin('after list');
    } else {
      this.#depth = 0;
      this.#begin('end');
    }
    return true;
  }

  #give(bytes: Uint8Array): void {
    const isRead = !this.#isObject || this.#isWanted(this.#key!);
    if (isRead) this.#onEntry({ key: this.#key, index: this.#index, value: this.#parse(bytes, false) });
    if (this.#index !== undefined) this.#index++;
  }

  #begin(state: State, afterComma = false): void {
    this.#state = state;
    this.#blank = true;
    this.#afterComma = afterComma;
    this.#earlier = [];
    this.#earlierBytes = 0;
  }

  #parse(bytes: Uint8Array, isKey: boolean): unknown {
    const whole = this.#earlier.length === 0 ? bytes : concatenate([...this.#earlier, bytes]);
    let value: unknown;
    let text: string;
    try {
      text = DECODER.decode(whole);
    } catch (cause) {
      throw notUtf8(this.#place(), cause);
    }
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw this.#broken(cause, notANumber(text));
    }
    if (isKey && typeof value !== 'string') throw this.#broken();
    return value;
  }

  #keep(bytes: Uint8Array): void {
    if (this.#state === 'value' && this.#isObject && !this.#isWanted(this.#key!)) return;
    this.#earlierBytes += bytes.length;
    if (this.#earlierBytes > LARGEST_ENTRY) {
      throw new JsonProblem(`has more than ${LARGEST_ENTRY / 2 ** 20} MiB in one place (${this.#place()})`);
    }
    this.#earlier.push(new Uint8Array(bytes)); // a copy: a source may fill the same piece again
  }

  /** Refuses what can stand neither before the text, after it, nor after one of its lists. */
  #assertExpected(byte: number): void {
    if (this.#state === 'begin' && byte !== BRACE && byte !== BRACKET) throw new JsonProblem('is no JSON list or object');
    if (this.#state === 'end') throw new JsonProblem('goes on after its end');
    if (this.#state === 'after list' && byte !== COMMA && byte !== BRACE_END) throw this.#broken();
  }

  #broken(cause?: unknown, word?: string): JsonProblem {
    if (word === undefined) return new JsonProblem(`is broken JSON (${this.#place()})`, { cause });
    const cure =
      'Expected a number, a text or null. Correct the program that wrote it: Python writes such words unless it is told not to.';
    return new JsonProblem(`has ${word}, which JSON does not know (${this.#place()})`, { cure, cause });
  }

  #place(): string {
    const list = this.#key === undefined ? '' : ` of '${this.#key}'`;
    return this.#index === undefined ? `after '${this.#key ?? '{'}'` : `entry ${this.#index}${list}`;
  }
}

function notUtf8(place: string, cause?: unknown): JsonProblem {
  return new JsonProblem(`is not UTF-8 (${place})`, { cure: 'Expected JSON in UTF-8. Save it in that encoding.', cause });
}

/** The word that stands for a number that is none, outside of texts. */
function notANumber(text: string): string | undefined {
  return /-?Infinity|NaN/.exec(text.replaceAll(/"(?:[^"\\]|\\.)*"/gs, '""'))?.[0];
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
