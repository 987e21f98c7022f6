/** What a run has opened, closed in the opposite order. Node 22 has no `AsyncDisposableStack`. */
export class Resources {
  readonly #closers: (() => unknown)[] = [];

  /** @returns the resource. */
  use<Resource extends Disposable | AsyncDisposable>(resource: Resource): Resource {
    this.#closers.push(() => (Symbol.asyncDispose in resource ? resource[Symbol.asyncDispose]() : resource[Symbol.dispose]()));
    return resource;
  }

  /** Calls something at the end. */
  defer(close: () => unknown): void {
    this.#closers.push(close);
  }

  /** Closes everything, also when something fails to; the first failure is thrown. */
  async close(): Promise<void> {
    const failures: unknown[] = [];
    for (let close = this.#closers.pop(); close !== undefined; close = this.#closers.pop()) {
      try {
        await close();
      } catch (cause) {
        failures.push(cause);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
