import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expectNoLeak, fixturePath, readGolden, TOLERANCE } from '@blip2/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { ENGINES } from 'blip2/node';
import { main } from './index.ts';

/** The golden inputs whose pixels do not depend on the EXIF rule: the command applies the tag, the goldens do not. */
const IMAGES = ['landscape', 'rgba', 'gray'];
const imageFile = (name: string): string => fixturePath('models/preprocessing/images', `${name}.png`);
const folder = (model: string): string => fixturePath('models', model);
const scratch = mkdtempSync(join(tmpdir(), 'blip2-cli-'));
afterAll(() => rmSync(scratch, { recursive: true }));

interface Run {
  readonly code: number;
  // eslint-disable-next-line typescript/no-explicit-any -- each verb has its own fields
  readonly lines: any[];
  readonly error: string;
}

/** The command with an engine. */
const withEngine =
  (engine: string) =>
  (...words: string[]): Promise<Run> =>
    runCommand(...words, '--engine', engine);

async function runCommand(...words: string[]): Promise<Run> {
  let out = '';
  let error = '';
  const streams = { out: { write: (text: string) => (out += text) }, error: { write: (text: string) => (error += text) } };
  const code = await main([...words, '--json'], streams);
  const lines = out.split('\n').filter((line) => line !== '');
  return { code, lines: lines.map((line) => JSON.parse(line)), error };
}

/** New tokens of a golden row without padding and the end token. */
function withoutEnd(ids: readonly number[], endTokenId: number): number[] {
  const end = ids.indexOf(endTokenId);
  return end < 0 ? [...ids] : ids.slice(0, end);
}

describe.each(
  ENGINES.flatMap((engine) => [
    { engine, model: 'blip2-opt', endTokenId: 84 },
    { engine, model: 'blip2-flan-t5', endTokenId: 1 },
  ]),
)('$model, $engine', ({ engine, model, endTokenId }) => {
  const blip2 = withEngine(engine);
  const golden = readGolden(`models/${model}`);
  // eslint-disable-next-line typescript/no-explicit-any -- the fixture's own structure
  const goldenCase = (id: string): any => golden.json.generation_cases.find((entry: { id: string }) => entry.id === id);

  it('captions with the golden tokens, texts and scores', async () => {
    const expected = goldenCase('beam5_lp1');
    const { code, lines } = await blip2(
      'caption',
      ...IMAGES.map(imageFile),
      '--model',
      folder(model),
      '--max-new-tokens',
      '12',
      '--min-new-tokens',
      '1',
    );
    expect(code).toBe(0);
    expect(lines.map(({ image }) => image)).toEqual(IMAGES.map(imageFile));
    for (const [row, { tokenIds, text, score }] of lines.entries()) {
      expect(tokenIds).toEqual(withoutEnd(expected.new_tokens[row], endTokenId));
      expect(text).toBe(expected.texts[row].trim());
      expect([score]).toBeAllclose([expected.sequences_scores[row]], TOLERANCE.scores);
    }
  });

  it('captions greedily, without a score', async () => {
    const { lines } = await blip2(
      'caption',
      imageFile('rgba'),
      '--model',
      folder(model),
      '--beams',
      '1',
      '--max-new-tokens',
      '12',
    );
    expect(lines[0].tokenIds).toEqual(withoutEnd(goldenCase('greedy').new_tokens[1], endTokenId));
    expect(lines[0]).not.toHaveProperty('score');
  });

  it('passes every decoding option on', async () => {
    const expected = goldenCase('beam5_repetition_ngram3');
    const options = [
      '--beams',
      '5',
      '--repetition-penalty',
      '1.5',
      '--no-repeat-ngram-size',
      '3',
      '--min-new-tokens',
      '3',
      '--max-new-tokens',
      '12',
    ];
    const { texts } = golden.json.inputs.prompts;
    for (const [row, name] of IMAGES.entries()) {
      const { lines } = await blip2('caption', imageFile(name), '--prompt', texts[row], '--model', folder(model), ...options);
      expect(lines[0].tokenIds).toEqual(withoutEnd(expected.new_tokens[row], endTokenId));
    }
  });

  it('answers in the template it was asked for', async () => {
    const expected = goldenCase('beam5_prompt_lp-1');
    const options = ['--min-new-tokens', '2', '--max-new-tokens', '12', '--template', 'Question: {} Answer:'];
    const { lines } = await blip2(
      'answer',
      imageFile('rgba'),
      '--question',
      'What color is the ball?',
      '--model',
      folder(model),
      ...options,
    );
    expect(lines).toEqual([
      {
        image: imageFile('rgba'),
        question: 'What color is the ball?',
        answer: expected.texts[1].trim(),
        score: expect.any(Number),
      },
    ]);
    expect([lines[0].score]).toBeAllclose([expected.sequences_scores[1]], TOLERANCE.scores);
  });
});

describe.each(ENGINES)('blip2-itm, %s', (engine) => {
  const blip2 = withEngine(engine);
  const golden = readGolden('models/blip2-itm');
  const texts: string[] = golden.json.texts;

  it('matches every pair, texts running fastest', async () => {
    const { code, lines } = await blip2('match', ...IMAGES.map(imageFile), '--text', ...texts, '--model', folder('blip2-itm'));
    expect(code).toBe(0);
    expect(lines.map(({ image, text }) => [image, text])).toEqual(
      IMAGES.flatMap((image) => texts.map((text) => [imageFile(image), text])),
    );
    const pairs = IMAGES.length * texts.length;
    const itm = Array.from({ length: pairs }, (_, pair) => golden.get('itm.probabilities').data[2 * pair + 1]!);
    expect(lines.map((line) => line.itm)).toBeAllclose(itm, TOLERANCE.similarities);
    expect(lines.map((line) => line.itc)).toBeAllclose(
      golden.get('itc.logits_per_image').data.slice(0, pairs),
      TOLERANCE.similarities,
    );
  });

  it('embeds images and texts into one file', async () => {
    const out = join(scratch, 'embeddings.safetensors');
    const { lines } = await blip2(
      'embed',
      ...IMAGES.map(imageFile),
      '--text',
      ...texts,
      '--out',
      out,
      '--model',
      folder('blip2-itm'),
    );
    expect(lines).toEqual([
      ...IMAGES.map((image) => ({ input: imageFile(image), shape: [6, 24] })),
      ...texts.map((input) => ({ input, shape: [24] })),
    ]);
    const { header, tensor } = readSafetensors(out);
    expect(header['image_embeds']).toMatchObject({ dtype: 'F32', shape: [3, 6, 24] });
    expect(tensor('image_embeds')).toBeAllclose(golden.get('itc.image_embeds').data.slice(0, 3 * 6 * 24), TOLERANCE.similarities);
    expect(tensor('text_embeds')).toBeAllclose(golden.get('itc.text_embeds'), TOLERANCE.similarities);
  });

  it('searches a folder: the score is the matching logit plus the cosine', async () => {
    const { lines } = await blip2('search', ...IMAGES.map(imageFile), '--text', texts[0]!, '--model', folder('blip2-itm'));
    const scores = IMAGES.map((image, index) => {
      const pair = index * texts.length;
      return {
        image: imageFile(image),
        score: golden.get('itm.logits').data[2 * pair + 1]! + golden.get('itc.logits_per_image').data[pair]!,
      };
    }).toSorted((a, b) => b.score - a.score);
    expect(lines.map(({ rank, image }) => [rank, image])).toEqual(scores.map(({ image }, index) => [index + 1, image]));
    expect(lines.map(({ score }) => score)).toBeAllclose(
      scores.map(({ score }) => score),
      TOLERANCE.activations,
    );
  });
});

it.each(ENGINES)('leaves no tensors behind, %s', async (engine) => {
  const blip2 = withEngine(engine);
  await expectNoLeak(() => blip2('caption', imageFile('rgba'), '--model', folder('blip2-opt'), '--max-new-tokens', '3'));
  await expectNoLeak(() => blip2('match', imageFile('rgba'), '--text', 'tennis', '--model', folder('blip2-itm')));
});

interface Entry {
  readonly dtype: string;
  readonly shape: number[];
  readonly data_offsets: [number, number];
}

function readSafetensors(path: string): { header: Record<string, Entry>; tensor: (name: string) => Float32Array } {
  const bytes = readFileSync(path);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Record<string, Entry>;
  const tensor = (name: string): Float32Array => {
    const [begin, end] = header[name]!.data_offsets;
    return new Float32Array(new Uint8Array(bytes.subarray(8 + length + begin, 8 + length + end)).buffer);
  };
  return { header, tensor };
}
