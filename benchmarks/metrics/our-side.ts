/**
 * Our side of the comparisons of scorers: a process that answers the requests of `peers/protocol.ts`.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { InputError, seededRandom } from '@blip2/core';
import {
  bleu,
  cider,
  evaluateCaptions,
  evaluateRetrieval,
  evaluateVqa,
  readCaptionAnnotations,
  readCaptionResults,
  readVqaAnnotations,
  readVqaQuestions,
  readVqaResults,
  rougeL,
  tokenizePtb,
} from '@blip2/eval';
import { fileSource } from '@blip2/eval/node';
import { answerRequests } from '../peers/answer-requests.ts';
import type { MetricsTask, RunAnswer } from '../peers/protocol.ts';
import { FILES } from './inputs.ts';

type Values = Readonly<Record<string, number>>;
type Work = () => Promise<Values> | Values;

let work: Work | undefined;

await answerRequests({
  load: (task) => {
    work = prepare(task as MetricsTask);
    return { runtime: `Node ${process.versions.node}`, libraries: {}, threads: 1 };
  },
  run,
  output: () => {
    throw new InputError('our side: scorers have values and no output. Ask for a run.');
  },
});

async function run(): Promise<RunAnswer> {
  if (work === undefined) throw new InputError('our side: no task is loaded, expected one before this request. Send load first.');
  const [begin, processor] = [performance.now(), process.cpuUsage()];
  const values = await work();
  const ms = performance.now() - begin;
  const { user, system } = process.cpuUsage(processor);
  return { ms, values: { ...values, 'processor seconds': (user + system) / 1e6 } };
}

/** What a run does; texts that it begins with are read before. */
function prepare({ work: name, folder }: MetricsTask): Work {
  const source = (file: keyof typeof FILES): ReturnType<typeof fileSource> => fileSource(join(folder, FILES[file]));
  switch (name) {
    case 'captions':
      return async () => {
        const { references } = await readCaptionAnnotations(source('captions'));
        const { corpus } = evaluateCaptions({ references, candidates: await readCaptionResults(source('captionResults')) });
        return { 'BLEU-4': corpus.Bleu_4, 'ROUGE-L': corpus.ROUGE_L, CIDEr: corpus.CIDEr };
      };
    case 'caption-metrics': {
      const captions = JSON.parse(readFileSync(source('captionTokens').name, 'utf8')) as Parameters<typeof bleu>[0];
      return () => ({ 'BLEU-4': bleu(captions).corpus[3], 'ROUGE-L': rougeL(captions).corpus, CIDEr: cider(captions).corpus });
    }
    case 'tokenizer': {
      const { annotations } = JSON.parse(readFileSync(source('captions').name, 'utf8')) as {
        readonly annotations: readonly { readonly caption: string }[];
      };
      const captions = annotations.map(({ caption }) => caption);
      return () => ({ captions: tokenizePtb(captions).length });
    }
    case 'vqa':
      return async () => {
        const questions = await readVqaQuestions(source('questions'));
        const annotations = await readVqaAnnotations(source('annotations'));
        const { overall } = evaluateVqa({ annotations, results: await readVqaResults(source('vqaResults')) });
        return { questions: questions.size, accuracy: overall };
      };
    case 'retrieval':
      return retrieval();
    default:
      throw new InputError(`our side: there is no work '${name}'. Name another one.`);
  }
}

/** Flickr30K's sizes: 1,000 images of five captions. */
function retrieval(): Work {
  const random = seededRandom(7);
  const scores = (rows: number, columns: number): Float32Array[] =>
    Array.from({ length: rows }, () => Float32Array.from({ length: columns }, random));
  const [imageToText, textToImage] = [scores(1000, 5000), scores(5000, 1000)];
  const captionsPerImage = Array.from({ length: 1000 }, () => 5);
  return () => ({ 'R@10': evaluateRetrieval({ imageToText, textToImage, captionsPerImage }).mean });
}
