import { InputError } from '@blip2/core/errors';
import { assertKnownIds, assertSameIds, assertTexts, listIds } from '../ids.ts';
import type { Id } from '../ids.ts';
import { bleuOfCounts } from './bleu.ts';
import { ciderOfCounts } from './cider.ts';
import { countCaptions } from './n-grams.ts';
import { tokenizePtb } from './ptb/tokenizer.ts';
import { rougeL } from './rouge.ts';
import type { CaptionTokenizer, TokenizedCaptions } from './tokenizer.ts';

/** The metrics that need nothing but this package, by the names that the COCO tools give them; `CIDEr` is CIDEr-D. */
export type CaptionMetric = 'Bleu_1' | 'Bleu_2' | 'Bleu_3' | 'Bleu_4' | 'ROUGE_L' | 'CIDEr';

/** What to score. */
export interface CaptionInput {
  /** The captions that people wrote, by image; `readCaptionAnnotations` and `cocoAnnotations` have them. */
  readonly references: ReadonlyMap<Id, readonly string[]>;
  /** One caption an image; see `readCaptionResults` and `captionResults`. */
  readonly candidates: ReadonlyMap<Id, string>;
  /** Score these images alone, in every respect: counts and document frequencies are theirs. @default all */
  readonly images?: Iterable<Id>;
  /** `'throw'`: an image without a candidate is an error. `'leave-out'`: it is not scored, and reported. @default 'throw' */
  readonly missing?: 'throw' | 'leave-out';
  /** @default tokenizePtb, the official one */
  readonly tokenize?: CaptionTokenizer;
}

/** Captions of the images that are scored, in tokens. */
export interface PreparedCaptions {
  readonly ids: readonly Id[];
  readonly captions: readonly TokenizedCaptions[];
  /** Images without a candidate. */
  readonly leftOut: readonly Id[];
}

/** Scores as the official tools compute them, before rounding: 0 to 1, CIDEr 0 to 10. Papers print them times 100. */
export interface CaptionEvaluation {
  readonly corpus: Readonly<Record<CaptionMetric, number>>;
  readonly perImage: ReadonlyMap<Id, Readonly<Record<CaptionMetric, number>>>;
  /** CIDEr + BLEU-4: by which LAVIS selects a model. */
  readonly aggregate: number;
  /** Images that have no candidate and were left out on request. */
  readonly leftOut: readonly Id[];
}

/**
 * BLEU-1 to BLEU-4, ROUGE-L and CIDEr-D of captions, as the COCO tools report them.
 *
 * @throws {InputError} when an image has no candidate or no reference, when a candidate's image is unknown, or when nothing is left.
 *
 * @example
 * const { corpus } = evaluateCaptions({
 *   references: new Map([[1, ['a dog on grass']], [2, ['two red cars']]]),
 *   candidates: new Map([[1, 'A dog on the grass.'], [2, 'two cars']]),
 * });
 * console.log(corpus.CIDEr, corpus.Bleu_4);
 *
 * METEOR and SPICE are Java programs: see `@blip2/eval/node`.
 * Source: tylin/coco-caption and pycocoevalcap, `eval.py`.
 */
export function evaluateCaptions(input: CaptionInput): CaptionEvaluation {
  return scorePrepared(prepareCaptions(input));
}

/**
 * The first half of {@link evaluateCaptions}: checks ids, chooses images, and tokenises, all references in one pass and all candidates in another.
 *
 * @throws {InputError} as {@link evaluateCaptions}.
 */
export function prepareCaptions({
  references,
  candidates,
  images,
  missing = 'throw',
  tokenize = tokenizePtb,
}: CaptionInput): PreparedCaptions {
  const where = 'evaluateCaptions';
  assertKnownIds(`${where}: candidates`, candidates, references, 'images of the references');
  const chosen = images === undefined ? references : choose(references, images);
  if (missing === 'throw') assertSameIds(`${where}: candidates`, choose(candidates, chosen.keys(), true), chosen, 'images');
  const ids = [...chosen.keys()].filter((id) => candidates.has(id));
  const leftOut = [...chosen.keys()].filter((id) => !candidates.has(id));
  if (ids.length === 0)
    throw new InputError(`${where}: no image is left to score, expected at least one. Check the files, or the images asked for.`);
  const bare = ids.filter((id) => chosen.get(id)!.length === 0);
  if (bare.length > 0)
    throw new InputError(
      `${where}: ${bare.length} of ${ids.length} images have no reference caption (${listIds(bare)}), expected at least one. Leave these images out, or add captions.`,
    );

  for (const id of ids) {
    assertTexts(`${where}: references: image`, id, chosen.get(id)!);
    assertTexts(`${where}: candidates: image`, id, [candidates.get(id)]);
  }

  const tokens = tokenize(ids.flatMap((id) => [...chosen.get(id)!]));
  const spoken = tokenize(ids.map((id) => candidates.get(id)!));
  let next = 0;
  const captions = ids.map((id, index) => {
    const first = next;
    next += chosen.get(id)!.length;
    return { candidate: spoken[index]!, references: tokens.slice(first, next) };
  });
  return { ids, captions, leftOut };
}

/** The second half of {@link evaluateCaptions}. */
export function scorePrepared({ ids, captions, leftOut }: PreparedCaptions): CaptionEvaluation {
  const { table, counted } = countCaptions(captions);
  const [blue, rouge, consensus] = [bleuOfCounts(counted, table), rougeL(captions), ciderOfCounts(counted, table)];
  const named = (scores: readonly number[], rougeScore: number, ciderScore: number): Record<CaptionMetric, number> => ({
    Bleu_1: scores[0]!,
    Bleu_2: scores[1]!,
    Bleu_3: scores[2]!,
    Bleu_4: scores[3]!,
    ROUGE_L: rougeScore,
    CIDEr: ciderScore,
  });
  const corpus = named(blue.corpus, rouge.corpus, consensus.corpus);
  const perImage = new Map(
    ids.map((id, index) => [id, named(blue.perImage[index]!, rouge.perImage[index]!, consensus.perImage[index]!)] as const),
  );
  return { corpus, perImage, aggregate: corpus.CIDEr + corpus.Bleu_4, leftOut };
}

/** The entries of some ids, each once, in the order of the map: the COCO tools' values do not depend on it, but files do. */
function choose<Value>(all: ReadonlyMap<Id, Value>, ids: Iterable<Id>, lenient = false): Map<Id, Value> {
  const wanted = new Set(ids);
  const unknown = [...wanted].filter((id) => !all.has(id));
  if (unknown.length > 0 && !lenient)
    throw new InputError(
      `evaluateCaptions: ${unknown.length} of the images asked for have no references (${listIds(unknown)}), expected images of the annotation file. Correct the list.`,
    );
  return new Map([...all].filter(([id]) => wanted.has(id)));
}
