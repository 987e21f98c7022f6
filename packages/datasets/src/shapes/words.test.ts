import { expect, test } from 'vitest';
import { annotate } from './annotators.ts';
import { describeScene } from './captions.ts';
import { askGqaScene } from './gqa/questions.ts';
import { askScene } from './questions.ts';
import { sceneRandom } from './random.ts';
import { type Domain, drawScene } from './scene.ts';
import { SHAPES_WORDS } from './words.ts';

test('the list has every word of the texts, and no other', () => {
  const used = new Set<string>();
  for (const domain of ['in', 'near', 'out'] satisfies Domain[]) {
    for (let index = 0; index < 3000; index++) {
      const scene = drawScene({ seed: 11, index }, { domain });
      const random = sceneRandom({ seed: 11, index }, 'questions');
      const questions = [...askScene(scene, random), ...askGqaScene(scene, random)];
      const texts = [
        ...describeScene(scene, random),
        ...questions.map(({ text }) => text.replace('?', '')),
        ...questions.flatMap((question) => annotate(question, random)),
      ];
      for (const word of texts.join(' ').replaceAll(',', '').split(' ')) used.add(word);
    }
  }
  expect([...used].toSorted()).toEqual(SHAPES_WORDS);
  expect(SHAPES_WORDS).toHaveLength(101);
});
