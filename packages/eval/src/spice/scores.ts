/** F-score, precision and recall of tuples, not a number where there are none, and their counts. */
export interface SpiceScore {
  readonly f: number;
  readonly pr: number;
  readonly re: number;
  readonly tp: number;
  readonly fp: number;
  /** References less matches: below 0 when several tuples of the candidate match one of the references. */
  readonly fn: number;
}

/** What SPICE says about an image: `All`, `Object`, `Attribute`, `Relation`, `Cardinality`, `Color`, `Size`. */
export type SpiceCategories = Readonly<Record<string, SpiceScore>>;
