import { type Random, sfc32 } from '@blip2/core';

/** Which numbered world a stream of numbers belongs to. */
export interface SceneKey {
  /** Any integer; its low 32 bits count. */
  readonly seed: number;
  /** The scene's place in its world, 0 or more. */
  readonly index: number;
}

/** What a stream is drawn for: streams of one scene are independent of each other. */
export type Stream = 'in' | 'near' | 'out' | 'captions' | 'questions' | 'gqa';

const STREAM_WORDS: Readonly<Record<Stream, number>> = {
  in: 0x1b873593,
  near: 0x85ebca6b,
  out: 0xc2b2ae35,
  captions: 0x27d4eb2f,
  questions: 0x165667b1,
  gqa: 0x9e3779b1,
};

/**
 * The numbers of one scene: seed, index and stream are the 96 bits of the generator's state, so that two scenes never share
 * a stream. (A hash of them to 32 bits would give some pair of 12,000 scenes the same pixels once in 60 worlds.)
 *
 * Source: sfc32 of Chris Doty-Humphrey's PractRand; its 96-bit seeding runs 12 steps, this one 20.
 */
export function sceneRandom({ seed, index }: SceneKey, stream: Stream): Random {
  return sfc32([seed, index, STREAM_WORDS[stream]], 20);
}

/** One of `items`, each as likely as the others. `items` is not empty. */
export function pick<Item>(items: readonly Item[], random: Random): Item {
  return items[Math.floor(random() * items.length)]!;
}

/** A key of `weights`, as likely as its share of their sum. */
export function pickWeighted<Key extends string>(weights: Readonly<Record<Key, number>>, random: Random): Key {
  const entries = Object.entries(weights) as [Key, number][];
  let left = random() * entries.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [key, weight] of entries) {
    left -= weight;
    if (left < 0) return key;
  }
  return entries.at(-1)![0];
}

/** A new list of the same items in random order (Fisher–Yates). */
export function shuffled<Item>(items: readonly Item[], random: Random): Item[] {
  const result = [...items];
  for (let last = result.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [result[last], result[other]] = [result[other]!, result[last]!];
  }
  return result;
}
