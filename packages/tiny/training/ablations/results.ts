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

/** Results of one seed in a file, which is whole at any moment: a run that was interrupted goes on where it was. */
export class Results {
  readonly #path: string;
  readonly #all: Result[];

  constructor(path: string) {
    this.#path = path;
    this.#all = existsSync(path) ? readResults(path) : [];
  }

  has(stage: Result['stage'], name: string): boolean {
    return this.#all.some((one) => one.stage === stage && one.name === name);
  }

  add(result: Result): void {
    this.#all.push(result);
    console.log(result.seed, result.name, result.scores);
    writeFileSync(`${this.#path}.new`, `${JSON.stringify(this.#all, undefined, 2)}\n`);
    renameSync(`${this.#path}.new`, this.#path);
  }
}

export function readResults(path: string): Result[] {
  return JSON.parse(readFileSync(path, 'utf8')) as Result[];
}
