import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';

/** What one experiment with one seed came to, in percent. */
export interface Result {
  readonly stage: 1 | 2;
  readonly name: string;
  readonly seed: number;
  readonly scores: Readonly<Record<string, number>>;
  /** Parameters that were trained, and all of them, frozen ones too. */
  readonly trained: number;
  readonly parameters: number;
}

/** Results in a file, which is whole at any moment: a run that was interrupted goes on where it was. */
export class Results {
  readonly #path: string;
  readonly #all: Result[];

  constructor(path: string) {
    this.#path = path;
    this.#all = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Result[]) : [];
  }

  get all(): readonly Result[] {
    return this.#all;
  }

  has({ stage, name, seed }: Pick<Result, 'stage' | 'name' | 'seed'>): boolean {
    return this.#all.some((one) => one.stage === stage && one.name === name && one.seed === seed);
  }

  add(result: Result): void {
    this.#all.push(result);
    writeFileSync(`${this.#path}.new`, `${JSON.stringify(this.#all, undefined, 2)}\n`);
    renameSync(`${this.#path}.new`, this.#path);
  }
}
