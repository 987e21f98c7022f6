import { prepareCaptions, scorePrepared } from '../captions/evaluate.ts';
import type { CaptionEvaluation, CaptionInput } from '../captions/evaluate.ts';
import type { Id } from '../ids.ts';
import { JavaScorerError } from './java.ts';
import type { JavaOptions, JavaScorerName } from './java.ts';
import { meteor } from './meteor.ts';
import type { MeteorOptions } from './meteor.ts';
import { spice } from './spice.ts';
import type { SpiceScores } from './spice.ts';

/** All metrics of the COCO tools; those in Java where they could run. */
export interface FullCaptionEvaluation extends CaptionEvaluation {
  readonly meteor?: { readonly corpus: number; readonly perImage: ReadonlyMap<Id, number> };
  readonly spice?: SpiceScores;
  /** Why a metric is not there. */
  readonly unavailable: ReadonlyMap<JavaScorerName, JavaScorerError>;
}

/**
 * `evaluateCaptions` and METEOR and SPICE, over the same tokens.
 *
 * @param input.required - Metrics without which the call fails; the others are reported as unavailable, with the reason. @default none
 * @throws {JavaScorerError} when a required metric cannot be computed.
 * @throws {InputError} as `evaluateCaptions`.
 */
export async function evaluateCaptionsWithJava({
  required = [],
  meteor: meteorOptions,
  spice: spiceOptions,
  ...input
}: CaptionInput & {
  readonly meteor?: MeteorOptions;
  readonly spice?: JavaOptions;
  readonly required?: readonly JavaScorerName[];
}): Promise<FullCaptionEvaluation> {
  const prepared = prepareCaptions(input);
  const unavailable = new Map<JavaScorerName, JavaScorerError>();
  const attempt = async <Result>(name: JavaScorerName, work: () => Promise<Result>): Promise<Result | undefined> => {
    try {
      return await work();
    } catch (error) {
      if (!JavaScorerError.isInstance(error) || required.includes(name)) throw error;
      unavailable.set(name, error);
      return undefined;
    }
  };
  const meteorScores = await attempt('METEOR', () => meteor(prepared.captions, meteorOptions));
  const spiceScores = await attempt('SPICE', () => spice(prepared, spiceOptions));
  return {
    ...scorePrepared(prepared),
    ...(meteorScores && {
      meteor: {
        corpus: meteorScores.corpus,
        perImage: new Map(prepared.ids.map((id, index) => [id, meteorScores.perImage[index]!])),
      },
    }),
    ...(spiceScores && { spice: spiceScores }),
    unavailable,
  };
}
