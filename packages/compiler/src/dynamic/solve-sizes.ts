import { type AxisExpression, evaluateAxis } from '@blip2/core';

/** Sizes of the named axes in one trace. */
export type Assignment = ReadonlyMap<string, number>;

/** A product of names and of declared sums such as `past + tokens`. */
interface Candidate {
  readonly expression: AxisExpression;
  /** Its value in each trace. */
  readonly values: readonly number[];
  /** Simple expressions are tried first. */
  readonly degree: number;
}

/**
 * Finds how a number that differs between traces follows from the sizes of the named axes: as one or two products of
 * names with whole coefficients, or one and a constant. Two traces determine the coefficients, the others check them.
 */
export class SizeSolver {
  readonly #candidates: readonly Candidate[];
  readonly #known: Map<string, AxisExpression | undefined> = new Map();

  /**
   * @param assignments - Sizes in each trace: the first two determine coefficients, the others check them.
   * @param declared - Axes of the inputs, whose sums count as one: `past + tokens`, `1 + rows * columns`.
   */
  constructor(assignments: readonly Assignment[], declared: readonly AxisExpression[]) {
    const names = [...(assignments[0]?.keys() ?? [])].map((name): AxisExpression => [{ factor: 1, names: [name] }]);
    const units = distinct([...names, ...declared.filter((expression) => expression.length > 1)]);
    const make = (expression: AxisExpression, degree: number): Candidate => {
      return { expression, degree, values: assignments.map((sizes) => evaluateAxis(expression, sizes)) };
    };
    const one = make([{ factor: 1, names: [] }], 0);
    const singles = units.map((unit) => make(unit, 1));
    const pairs = combine(
      units,
      units.map((unit) => [unit]),
    ).map((unit) => make(unit, 2));
    const triples = combine(units, combineAll(units)).map((unit) => make(unit, 3));
    this.#candidates = [one, ...singles, ...pairs, ...triples];
  }

  /** @param values - The number in each trace. @returns `undefined` when no expression fits. */
  solve(values: readonly number[]): AxisExpression | undefined {
    if (values.every((value) => value === values[0])) return [{ factor: values[0]!, names: [] }];
    const key = values.join();
    if (!this.#known.has(key)) this.#known.set(key, this.#search(values));
    return this.#known.get(key);
  }

  #search(values: readonly number[]): AxisExpression | undefined {
    const [one, ...products] = this.#candidates as [Candidate, ...Candidate[]];
    for (const product of products) {
      const found = fit(product, one, values);
      if (found !== undefined) return found;
    }
    // Sums of small products before sums of large ones.
    for (let degree = 2; degree <= 5; degree++) {
      for (const [index, first] of products.entries()) {
        for (const second of products.slice(index + 1)) {
          const found = first.degree + second.degree === degree ? fit(first, second, values) : undefined;
          if (found !== undefined) return found;
        }
      }
    }
    return undefined;
  }
}

/** Coefficients so large come from coincidence, not from a model: no reshape multiplies an axis by more. */
const LARGEST_COEFFICIENT = 1 << 24;

/** Whole a and b with a·first + b·second equal to the values of every trace. */
function fit(first: Candidate, second: Candidate, values: readonly number[]): AxisExpression | undefined {
  const [p, q] = [first.values, second.values];
  const determinant = p[0]! * q[1]! - p[1]! * q[0]!;
  if (determinant === 0) return undefined;
  const a = (values[0]! * q[1]! - values[1]! * q[0]!) / determinant;
  const b = (p[0]! * values[1]! - p[1]! * values[0]!) / determinant;
  if (!isCoefficient(a) || !isCoefficient(b) || a === 0) return undefined;
  if (values.some((value, trace) => value !== a * p[trace]! + b * q[trace]!)) return undefined;
  return [...scaled(first.expression, a), ...(b === 0 ? [] : scaled(second.expression, b))];
}

function isCoefficient(value: number): boolean {
  return Number.isInteger(value) && Math.abs(value) <= LARGEST_COEFFICIENT;
}

function scaled(expression: AxisExpression, factor: number): AxisExpression {
  return expression.map((term) => ({ ...term, factor: term.factor * factor }));
}

/** Every unit times every product. */
function combine(units: readonly AxisExpression[], products: readonly (readonly AxisExpression[])[]): AxisExpression[] {
  return distinct(units.flatMap((unit) => products.map((product) => product.reduce(multiply, unit))));
}

function combineAll(units: readonly AxisExpression[]): AxisExpression[][] {
  return units.flatMap((left, index) => units.slice(index).map((right) => [left, right]));
}

function multiply(left: AxisExpression, right: AxisExpression): AxisExpression {
  return left.flatMap((a) =>
    right.map((b) => ({ factor: a.factor * b.factor, names: [...a.names, ...b.names].toSorted((x, y) => (x < y ? -1 : 1)) })),
  );
}

function distinct(expressions: readonly AxisExpression[]): AxisExpression[] {
  return [...new Map(expressions.map((expression) => [axisText(expression), expression])).values()];
}

/** An expression as it is written: `past + tokens`, `1 + rows*columns`. */
export function axisText(expression: AxisExpression): string {
  const parts = expression.map(({ factor, names }) =>
    [...(factor === 1 && names.length > 0 ? [] : [factor]), ...names].join('*'),
  );
  return parts.join(' + ');
}
