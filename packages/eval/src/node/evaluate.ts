import { InputError } from '@blip2/core/errors';
import { prepareCaptions, scorePrepared } from '../captions/evaluate.ts';
import type { CaptionEvaluation, CaptionInput, PreparedCaptions } from '../captions/evaluate.ts';
import type { CaptionScores } from '../captions/tokenizer.ts';
import type { Id } from '../ids.ts';
import { meteorWords, nativeMeteor } from '../meteor/native.ts';
import type { MeteorModule, MeteorTables } from '../meteor/matches.ts';
import { JavaScorerError } from './java.ts';
import type { JavaOptions, JavaScorerName } from './java.ts';
import { readMeteorTables } from './meteor-tables.ts';
import { meteor } from './meteor.ts';
import type { MeteorOptions } from './meteor.ts';
import { spice } from './spice.ts';
import type { SpiceScores } from './spice.ts';

/** METEOR of all images and of each. */
export interface MeteorScores {
  /** `METEOR`, or with fewer modules than METEOR has, their names too: `METEOR_exact_stem`. */
  readonly name: string;
  readonly corpus: number;
  readonly perImage: ReadonlyMap<Id, number>;
}

/** All metrics of the COCO tools, as far as they could be computed. */
export interface FullCaptionEvaluation extends CaptionEvaluation {
  readonly meteor?: MeteorScores;
  readonly spice?: SpiceScores;
  /** Why a metric is not there. Where METEOR is not, `meteor` has the modules that need no data. */
  readonly unavailable: ReadonlyMap<JavaScorerName, JavaScorerError>;
}

/** How METEOR is computed: here with its data, or by its program. */
export interface MeteorSource extends MeteorOptions {
  /** Folder with METEOR's data: no Java then; see `readMeteorTables`. @default the environment variable `METEOR_DATA` */
  readonly data?: string;
}

const WITHOUT_DATA: readonly MeteorModule[] = ['exact', 'stem'];
const NO_TABLES: MeteorTables = { synsets: new Map(), exceptions: new Map() };

/**
 * `evaluateCaptions` and METEOR and SPICE, over the same tokens.
 *
 * @param input.metrics - Which of METEOR and SPICE to compute. @default both
 * @param input.required - Metrics without which the call fails; the others are reported as unavailable, with the reason. @default none
 * @throws {JavaScorerError} when a required metric cannot be computed.
 * @throws {DatasetError} when METEOR's data were named and cannot be read.
 * @throws {InputError} as `evaluateCaptions`.
 */
export async function evaluateAllCaptionMetrics({
  metrics = ['METEOR', 'SPICE'],
  required = [],
  meteor: meteorSource = {},
  spice: spiceOptions,
  ...input
}: CaptionInput & {
  readonly metrics?: readonly JavaScorerName[];
  readonly meteor?: MeteorSource;
  readonly spice?: JavaOptions;
  readonly required?: readonly JavaScorerName[];
}): Promise<FullCaptionEvaluation> {
  const prepared = prepareCaptions(input);
  const unavailable = new Map<JavaScorerName, JavaScorerError>();
  const refuse = (name: JavaScorerName, error: JavaScorerError): void => {
    if (required.includes(name)) throw error;
    unavailable.set(name, error);
  };
  const attempt = async <Result>(name: JavaScorerName, work: () => Promise<Result>): Promise<Result | undefined> => {
    if (!metrics.includes(name)) return undefined;
    try {
      return await work();
    } catch (error) {
      if (!JavaScorerError.isInstance(error)) throw error;
      refuse(name, error);
      return undefined;
    }
  };
  const meteorScores =
    (await attempt('METEOR', () => meteorFrom(prepared, meteorSource, (error) => refuse('METEOR', error)))) ??
    (await attempt('METEOR', async () => nativeScores(prepared, NO_TABLES, WITHOUT_DATA)));
  const spiceScores = await attempt('SPICE', () => spice(prepared, spiceOptions));
  return {
    ...scorePrepared(prepared),
    ...(meteorScores && { meteor: meteorScores }),
    ...(spiceScores && { spice: spiceScores }),
    unavailable,
  };
}

const ALL_MODULES: readonly MeteorModule[] = ['exact', 'stem', 'synonym', 'paraphrase'];

/** @param onMissing - Called with what is missing for METEOR as it is, when only some of its modules could run. */
async function meteorFrom(
  prepared: PreparedCaptions,
  source: MeteorSource,
  onMissing: (error: JavaScorerError) => void,
): Promise<MeteorScores> {
  const folder = source.data ?? process.env['METEOR_DATA'];
  if (folder === undefined || folder === '') {
    return named(prepared, source.modules ?? ALL_MODULES, await meteor(prepared.captions, source));
  }
  const { tables, modules, missing } = await readMeteorTables(folder, meteorWords(prepared.captions));
  const chosen = modules.filter((module) => source.modules?.includes(module) ?? true);
  if (chosen.length < (source.modules ?? ALL_MODULES).length)
    onMissing(
      new JavaScorerError(
        'METEOR',
        `${folder} lacks ${missing.join(', ')}, expected all of METEOR's data. Copy what is missing there; until then METEOR's modules ${chosen.join(', ')} are reported by their own name.`,
      ),
    );
  return nativeScores(prepared, tables, chosen);
}

/** @throws {JavaScorerError} when texts are too long for METEOR: the other metrics take them. */
function nativeScores(prepared: PreparedCaptions, tables: MeteorTables, modules: readonly MeteorModule[]): MeteorScores {
  try {
    return named(prepared, modules, nativeMeteor(prepared.captions, { tables, modules }));
  } catch (cause) {
    if (!InputError.isInstance(cause)) throw cause;
    throw new JavaScorerError('METEOR', cause.message.replace(/^METEOR: /, ''), { cause });
  }
}

function named({ ids }: PreparedCaptions, modules: readonly MeteorModule[], { corpus, perImage }: CaptionScores): MeteorScores {
  return {
    name: modules.length === ALL_MODULES.length ? 'METEOR' : `METEOR_${modules.join('_')}`,
    corpus,
    perImage: new Map(ids.map((id, index) => [id, perImage[index]!])),
  };
}
