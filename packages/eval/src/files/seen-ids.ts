import type { JsonEntry } from '@blip2/core/json';
import type { Id, IndexOptions } from '../ids.ts';
import type { OpenFile } from './read-formats.ts';

/** Refuses an id that came before, or lets the first count. */
export class SeenIds {
  readonly #ids = new Set<Id>();
  readonly #what: string;
  readonly #options: IndexOptions | undefined;

  /** @param options - Where duplicates may be allowed. */
  constructor(what: string, options?: IndexOptions) {
    this.#what = what;
    this.#options = options;
  }

  /**
   * @returns whether the entry counts.
   * @throws {DatasetError} naming the second entry of an id.
   */
  isNew(id: Id, entry: JsonEntry, file: OpenFile): boolean {
    if (this.#ids.size < this.#ids.add(id).size) return true;
    if (this.#options?.duplicates === 'first') return false;
    const cure = this.#options === undefined ? '' : ", or pass duplicates: 'first' to keep the first of each";
    throw file.fail(
      `is about ${this.#what} ${JSON.stringify(id)} again, expected one entry each. Remove one of the two${cure}.`,
      entry,
    );
  }
}
