import { evaluateCaptions, evaluateRetrieval, evaluateVqa, tokenizePtb } from '../src/index.ts';
import { readMetrics } from '../src/__fixtures__/metrics.ts';

// node packages/eval/bench/metrics.ts
// The golden inputs repeated to the sizes of the real test sets.

/** The median of five runs, and the first one, with everything still to be built. */
function time(what: string, run: () => unknown): void {
  const times = Array.from({ length: 5 }, () => {
    const begin = performance.now();
    run();
    return performance.now() - begin;
  });
  console.log(`${what}: ${times.toSorted((a, b) => a - b)[2]!.toFixed(0)} ms, first ${times[0]!.toFixed(0)} ms`);
}

const { images } = readMetrics('captions.json') as { images: { references: string[]; candidate: string }[] };
const numbers = Array.from({ length: 5000 }, (_, index) => index);
const references = new Map(numbers.map((id) => [id, images[id % images.length]!.references]));
const candidates = new Map(numbers.map((id) => [id, images[id % images.length]!.candidate]));
const captions = [...references.values()].flat();
time(`tokenizePtb, ${captions.length} captions`, () => tokenizePtb(captions));
time(`evaluateCaptions, ${references.size} images of 5 references`, () => evaluateCaptions({ references, candidates }));

const { questions } = readMetrics('vqa.json') as {
  questions: { answers: [number, string, string][]; prediction: string; answer_type: string }[];
};
const asked = Array.from({ length: 214_354 }, (_, question_id) => ({
  ...questions[question_id % questions.length]!,
  question_id,
}));
const annotations = asked.map((one) => ({ ...one, answers: one.answers.map(([, answer]) => ({ answer })) }));
const results = asked.map(({ question_id, prediction }) => ({ question_id, answer: prediction }));
time(`evaluateVqa, ${asked.length} questions`, () => evaluateVqa({ annotations, results }));

const scores = (rows: number, columns: number): Float32Array[] =>
  Array.from({ length: rows }, () => Float32Array.from({ length: columns }, Math.random));
const [imageToText, textToImage] = [scores(1000, 5000), scores(5000, 1000)];
const captionsPerImage = Array.from({ length: 1000 }, () => 5);
time('evaluateRetrieval, 1000 images, 5000 texts', () => evaluateRetrieval({ imageToText, textToImage, captionsPerImage }));
