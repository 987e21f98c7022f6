/** Keeps one copy of each text. Texts that come from JSON are new ones each time, and data sets repeat them by the million. */
export class Interner {
  readonly #texts = new Map<string, string>();

  of(text: string): string {
    const known = this.#texts.get(text);
    if (known === undefined) this.#texts.set(text, text);
    return known ?? text;
  }
}
