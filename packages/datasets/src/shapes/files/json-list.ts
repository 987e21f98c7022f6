import { type FileHandle, open } from 'node:fs/promises';

/** Written at a time, in characters. */
const PIECE = 2 ** 18;

/** A JSON file that is written entry by entry: data sets have more of them than fit in memory at once. */
export class JsonList {
  readonly #handle: FileHandle;
  readonly #closing: string;
  #pending: string;
  #isEmpty = true;

  private constructor(handle: FileHandle, opening: string, closing: string) {
    this.#handle = handle;
    this.#pending = opening;
    this.#closing = closing;
  }

  /** @param opening - What comes before the entries, such as `{"images":[`. */
  static async create(path: string, opening: string, closing: string): Promise<JsonList> {
    return new JsonList(await open(path, 'wx'), opening, closing);
  }

  /** @param key - For entries of an object. */
  async add(entry: unknown, key?: string): Promise<void> {
    const name = key === undefined ? '' : `${JSON.stringify(key)}:`;
    this.#pending += `${this.#isEmpty ? '' : ','}\n${name}${JSON.stringify(entry)}`;
    this.#isEmpty = false;
    if (this.#pending.length > PIECE) await this.#flush();
  }

  /** Begins another list of the same file: `],"annotations":[`. */
  between(text: string): void {
    this.#pending += text;
    this.#isEmpty = true;
  }

  /** Writes what is left and the end, and waits for the disk. */
  async end(): Promise<void> {
    this.#pending += `\n${this.#closing}\n`;
    await this.#flush();
    await this.#handle.sync();
  }

  async #flush(): Promise<void> {
    await this.#handle.writeFile(this.#pending);
    this.#pending = '';
  }

  /** Closes the file, complete or not. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}
