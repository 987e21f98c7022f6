/** Steps that the rate is measured over. */
const WINDOW = 50;

/** The rate of the last steps. */
export class Pace {
  #times: number[] = [];

  /** A step has ended. @param now - In milliseconds, from any zero. */
  step(now: number): void {
    this.#times.push(now);
    if (this.#times.length > WINDOW + 1) this.#times.shift();
  }

  /** Absent before the second step. */
  get stepsPerSecond(): number | undefined {
    const [first, last] = [this.#times[0], this.#times.at(-1)];
    if (first === undefined || last === undefined || last <= first) return undefined;
    return ((this.#times.length - 1) * 1000) / (last - first);
  }
}
