import type { BenchmarkRun, ScoredItem } from '../benchmarks/benchmark-run.ts';
import { isNumbers, scoreTitle } from './run-scores.ts';

/** Scores of groups of items. */
export interface Breakdown {
  /** What the items are grouped by. */
  readonly title: string;
  /** The best group first; numbers in their order. */
  readonly rows: readonly BreakdownRow[];
  /** True for means of the items' scores; false for scores that the benchmark computes for a group. */
  readonly isMean: boolean;
}

export interface BreakdownRow {
  readonly name: string;
  /** How many items are in the group, where that is known. */
  readonly count?: number;
  /** In the run's units. */
  readonly score: number;
}

/** Breakdowns of a run: those of its scores, and then those of its items' groups that its scores do not have. */
export function breakdowns(run: BenchmarkRun): Breakdown[] {
  const counts = groupItems(run.items);
  const own = [...ownBreakdowns(run)].map(([title, rows]) => ({
    title,
    isMean: false,
    rows: ordered(
      rows.map((row) => ({ ...row, count: row.count ?? counts.get(title)?.get(row.name)?.length })),
      title === 'recall',
    ),
  }));
  const titles = new Set(own.map(({ title }) => title));
  const ofItems = [...counts]
    .filter(([title]) => !titles.has(title))
    .map(([title, groups]) => ({
      title,
      isMean: true,
      rows: ordered(
        [...groups].map(([name, items]) => ({
          name,
          count: items.length,
          score: items.reduce((sum, { score }) => sum + score, 0) / items.length,
        })),
      ),
    }));
  return [...own, ...ofItems].filter(({ rows }) => rows.length > 0);
}

function ownBreakdowns({ benchmark, mainScore, scores }: BenchmarkRun): Map<string, BreakdownRow[]> {
  const all = new Map<string, BreakdownRow[]>();
  const add = (title: string, rows: readonly (BreakdownRow | undefined)[]): void => {
    const some = rows.filter((row) => row !== undefined);
    if (some.length > 0) all.set(title, some);
  };
  if (benchmark === 'nocaps')
    add(
      'domain',
      Object.entries(scores).map(([name, part]) => {
        const score = name !== 'entire' && isNumbers(part) ? part[mainScore] : undefined;
        return score === undefined ? undefined : { name, score };
      }),
    );
  if (benchmark === 'flickr30k' || benchmark === 'coco-retrieval')
    add(
      'recall',
      ['txt_r1', 'txt_r5', 'txt_r10', 'img_r1', 'img_r5', 'img_r10'].map((name) =>
        typeof scores[name] === 'number' ? { name: scoreTitle(name), score: scores[name] } : undefined,
      ),
    );
  for (const [name, groups] of Object.entries(scores)) {
    if (!/^per[A-Z]/.test(name) || typeof groups !== 'object' || groups === null) continue;
    add(
      scoreTitle(name),
      Object.entries(groups).map(([group, value]) => rowOf(group, value)),
    );
  }
  return all;
}

/** Of a number, or of `{ accuracy, count }`. */
function rowOf(name: string, value: unknown): BreakdownRow | undefined {
  if (typeof value === 'number') return { name, score: value };
  if (typeof value !== 'object' || value === null) return undefined;
  const { accuracy, count } = value as { readonly accuracy?: unknown; readonly count?: unknown };
  if (typeof accuracy !== 'number') return undefined;
  return { name, score: accuracy, ...(typeof count === 'number' ? { count } : {}) };
}

/** Items by grouping and group. */
export function groupItems<Item extends Pick<ScoredItem, 'groups'>>(items: readonly Item[]): Map<string, Map<string, Item[]>> {
  const all = new Map<string, Map<string, Item[]>>();
  for (const item of items) {
    for (const [title, name] of Object.entries(item.groups ?? {})) {
      const groups = all.get(title) ?? all.set(title, new Map()).get(title)!;
      const group = groups.get(name);
      if (group === undefined) groups.set(name, [item]);
      else group.push(item);
    }
  }
  return all;
}

/** Numbers in their order, other names by score. */
export function ordered<Row extends { readonly name: string; readonly score: number; readonly count?: number }>(
  rows: readonly Row[],
  keep = false,
): Row[] {
  if (keep) return [...rows];
  if (rows.every(({ name }) => /^\d+$/.test(name))) return rows.toSorted((a, b) => Number(a.name) - Number(b.name));
  return rows.toSorted((a, b) => b.score - a.score || (b.count ?? 0) - (a.count ?? 0) || (a.name < b.name ? -1 : 1));
}

/** Groups that a drawing shows; a table below it has them all. */
const MOST_GROUPS = 24;

/** Those with the most items, in the order that they have. */
export function largestGroups<Row extends { readonly count?: number }>(rows: readonly Row[]): Row[] {
  const largest = new Set(rows.toSorted((a, b) => (b.count ?? 0) - (a.count ?? 0)).slice(0, MOST_GROUPS));
  return rows.filter((row) => largest.has(row));
}
