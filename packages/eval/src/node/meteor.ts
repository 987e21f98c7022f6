import { basename, dirname, resolve } from 'node:path';
import type { CaptionScores, TokenizedCaptions } from '../captions/tokenizer.ts';
import { findJar, JavaProcess } from './java.ts';
import type { JavaOptions } from './java.ts';
import { addMeteorStatistics, meteorScore, STATISTICS } from '../meteor/statistics.ts';

/** How METEOR is run. */
export interface MeteorOptions extends JavaOptions {
  /** Modules that find matches, in METEOR's order. `paraphrase` needs `data/paraphrase-en.gz` beside the jar. @default all four */
  readonly modules?: readonly ('exact' | 'stem' | 'synonym' | 'paraphrase')[];
}

const ALL = ['exact', 'stem', 'synonym', 'paraphrase'] as const;

/**
 * METEOR 1.5 of each image, from 0 to 1, and of all together, with the Java program of its authors.
 *
 * @param captions - Tokenised, as `prepareCaptions` gives them.
 * @returns The corpus value is that of the summed statistics, not the mean.
 * @throws {JavaScorerError} when Java, the jar or the paraphrases are missing, or the program fails, is silent, or answers something else.
 *
 * The program is asked for statistics only, one line an image, and the scores are computed from them here: so its original build and the one that the COCO
 * tools ship, which answer the second question differently, both do.
 * Source: pycocoevalcap `meteor.py`; METEOR 1.5.
 */
export async function meteor(captions: readonly TokenizedCaptions[], options: MeteorOptions = {}): Promise<CaptionScores> {
  const modules = options.modules ?? ALL;
  const jar = await findJar('METEOR', options.jar, modules.includes('paraphrase') ? ['data/paraphrase-en.gz'] : []);
  const chosen = modules.length === ALL.length ? [] : ['-m', modules.join(' ')];
  const parameters = ['-jar', '-Xmx2G', basename(jar), '-', '-', '-stdio', '-l', 'en', '-norm', ...chosen];
  const program = new JavaProcess('METEOR', dirname(resolve(jar)), parameters, options, 60_000);
  try {
    const statistics: number[][] = [];
    for (const one of captions) {
      program.write(meteorRequest(one));
      statistics.push(parseStatistics(await program.line(), program));
    }
    return { corpus: meteorScore(addMeteorStatistics(statistics)), perImage: statistics.map(meteorScore) };
  } finally {
    program.kill();
  }
}

/** The line that asks for the statistics of an image; the space after the last mark stays when the candidate is empty. */
export function meteorRequest({ candidate, references }: TokenizedCaptions): string {
  const plain = (text: string): string => text.replaceAll(/[\r\n]+/g, ' ');
  const hypothesis = plain(candidate).replaceAll('|||', '').replaceAll('  ', ' ');
  return ['SCORE', ...references.map((reference) => plain(reference).replaceAll('|||', '')), hypothesis].join(' ||| ');
}

function parseStatistics(line: string, program: JavaProcess): number[] {
  const numbers = line.trim().split(/\s+/).map(Number);
  if (numbers.length === STATISTICS && numbers.every(Number.isFinite)) return numbers;
  throw program.error(
    `the program answered '${line.slice(0, 100)}', expected ${STATISTICS} numbers. Check that the jar is that of METEOR 1.5, and its files beside it.`,
  );
}
