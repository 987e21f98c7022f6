import { withTensorScope } from '@blip2/core';
import { expectNoLeak, fixturePath, readGolden, TOLERANCE } from '@blip2/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type GenerationCase, optionsOf, untilEnd } from '../../llm-adapters/src/__fixtures__/golden-models.ts';
import { visualPromptOf } from './caption.ts';
import { encodeImages, readImages } from './image-input.ts';
import { type Blip2, caption, embedImages, embedTexts, ENGINES, loadBlip2, match, search } from './node.ts';

/** The golden images whose pixels do not depend on the decoder or on the EXIF rule. */
const NAMES = ['landscape', 'rgba', 'gray'];
const fileOf = (name: string): string => fixturePath('models/preprocessing/images', `${name}.png`);
const images = NAMES.map(fileOf);

/** Rows of a golden result that belong to {@link NAMES}, which come first in every batch. */
function firstRows<Row>(rows: readonly Row[], sequences = 1): Row[] {
  return rows.slice(0, NAMES.length * sequences);
}

/** Images and prompts through every stage, and what the reference wrote for them. */
async function expectCase(model: Blip2, golden: GenerationCase, names: readonly string[], prompts: readonly string[]) {
  const options = optionsOf(golden);
  const sequences = options.returnSequences ?? 1;
  const pixels = await readImages(model, names.map(fileOf));
  const written = await withTensorScope(async (scope) => {
    const features = scope.own(await encodeImages(model, pixels)); // [batch, tokens, width]
    const visualPrompt = scope.own(await visualPromptOf(model, features)); // [batch, queries, promptWidth]
    return (await model.languageModel!.generate(visualPrompt, prompts, options)).flat();
  });
  const { config } = model.languageModel as unknown as { config: { endTokenIds: readonly number[] } };
  const endTokenIds = options.endTokenIds ?? config.endTokenIds;
  const expected = golden.new_tokens.slice(0, names.length * sequences);
  expect(written.map(({ tokenIds }) => [...tokenIds])).toEqual(expected.map((row) => untilEnd(row, endTokenIds)));
  if (golden.sequences_scores === undefined) return;
  expect(written.map(({ score }) => score!)).toBeAllclose(
    golden.sequences_scores.slice(0, names.length * sequences),
    TOLERANCE.scores,
  );
}

describe.each(ENGINES)('from image to text and scores, %s', (engine) => {
  describe.each(['blip2-opt', 'blip2-flan-t5'])('%s', (folder) => {
    const { json } = readGolden(`models/${folder}`);
    let model: Blip2;
    beforeAll(async () => {
      model = await loadBlip2(fixturePath('models', folder), { engine });
    });
    afterAll(() => model.dispose());

    const cases = (json.generation_cases as GenerationCase[]).filter(({ inputs }) => inputs !== 'embeds_only');
    it.each(cases)('$id', (golden) =>
      expectNoLeak(async () => {
        const inputs = json.inputs[golden.inputs!] as { images: string[]; texts: string[] | null };
        const names = inputs.images.length === 1 ? inputs.images : NAMES;
        const prompts = inputs.texts?.slice(0, names.length) ?? names.map(() => '');
        await expectCase(model, golden, names, prompts);
      }),
    );

    it('captions with texts and scores', async () => {
      const golden = cases.find(({ id }) => id === 'beam5_lp1')!;
      const captions = await caption(model, images, { maxNewTokens: 12, minNewTokens: 1 });
      expect(captions.map(({ text }) => text)).toEqual(firstRows(golden.texts).map((text) => text.trim()));
      expect(captions.map(({ score }) => score!)).toBeAllclose(firstRows(golden.sequences_scores!), TOLERANCE.scores);
    });
  });

  it.each([
    { folder: 'blip2-opt-float16', main: 'blip2-opt', promptLength: 29 },
    { folder: 'blip2-flan-t5-bfloat16-sharded', main: 'blip2-flan-t5', promptLength: 1 },
  ])('$folder', async ({ folder, main, promptLength }) => {
    using model = await loadBlip2(fixturePath('models', folder), { engine });
    const { json } = readGolden(`models/${folder}`);
    const rows = (json.greedy_prompt_sequences as number[][]).map((row) => row.slice(promptLength));
    const golden = { id: 'greedy_prompt', settings: { max_new_tokens: 12 }, new_tokens: rows } as unknown as GenerationCase;
    await expectCase(model, golden, NAMES, firstRows(readGolden(`models/${main}`).json.inputs.prompts.texts as string[]));
  });

  describe('blip2-itm', () => {
    const golden = readGolden('models/blip2-itm');
    const texts = golden.json.texts as string[];
    const pairs = NAMES.length * texts.length;
    let model: Blip2;
    beforeAll(async () => {
      model = await loadBlip2(fixturePath('models/blip2-itm'), { engine });
    });
    afterAll(() => model.dispose());

    it('matches', () =>
      expectNoLeak(async () => {
        const scores = (await match(model, images, texts)).flat();
        const probabilities = [...golden.get('itm.probabilities').data].filter((_, index) => index % 2 === 1);
        expect(scores.map(({ itm }) => itm)).toBeAllclose(probabilities.slice(0, pairs), TOLERANCE.similarities);
        expect(scores.map(({ itc }) => itc)).toBeAllclose(
          golden.get('itc.logits_per_image').data.slice(0, pairs),
          TOLERANCE.similarities,
        );
      }));

    it('embeds', () =>
      expectNoLeak(() =>
        withTensorScope(async (scope) => {
          const [queries, features] = [scope.own(await embedImages(model, images)), scope.own(await embedTexts(model, texts))];
          const { shape, data } = golden.get('itc.image_embeds');
          const expected = { shape: [NAMES.length, ...shape.slice(1)], data: data.slice(0, queries.size) };
          expect(queries).toBeAllclose(expected, TOLERANCE.similarities);
          expect(features).toBeAllclose(golden.get('itc.text_embeds'), TOLERANCE.similarities);
        }),
      ));

    it('searches', () =>
      expectNoLeak(async () => {
        const [logits, cosines] = [golden.get('itm.logits').data, golden.get('itc.logits_per_image').data];
        for (const [column, text] of texts.entries()) {
          const expected = NAMES.map((_, index) => {
            const pair = index * texts.length + column;
            return { index, score: logits[2 * pair + 1]! + cosines[pair]! };
          }).toSorted((a, b) => b.score - a.score);
          const hits = await search(model, images, text);
          expect(hits.map(({ index }) => index)).toEqual(expected.map(({ index }) => index));
          expect(hits.map(({ score }) => score)).toBeAllclose(
            expected.map(({ score }) => score),
            TOLERANCE.activations,
          );
        }
      }));
  });
});
