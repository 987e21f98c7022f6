import type { CaptionEvaluation } from '../captions/evaluate.ts';
import type { Id } from '../ids.ts';
import type { ScoredItem } from './benchmark-run.ts';
import type { Scored } from './scored.ts';

/** A caption metric, or several that are computed together, by the names of the command. */
export const CAPTION_METRICS = ['bleu', 'rouge', 'cider', 'meteor', 'spice'] as const;
export type CaptionMetricGroup = (typeof CAPTION_METRICS)[number];

/** Scores of captions, METEOR and SPICE among them where they could be computed: `evaluateAllCaptionMetrics` gives it. */
export interface ScoredCaptions extends CaptionEvaluation {
  readonly meteor?: { readonly name: string; readonly corpus: number; readonly perImage: ReadonlyMap<Id, number> };
  readonly spice?: {
    readonly corpus: number;
    readonly perImage: ReadonlyMap<Id, Readonly<Record<string, { readonly f: number }>>>;
  };
  readonly unavailable?: ReadonlyMap<string, Error>;
}

/** What captions are scored of, and what a report shows beside them. */
export interface CaptionRunInput {
  readonly references: ReadonlyMap<Id, readonly string[]>;
  readonly candidates: ReadonlyMap<Id, string>;
  /** Which metrics to report. @default all */
  readonly metrics?: readonly CaptionMetricGroup[];
  /** The images' files, for reports. */
  readonly imageFiles?: ReadonlyMap<Id, string>;
}

/** COCO captions: the metrics by the names of the official tools; fractions. */
export function scoreCocoCaptions(evaluation: ScoredCaptions, input: CaptionRunInput): Scored {
  return {
    benchmark: 'coco-caption',
    mainScore: 'CIDEr',
    scores: corpusScores(evaluation, input),
    ...unavailableOf([evaluation]),
    items: itemsOf(evaluation, input),
  };
}

/**
 * NoCaps: the same, for each domain and for all images (`entire`), each an evaluation of its own.
 *
 * @param evaluations - By domain, with `entire`.
 * @param input.domains - Of each image.
 */
export function scoreNoCaps(
  evaluations: ReadonlyMap<string, ScoredCaptions>,
  input: CaptionRunInput & { readonly domains: ReadonlyMap<Id, string> },
): Scored {
  const items = itemsOf(evaluations.get('entire')!, input);
  return {
    benchmark: 'nocaps',
    mainScore: 'CIDEr',
    scores: Object.fromEntries([...evaluations].map(([domain, one]) => [domain, corpusScores(one, input)])),
    ...unavailableOf([...evaluations.values()]),
    items: items.map((item) => ({ ...item, groups: { domain: input.domains.get(item.id)! } })),
  };
}

const NAMES = {
  bleu: ['Bleu_1', 'Bleu_2', 'Bleu_3', 'Bleu_4'],
  rouge: ['ROUGE_L'],
  cider: ['CIDEr'],
} as const;

function corpusScores(
  { corpus, meteor, spice }: ScoredCaptions,
  { metrics = CAPTION_METRICS }: CaptionRunInput,
): Record<string, number> {
  return pick(corpus, meteor && [meteor.name, meteor.corpus], spice?.corpus, metrics);
}

function itemsOf({ perImage, meteor, spice }: ScoredCaptions, input: CaptionRunInput): ScoredItem[] {
  const { references, candidates, imageFiles, metrics = CAPTION_METRICS } = input;
  return [...perImage].map(([id, scores]) => {
    const meteorScore = meteor && ([meteor.name, meteor.perImage.get(id)!] as const);
    const { CIDEr: _, ...otherScores } = pick(scores, meteorScore, spice?.perImage.get(id)?.['All']?.f, metrics);
    const image = imageFiles?.get(id);
    return {
      id,
      score: scores.CIDEr,
      otherScores,
      prediction: candidates.get(id)!,
      references: references.get(id)!,
      ...(image === undefined ? {} : { image }),
    };
  });
}

/** The scores that were asked for. */
function pick(
  scores: Readonly<Record<string, number>>,
  meteor: readonly [name: string, score: number] | undefined,
  spice: number | undefined,
  metrics: readonly CaptionMetricGroup[],
): Record<string, number> {
  const counted = (['bleu', 'rouge', 'cider'] as const).filter((metric) => metrics.includes(metric));
  return {
    ...Object.fromEntries(counted.flatMap((metric) => NAMES[metric].map((name) => [name, scores[name]!]))),
    ...(meteor !== undefined && metrics.includes('meteor') ? { [meteor[0]]: meteor[1] } : {}),
    ...(spice !== undefined && metrics.includes('spice') ? { SPICE: spice } : {}),
  };
}

function unavailableOf(evaluations: readonly ScoredCaptions[]): Pick<Scored, 'unavailable'> {
  const reasons = evaluations
    .flatMap(({ unavailable }) => [...(unavailable ?? [])])
    .map(([name, { message }]) => [name, message]);
  return reasons.length === 0 ? {} : { unavailable: Object.fromEntries(reasons) };
}
