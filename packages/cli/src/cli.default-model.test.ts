import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { drawScene, readCaption } from '@blip2/datasets';
import { ENGINES } from 'blip2/node';
import { describe, expect, it } from 'vitest';
import { main } from './index.ts';

/** The images of the demo, which no model has met, and what is true of them. */
const folder = fileURLToPath(new URL('../../../demo/images', import.meta.url));
const scenes = JSON.parse(readFileSync(join(folder, 'scenes.json'), 'utf8')) as readonly {
  readonly file: string;
  readonly caption: string;
  readonly questions: readonly { readonly text: string; readonly answer: string }[];
}[];
const images = scenes.map(({ file }) => join(folder, file));

async function blip2(...words: string[]) {
  let out = '';
  let error = '';
  const streams = { out: { write: (text: string) => (out += text) }, error: { write: (text: string) => (error += text) } };
  const code = await main([...words, '--json'], streams);
  const lines = out.split('\n').filter((line) => line !== '');
  return { code, lines: lines.map((line) => JSON.parse(line) as Record<string, string & number>), error };
}

describe.each([
  { name: 'the model that comes along', model: [], share: 0.5 },
  { name: 'its sister with an encoder-decoder', model: ['--model', '@blip2/tiny/t5'], share: 0.4 },
])('$name', ({ model, share }) => {
  it('captions scenes that it has never met: much of what it names is there', async () => {
    const { code, lines, error } = await blip2('caption', ...images, '--prompt', 'a photo of', ...model);
    expect(code).toBe(0);
    expect(lines).toHaveLength(scenes.length);
    if (model.length === 0) {
      expect(error).toMatch(/^No --model: .* coloured shapes/);
      expect(error.trim().split('\n')).toHaveLength(1);
    } else expect(error).toBe('');
    const named = lines.flatMap(({ text }, index) => {
      const there = drawScene({ seed: 77, index }).objects.map(({ color, shape }) => `${color} ${shape}`);
      const { mentions = [] } = readCaption(text!) ?? {};
      return mentions.map(({ filter: { color, shape } }) => there.includes(`${color} ${shape}`));
    });
    expect(named.length).toBeGreaterThanOrEqual(2 * scenes.length);
    expect(named.filter(Boolean).length / named.length).toBeGreaterThan(share); // by chance: 5 %
  });

  it('answers most questions', async () => {
    let right = 0;
    for (const [index, { questions }] of scenes.entries()) {
      const { text, answer } = questions[0]!;
      const { lines } = await blip2('answer', images[index]!, '--question', text, ...model);
      if (lines[0]!['answer'] === answer) right++;
    }
    expect(right).toBeGreaterThanOrEqual(9); // of 12;
  });

  it.each(ENGINES)('matches and searches, %s', async (engine) => {
    const texts = scenes.slice(0, 4).map(({ caption }) => caption);
    const { lines } = await blip2('match', images[1]!, '--text', ...texts, '--engine', engine, ...model);
    const best = lines.reduce((one, other) => (other['itm']! > one['itm']! ? other : one));
    expect(best['text']).toBe(texts[1]);
    const found = await blip2('search', folder, '--text', texts[2]!, '--engine', engine, ...model);
    expect(found.lines[0]).toMatchObject({ rank: 1, image: images[2] });
  });

  it('is inspected without a word about it', async () => {
    const { code, lines, error } = await blip2('inspect', ...model);
    expect({ code, error }).toEqual({ code: 0, error: '' });
    expect(lines.map(({ part }) => part)).toContain('vision encoder');
  });
});
