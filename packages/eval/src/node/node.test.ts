import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { expectRelative, readMetrics } from '../__fixtures__/metrics.ts';
import { standIn } from '../__fixtures__/stand-in.ts';
import type { Recording, StandIn } from '../__fixtures__/stand-in.ts';
import { evaluateAllCaptionMetrics } from './evaluate.ts';
import { JavaScorerError } from './java.ts';
import { addMeteorStatistics, meteorScore } from '../meteor/statistics.ts';
import { meteor, meteorRequest } from './meteor.ts';
import { spice, spiceInput, spiceScores } from './spice.ts';
import type { SpiceResult } from './spice.ts';

const stats = (line: string): number[] => line.split(' ').map(Number);
const made: StandIn[] = [];
function make(recording: Recording, files: readonly string[]): StandIn {
  const one = standIn(recording, files);
  made.push(one);
  return one;
}
afterAll(() => made.forEach(({ folder }) => rmSync(folder, { recursive: true })));
beforeEach(() => {
  for (const name of ['METEOR_JAR', 'SPICE_JAR', 'EVAL_JAVA']) vi.stubEnv(name, '');
});

const captions = readMetrics('captions.json') as {
  corpus: { METEOR_exact_stem_synonym: number };
  images: {
    image_id: number;
    references: string[];
    candidate: string;
    tokenizedReferences: string[];
    tokenizedCandidate: string;
    scores: { METEOR_exact_stem_synonym: number; meteorStats: string };
  }[];
};
const tokenized = captions.images.map((one) => ({ candidate: one.tokenizedCandidate, references: one.tokenizedReferences }));
const recorded = Object.fromEntries(
  captions.images.map(({ scores }, index) => [meteorRequest(tokenized[index]!), scores.meteorStats]),
);
const METEOR_FILES = ['meteor-1.5.jar', 'data/paraphrase-en.gz'];

describe('METEOR statistics against METEOR 1.5', () => {
  it('of images and of the corpus, three modules', () => {
    const all = captions.images.map(({ scores }) => stats(scores.meteorStats));
    expectRelative(
      all.map(meteorScore),
      captions.images.map(({ scores }) => scores.METEOR_exact_stem_synonym),
    );
    expectRelative([meteorScore(addMeteorStatistics(all))], [captions.corpus.METEOR_exact_stem_synonym]);
  });

  it('four modules', () => {
    const { segments, final } = readMetrics('meteor.json') as {
      segments: { stats: string; score: number }[];
      final: Record<string, number>;
    };
    const all = segments.map((segment) => stats(segment.stats));
    expectRelative(
      all.map(meteorScore),
      segments.map(({ score }) => score),
    );
    const sum = addMeteorStatistics(all);
    expectRelative(
      [meteorScore(sum), sum[0]!, sum[1]!, sum[20]!],
      [final['Final score']!, final['Test words']!, final['Reference words']!, final['Chunks']!],
    );
  });

  it('asks as the COCO tools do', () => {
    const { segments, stdioSample } = readMetrics('meteor.json') as {
      segments: { hypothesis: string; references: string[] }[];
      stdioSample: { send: string }[];
    };
    const sent = stdioSample.map(({ send }) => send).filter((line) => line.startsWith('SCORE'));
    const asked = segments.map(({ hypothesis, references }) => meteorRequest({ candidate: hypothesis, references }));
    expect(sent.filter((line) => !asked.includes(line))).toEqual([]);
    expect(meteorRequest({ candidate: 'a ||| b\nc', references: ['d'] })).toBe('SCORE ||| d ||| a b c');
    expect(meteorRequest({ candidate: '', references: ['d'] })).toBe('SCORE ||| d ||| ');
  });
});

describe('the METEOR program', () => {
  it('is asked for every image, in the folder of its jar', async () => {
    const { folder, java, call } = make({ answers: recorded }, METEOR_FILES);
    const { corpus, perImage } = await meteor(tokenized, { jar: join(folder, 'meteor-1.5.jar'), java });
    expectRelative([corpus], [captions.corpus.METEOR_exact_stem_synonym]);
    expectRelative(
      perImage,
      captions.images.map(({ scores }) => scores.METEOR_exact_stem_synonym),
    );
    expect(call().folder).toBe(realpathSync(folder));
    expect(call().parameters.join(' ')).toBe('-jar -Xmx2G meteor-1.5.jar - - -stdio -l en -norm');
  });

  it('does without paraphrases when they are not among the modules', async () => {
    const { folder, java, call } = make({ answers: recorded }, ['meteor-1.5.jar']);
    vi.stubEnv('METEOR_JAR', join(folder, 'meteor-1.5.jar'));
    vi.stubEnv('EVAL_JAVA', java);
    await meteor(tokenized.slice(0, 1), { modules: ['exact', 'stem', 'synonym'] });
    expect(call().parameters.slice(-2)).toEqual(['-m', 'exact stem synonym']);
  });

  it('whatever fails is one kind of error, which says what to do', async () => {
    const failing = async (recording: Recording, files = METEOR_FILES, more = {}): Promise<string> => {
      const { folder, java } = make(recording, files);
      const error: unknown = await meteor(tokenized, { jar: join(folder, 'meteor-1.5.jar'), java, ...more }).then(
        () => 'it worked',
        (one: unknown) => one,
      );
      expect(JavaScorerError.isInstance(error)).toBe(true);
      return (error as Error).message.replaceAll(folder, '');
    };
    const messages = [
      await failing({}, METEOR_FILES, { jar: '' }),
      await failing({}, ['data/paraphrase-en.gz']),
      await failing({}, ['meteor-1.5.jar']),
      await failing({}, METEOR_FILES, { java: '/no/such/java' }),
      await failing({ stderr: 'Exception: file not found', status: 1 }),
      await failing({ answers: { ...recorded, [meteorRequest(tokenized[2]!)]: 'Error: specify SCORE or EVAL' } }),
      await failing({ answers: {} }, METEOR_FILES, { timeoutMs: 300 }),
    ];
    expect(messages.join('\n---\n')).toMatchInlineSnapshot(`
      "METEOR: no jar is given, expected the path of one. Install Java and METEOR 1.5: meteor-1.5.jar, and data/paraphrase-en.gz beside it. Then pass jar, or set the environment variable METEOR_JAR.
      ---
      METEOR: /meteor-1.5.jar is not there, expected the scorer's jar. Correct jar.
      ---
      METEOR: data/paraphrase-en.gz is not beside /meteor-1.5.jar, where the program looks for it. Copy it there; the COCO caption tools come with it or fetch it.
      ---
      METEOR: '/no/such/java' could not be started, expected a Java program. Install Java, pass java, or set the environment variable EVAL_JAVA.
      ---
      METEOR: the program ended with status 1 before its work was done. Its last words may say why; check jar and java.
      Exception: file not found
      ---
      METEOR: the program answered 'Error: specify SCORE or EVAL', expected 23 numbers. Check that the jar is that of METEOR 1.5, and its files beside it.
      ---
      METEOR: the program was silent for 300 ms, expected an answer. Raise timeoutMs if the machine is slow."
    `);
  });

  it('stops when asked to', async () => {
    const { folder, java } = make({ answers: {} }, METEOR_FILES);
    const reason = new Error('enough');
    const work = meteor(tokenized, { jar: join(folder, 'meteor-1.5.jar'), java, abortSignal: AbortSignal.abort(reason) });
    await expect(work).rejects.toBe(reason);
    const controller = new AbortController();
    const running = meteor(tokenized, { jar: join(folder, 'meteor-1.5.jar'), java, abortSignal: controller.signal });
    setImmediate(() => controller.abort(reason));
    await expect(running).rejects.toBe(reason);
  });
});

const wrapper = readMetrics('spice.json').wrapper as {
  javaArgs: string[];
  referencesById: Record<string, string[]>;
  candidateById: Record<string, string>;
  inputFile: unknown[];
  resultFile: SpiceResult[];
  averageScore: number;
  perImageInSortedIdOrder: Record<string, Record<string, number | null>>[];
};
const SPICE_FILES = ['spice-1.0.jar', 'lib/stanford-corenlp-3.6.0.jar', 'lib/stanford-corenlp-3.6.0-models.jar'];
const ids = [7, 3, 12];
const prepared = {
  ids,
  captions: ids.map((id) => ({ candidate: wrapper.candidateById[id]!, references: wrapper.referencesById[id]! })),
};

describe('SPICE', () => {
  it('passes on and reads what the COCO wrapper does', async () => {
    expect(spiceInput(prepared)).toEqual(wrapper.inputFile);
    const { folder, java, call } = make({ result: wrapper.resultFile }, SPICE_FILES);
    const { corpus, perImage } = await spice(prepared, { jar: join(folder, 'spice-1.0.jar'), java });
    expectRelative([corpus], [wrapper.averageScore], 1e-12);
    for (const [index, id] of ids.toSorted((a, b) => a - b).entries()) {
      const expected = Object.entries(wrapper.perImageInSortedIdOrder[index]!);
      for (const [name, { f, pr, re, tp, fp, fn }] of expected)
        expect(perImage.get(id)![name]).toEqual({ f: f ?? Number.NaN, pr: pr ?? Number.NaN, re: re ?? Number.NaN, tp, fp, fn });
    }
    const { parameters, input } = call();
    expect(parameters.map((one, at) => (one.startsWith('/') ? wrapper.javaArgs[at] : one))).toEqual(wrapper.javaArgs);
    expect(input).toEqual(wrapper.inputFile);
  });

  it('whatever fails is one kind of error, which says what to do', async () => {
    const failing = async (recording: Recording, files = SPICE_FILES): Promise<string> => {
      const { folder, java } = make(recording, files);
      const error: unknown = await spice(prepared, { jar: join(folder, 'spice-1.0.jar'), java }).then(
        () => 'it worked',
        (one: unknown) => one,
      );
      expect(JavaScorerError.isInstance(error)).toBe(true);
      return (error as Error).message.replaceAll(folder, '');
    };
    const messages = [
      await failing({}, SPICE_FILES.slice(0, 2)),
      await failing({ stderr: 'Error: Could not score batched file input', status: 1 }),
      await failing({ stderr: '', status: 0 }),
      await failing({ result: {} }),
    ];
    expect(messages.join('\n---\n')).toMatchInlineSnapshot(`
      "SPICE: lib/stanford-corenlp-3.6.0-models.jar is not beside /spice-1.0.jar, where the program looks for it. Copy it there; the COCO caption tools come with it or fetch it.
      ---
      SPICE: the program cannot write its result with this Java, expected Java 8 to 14, which have a JavaScript engine. Pass the path of an older java, or set EVAL_JAVA.
      Error: Could not score batched file input
      ---
      SPICE: the program wrote no result that can be read, expected a list in JSON. Check its jar and its java.
      ---
      SPICE: the program wrote something else than a list of results. Check that the jar is that of SPICE 1.0."
    `);
    expect(() => spiceScores([3, 7], wrapper.resultFile)).toThrowErrorMatchingInlineSnapshot(
      `[InputError: spice: 1 result has an id that the images lack (12). Check that results and annotations belong to the same split.]`,
    );
  });
});

describe('all metrics', () => {
  const input = {
    references: new Map(captions.images.map(({ image_id, references }) => [image_id, references])),
    candidates: new Map(captions.images.map(({ image_id, candidate }) => [image_id, candidate])),
  };

  it('those that cannot be computed are reported, the others are there', async () => {
    const { corpus, meteor: simple, spice: none, unavailable } = await evaluateAllCaptionMetrics(input);
    expect(corpus.CIDEr).toBeGreaterThan(0);
    expect(none).toBeUndefined();
    expect(simple!.name).toBe('METEOR_exact_stem'); // needs no data, and says that it is something else
    expect(simple!.corpus).toBeGreaterThan(0);
    expect(simple!.corpus).toBeLessThan(captions.corpus.METEOR_exact_stem_synonym);
    expect([...unavailable].map(([name, { message }]) => `${name} → ${message}`).join('\n')).toMatchInlineSnapshot(`
      "METEOR → METEOR: no jar is given, expected the path of one. Install Java and METEOR 1.5: meteor-1.5.jar, and data/paraphrase-en.gz beside it. Then pass jar, or set the environment variable METEOR_JAR.
      SPICE → SPICE: no jar is given, expected the path of one. Install Java 8 to 14 and SPICE 1.0: spice-1.0.jar, and beside it lib with the jars of CoreNLP 3.6.0. Then pass jar, or set the environment variable SPICE_JAR."
    `);
  });

  it('fails when a metric is required', async () => {
    await expect(evaluateAllCaptionMetrics({ ...input, required: ['SPICE'] })).rejects.toThrow(JavaScorerError);
  });

  it('texts too long for METEOR leave it out, and nothing else', async () => {
    const long = 'a dog '.repeat(2000);
    const {
      corpus,
      meteor: none,
      unavailable,
    } = await evaluateAllCaptionMetrics({
      references: new Map([[1, [`the ${long}`]]]),
      candidates: new Map([[1, long]]),
      metrics: ['METEOR'],
    });
    expect(corpus.Bleu_1).toBeGreaterThan(0.9);
    expect(none).toBeUndefined();
    expect(unavailable.get('METEOR')!.message).toMatchInlineSnapshot(
      `"METEOR: a candidate and a reference of 4000 and 4001 words have more than a million pairs of words that match, expected captions. Shorten the longer one."`,
    );
  });

  it('has METEOR by image', async () => {
    const { folder, java } = make({ answers: recorded }, METEOR_FILES);
    const { meteor: scores } = await evaluateAllCaptionMetrics({
      ...input,
      meteor: { jar: join(folder, 'meteor-1.5.jar'), java },
      required: ['METEOR'],
    });
    expect(scores!.name).toBe('METEOR');
    expectRelative([scores!.corpus], [captions.corpus.METEOR_exact_stem_synonym]);
    expect([...scores!.perImage.keys()]).toEqual(captions.images.map(({ image_id }) => image_id));
  });

  it('has METEOR without Java where its data are', async () => {
    const golden = readMetrics('meteor.json');
    const { synsets, exceptions, paraphrases } = golden.tinyResources;
    const pairs = (table: Record<string, unknown[]>): string =>
      Object.entries(table)
        .map(([word, values]) => `${word}\n${values.join(' ')}\n`)
        .join('');
    const data = mkdtempSync(join(tmpdir(), 'eval-meteor-'));
    writeFileSync(join(data, 'english.synsets'), pairs(synsets));
    writeFileSync(join(data, 'english.exceptions'), pairs(exceptions));
    const segments = golden.segments as { hypothesis: string; references: string[] }[];
    const some = {
      references: new Map(segments.map(({ references }, index) => [index, references])),
      candidates: new Map(segments.map(({ hypothesis }, index) => [index, hypothesis])),
      tokenize: (texts: readonly string[]) => [...texts],
      metrics: ['METEOR'] as const,
      meteor: { data },
    };
    const three = await evaluateAllCaptionMetrics(some);
    expect(three.meteor!.name).toBe('METEOR_exact_stem_synonym');
    expect(three.unavailable.get('METEOR')!.message.replaceAll(data, 'DATA')).toMatchInlineSnapshot(
      `"METEOR: DATA lacks paraphrase-en.gz, expected all of METEOR's data. Copy what is missing there; until then METEOR's modules exact, stem, synonym are reported by their own name."`,
    );
    await expect(evaluateAllCaptionMetrics({ ...some, required: ['METEOR'] })).rejects.toThrow(JavaScorerError);
    const threeOnPurpose = { ...some, meteor: { data, modules: ['exact', 'stem', 'synonym'] as const } };
    expect((await evaluateAllCaptionMetrics(threeOnPurpose)).unavailable.size).toBe(0); // asked for by name
    writeFileSync(join(data, 'paraphrase-en.gz'), gzipSync(paraphrases.map((one: unknown[]) => `${one.join('\n')}\n`).join('')));
    const all = await evaluateAllCaptionMetrics(some);
    expect(all.meteor!.name).toBe('METEOR');
    expect(all.unavailable.size).toBe(0);
    expectRelative([all.meteor!.corpus], [golden.final['Final score']]);
    writeFileSync(join(data, 'paraphrase-en.gz'), 'not gzip');
    await expect(evaluateAllCaptionMetrics(some)).rejects.toThrow(/paraphrase-en.gz: cannot be unpacked/);
    rmSync(join(data, 'english.exceptions'));
    await expect(evaluateAllCaptionMetrics(some)).rejects.toThrow(/has english.synsets alone, expected .* english.exceptions/);
    await expect(evaluateAllCaptionMetrics({ ...some, meteor: { data: join(data, 'nowhere') } })).rejects.toThrow(/is not there/);
  });
});
