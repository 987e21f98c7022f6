import { type Random, seededRandom } from '@blip2/core/random';
import type { Benchmark, BenchmarkRun, ScoredItem } from '../benchmarks/benchmark-run.ts';

/** Runs that nobody made, of every benchmark, with scores that fit their items. */
export function madeUpRun(
  benchmark: Benchmark,
  { count = 60, seed = 1, skill = 0.5 }: { count?: number; seed?: number; skill?: number } = {},
): BenchmarkRun {
  const random = seededRandom(seed);
  const common = {
    benchmark,
    model: `tiny model ${seed}`,
    date: '2026-02-03T04:05:06Z',
    settings: { protocol: 'zero-shot', imageSize: 224, generation: { beams: 5, lengthPenalty: -1 } },
    versions: { '@blip2/eval': '0.1.0', node: '24.21.0' },
  };
  switch (benchmark) {
    case 'vqav2':
      return { ...common, annotations: 'v2_mscoco_val2014_annotations.json', ...questions(count, random, skill) };
    case 'gqa':
      return { ...common, annotations: 'testdev_balanced_questions.json', ...programs(count, random, skill) };
    case 'coco-caption':
    case 'nocaps':
      return { ...common, annotations: 'captions.json', ...captions(benchmark, count, random, skill) };
    default:
      return { ...common, annotations: 'dataset_flickr30k.json', ...searches(count, random, skill) };
  }
}

type Scored = Pick<BenchmarkRun, 'mainScore' | 'scores' | 'items' | 'unavailable'>;

const pick = <Item>(items: readonly Item[], random: Random): Item => items[Math.floor(random() * items.length)]!;
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const meansBy = (items: readonly ScoredItem[], grouping: string): Record<string, number> =>
  Object.fromEntries(
    [...Map.groupBy(items, ({ groups }) => groups![grouping]!)].map(([name, some]) => [
      name,
      mean(some.map(({ score }) => score)),
    ]),
  );

const QUESTION_TYPES = ['is the', 'what color is the', 'how many', 'what', 'is there a', 'what is the man doing in the picture'];

function questions(count: number, random: Random, skill: number): Scored {
  const items = Array.from({ length: count }, (_, index): ScoredItem => {
    const kind = Math.floor(random() * QUESTION_TYPES.length);
    const people = random() < skill ? 4 + Math.floor(random() * 7) : Math.floor(random() * 4);
    const said = ['yes', 'red', '2', 'a dog', 'no', 'riding'][kind]!;
    return {
      id: 1000 + index,
      score: [0, 30, 60, 90, 100][Math.min(people, 4)]!,
      question: `${QUESTION_TYPES[kind]} thing in picture ${index}?`,
      prediction: said,
      references: Array.from({ length: 10 }, (_unused, person) => (person < people ? said : pick(['blue', '3', 'cat'], random))),
      image: `COCO_val2014_${String(index).padStart(12, '0')}.jpg`,
      groups: {
        'answer type': ['yes/no', 'other', 'number', 'other', 'yes/no', 'other'][kind]!,
        'question type': QUESTION_TYPES[kind]!,
      },
    };
  });
  return {
    mainScore: 'accuracy',
    scores: {
      overall: mean(items.map(({ score }) => score)),
      perAnswerType: meansBy(items, 'answer type'),
      perQuestionType: meansBy(items, 'question type'),
    },
    items,
  };
}

function programs(count: number, random: Random, skill: number): Scored {
  const items = Array.from({ length: count }, (_, index): ScoredItem => {
    const isRight = random() < skill;
    return {
      id: `q${index}`,
      score: isRight ? 100 : 0,
      question: `Which side is object ${index} on?`,
      prediction: isRight ? 'left' : 'right',
      references: ['left'],
      image: `n${index}.jpg`,
      groups: {
        steps: String(1 + Math.floor(random() * 9)),
        'structural type': pick(['query', 'verify', 'choose', 'logical', 'compare'], random),
      },
    };
  });
  const accuracy = mean(items.map(({ score }) => score));
  const shares = (grouping: string): unknown =>
    Object.fromEntries(
      Object.entries(meansBy(items, grouping)).map(([name, score]) => [
        name,
        { accuracy: score, count: items.filter(({ groups }) => groups![grouping] === name).length },
      ]),
    );
  return {
    mainScore: 'accuracy',
    scores: {
      accuracy,
      binary: accuracy + 5,
      open: accuracy - 5,
      consistency: 80,
      validity: 95,
      plausibility: 90,
      distribution: 1.7,
      perStructuralType: shares('structural type'),
      perSteps: shares('steps'),
    },
    items,
  };
}

function captions(benchmark: Benchmark, count: number, random: Random, skill: number): Scored {
  const items = Array.from({ length: count }, (_, index): ScoredItem => {
    const score = 4 * skill * random() * random();
    return {
      id: index,
      score,
      otherScores: { ROUGE_L: 0.3 + score / 10 },
      prediction: `a ${pick(['red', 'blue'], random)} ${pick(['car', 'dog'], random)} number ${index}`,
      references: ['A red car.', 'Somewhere, a car is red.', 'A car'],
      image: `images/${index}.png`,
      ...(benchmark === 'nocaps' ? { groups: { domain: pick(['in-domain', 'near-domain', 'out-domain'], random) } } : {}),
    };
  });
  const CIDEr = mean(items.map(({ score }) => score));
  const all = { Bleu_1: 0.7, Bleu_2: 0.6, Bleu_3: 0.5, Bleu_4: 0.4 * skill, ROUGE_L: 0.6, CIDEr };
  const domains = {
    'in-domain': { ...all, CIDEr: CIDEr + 0.05 },
    'near-domain': all,
    'out-domain': { ...all, CIDEr: CIDEr - 0.1 },
    entire: all,
  };
  return {
    mainScore: 'CIDEr',
    scores: benchmark === 'nocaps' ? domains : all,
    unavailable: { METEOR: 'no jar was given', SPICE: 'no jar was given' },
    items,
  };
}

function searches(count: number, random: Random, skill: number): Scored {
  const items = Array.from({ length: count }, (_, index): ScoredItem => {
    const direction = index % 6 === 0 ? 'image to text' : 'text to image';
    const isRight = random() < skill;
    return {
      id: Math.floor(index / 6),
      score: isRight ? 100 : 0,
      prediction: isRight ? 'two dogs' : 'a boat',
      references: ['two dogs'],
      image: `${Math.floor(index / 6)}.jpg`,
      groups: { direction, ...(direction === 'text to image' ? { caption: String(index % 6) } : {}) },
    };
  });
  const recall = 100 * skill;
  return {
    mainScore: 'R@1',
    scores: {
      txt_r1: recall,
      txt_r5: recall + 20,
      txt_r10: recall + 30,
      txt_r_mean: recall + 50 / 3,
      img_r1: recall - 10,
      img_r5: recall + 10,
      img_r10: recall + 20,
      img_r_mean: recall + 20 / 3,
      r_mean: recall + 70 / 6,
    },
    items,
  };
}
