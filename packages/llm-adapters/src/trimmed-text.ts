/**
 * Strips a text that comes in pieces: what is pushed out, joined, is the whole text without white space at its ends.
 * White space therefore waits for the word after it.
 */
export class TrimmedText {
  #waiting = '';
  #started = false;

  /** Takes a piece. @returns what can be shown now. */
  push(piece: string): string {
    const text = this.#waiting + piece;
    const shown = text.trimEnd();
    if (shown === '') {
      this.#waiting = this.#started ? text : '';
      return '';
    }
    this.#waiting = text.slice(shown.length);
    const first = !this.#started;
    this.#started = true;
    return first ? shown.trimStart() : shown;
  }
}
