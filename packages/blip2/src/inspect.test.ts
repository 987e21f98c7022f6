import { parseBlip2Config } from '@blip2/checkpoints';
import { openCheckpoint } from '@blip2/checkpoints/node';
import { fixturePath } from '@blip2/testing';
import { describe, expect, it } from 'vitest';
import { BLIP2_CONFIGS, type OfficialModel } from './configs.ts';
import { inspectCheckpoint, inspectConfig } from './inspect.ts';

const inspectOfficial = (model: OfficialModel): ReturnType<typeof inspectConfig> =>
  inspectConfig(parseBlip2Config(BLIP2_CONFIGS[model]));

describe('official configurations have the published parameter counts', () => {
  it.each<[OfficialModel, number, number]>([
    // model, all parameters, trained in stage 2 (section 1 of the specification of BLIP-2's sizes)
    ['blip2-opt-2.7b', 3_744_761_856, 107_133_696],
    ['blip2-opt-6.7b', 7_752_869_376, 108_314_880],
    ['blip2-flan-t5-xl', 3_942_446_592, 106_739_968],
    ['blip2-flan-t5-xxl', 12_229_596_672, 108_314_880],
  ])('%s: %i, of which %i are trained', (model, parameters, trainable) => {
    expect(inspectOfficial(model)).toMatchObject({ parameters, trainable });
  });

  it.each<[OfficialModel, number]>([
    ['blip2-itm-vit-g', 1_172_032_258],
    ['blip2-itm-vit-g-coco', 1_172_623_618],
  ])('%s: %i', (model, parameters) => {
    expect(inspectOfficial(model).parameters).toBe(parameters);
  });

  it('counts each part', () => {
    const counts = (model: OfficialModel): Record<string, number> =>
      Object.fromEntries(inspectOfficial(model).parts.map(({ part, parameters }) => [part, parameters]));
    expect(counts('blip2-opt-2.7b')).toEqual({
      'vision encoder': 985_952_256,
      'query tokens': 24_576,
      'Q-Former': 105_137_664,
      'language projection': 1_968_640,
      'language model': 2_651_678_720,
    });
    expect(inspectOfficial('blip2-opt-2.7b').parts[0]).toMatchObject({ part: 'vision encoder', trainable: 2 * 1408 }); // ln_vision
    expect(counts('blip2-itm-vit-g')).toMatchObject({ 'Q-Former': 161_825_280, 'text embeddings': 23_834_880 });
    expect(counts('blip2-opt-2.7b-coco')['vision encoder']! - counts('blip2-opt-2.7b')['vision encoder']!).toBe(420 * 1408);
    expect(counts('blip2-opt-6.7b')['language model']).toBe(6_658_605_056);
    expect(counts('blip2-flan-t5-xl')['language model']).toBe(2_849_757_184);
    expect(counts('blip2-flan-t5-xxl')['language model']).toBe(11_135_332_352);
  });
});

describe('checkpoints', () => {
  it('finds nothing missing and nothing unused in a complete one', async () => {
    const checkpoint = await openCheckpoint(fixturePath('models/blip2-itm'));
    expect(await inspectCheckpoint(checkpoint)).toMatchObject({ missing: [], unused: [] });
    checkpoint.dispose();
  });

  it('names the tied copy, counts it once, and adds up formats and bytes', async () => {
    const checkpoint = await openCheckpoint(fixturePath('models/blip2-opt-float16'));
    const { parts, unused, parameters } = await inspectCheckpoint(checkpoint);
    const single = await openCheckpoint(fixturePath('models/blip2-opt'));
    expect(parameters).toBe((await inspectCheckpoint(single)).parameters);
    expect(unused).toEqual(['language_model.lm_head.weight']);
    for (const { parameters: count, storedBytes, dtypes } of parts)
      expect([storedBytes, dtypes]).toEqual([2 * count, { F16: count }]);
    checkpoint.dispose();
    single.dispose();
  });
});
