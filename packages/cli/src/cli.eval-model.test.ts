import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeShapesWorld } from '@blip2/datasets/node';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { main } from './index.ts';

/** Scenes that the model which comes along has never met, in the files of the data sets. */
const folder = mkdtempSync(join(tmpdir(), 'blip2-eval-model-'));
const path = (...names: string[]): string => join(folder, ...names);

beforeAll(async () => {
  for (const name of ['METEOR_JAR', 'METEOR_DATA', 'SPICE_JAR']) vi.stubEnv(name, '');
  await writeShapesWorld(path('world'), {
    seed: 1234,
    counts: {
      coco: { train: 0, restval: 0, val: 6, test: 4 },
      gqa: { train: 0, val: 0, testdev: 4 },
      nocaps: { in: 2, near: 2, out: 2 },
      flickr30k: { train: 0, val: 0, test: 6 },
    },
  });
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

const CAPTIONS = ['--annotations', path('world', 'coco', 'annotations', 'captions_val2014.json')];
const VQA = [
  '--questions',
  path('world', 'vqav2', 'v2_OpenEnded_mscoco_val2014_questions.json'),
  '--annotations',
  path('world', 'vqav2', 'v2_mscoco_val2014_annotations.json'),
];
/** Benchmark, its files, its images, what the model surely reaches, and the official result file that it leaves. */
const BENCHMARKS = [
  ['coco-caption', CAPTIONS, 'coco/images', 'CIDEr', 0.5, 'predictions.json'],
  [
    'nocaps',
    ['--annotations', path('world', 'nocaps', 'nocaps_val_4500_captions.json')],
    'nocaps/images',
    'entire',
    0.3,
    'predictions.json',
  ],
  ['vqav2', VQA, 'coco/images', 'overall', 55, 'predictions.json'], // without an image: 35
  [
    'gqa',
    ['--questions', path('world', 'gqa', 'testdev_balanced_questions.json')],
    'gqa/images',
    'accuracy',
    40,
    'predictions.json',
  ],
  [
    'flickr30k',
    ['--annotations', path('world', 'flickr30k', 'dataset_flickr30k.json')],
    'flickr30k',
    'r_mean',
    80,
    'scores.safetensors',
  ],
  [
    'coco-retrieval',
    ['--annotations', path('world', 'coco', 'dataset_coco.json')],
    'coco/images',
    'r_mean',
    80,
    'scores.safetensors',
  ],
] as const;

async function blip2(...words: string[]) {
  let [out, error] = ['', ''];
  const streams = { out: { write: (text: string) => (out += text) }, error: { write: (text: string) => (error += text) } };
  const code = await main(['eval', ...words], streams);
  return { code, out, error: error.replaceAll(folder, 'FOLDER') };
}

describe('blip2 eval, a model on a world of shapes', () => {
  it.each(BENCHMARKS)('%s', async (benchmark, files, images, score, least, predictions) => {
    const output = path(`out-${benchmark}`);
    const words = [benchmark, ...files, '--images', path('world', ...images.split('/')), '--output', output, '--json'];
    const { code, out, error } = await blip2(...words);
    expect(code, error).toBe(0);
    const { unavailable: _, ...scores } = JSON.parse(out) as Record<string, number | Record<string, number>>;
    const value = scores[score]!;
    expect(typeof value === 'number' ? value : value['CIDEr']).toBeGreaterThan(least);

    // What it keeps gives the same scores again, as a file from anybody would.
    const option = predictions === 'scores.safetensors' ? '--scores' : '--predictions';
    const again = await blip2(benchmark, ...files, option, join(output, predictions), '--json');
    expect(JSON.parse(again.out)).toMatchObject(scores);

    const results = JSON.parse(readFileSync(join(output, 'results.json'), 'utf8')) as Record<string, unknown>;
    expect(results).toMatchObject({
      benchmark,
      model: '@blip2/tiny, OPT',
      scores,
      settings: { protocol: 'zero-shot', imageSize: 128 },
    });
    expect(readFileSync(join(output, 'report.md'), 'utf8')).toContain('BLIP-2');
    const page = readFileSync(join(output, 'report.html'), 'utf8');
    expect(page).toContain('data:image/png;base64,');
  });

  it('goes on without repeating what is finished', async () => {
    const [benchmark, files, images] = BENCHMARKS[0];
    const output = path('resumed');
    const words = [benchmark, ...files, '--images', path('world', ...images.split('/')), '--batch', '2', '--output', output];
    expect((await blip2(...words)).code).toBe(0);
    const whole = readFileSync(join(output, 'results.json'), 'utf8');
    const refused = await blip2(...words);
    expect([refused.code, refused.error.trim().split('\n').at(-1)]).toMatchInlineSnapshot(`
      [
        2,
        "FOLDER/resumed/journal.jsonl: a run was begun here. Go on with it by resuming (--resume), or name another folder.",
      ]
    `);

    const journal = readFileSync(join(output, 'journal.jsonl'), 'utf8').split('\n');
    expect(journal).toHaveLength(1 + 10 + 1);
    writeFileSync(join(output, 'journal.jsonl'), `${journal.slice(0, 4).join('\n')}\n${journal[4]!.slice(0, 9)}`); // as after a crash
    rmSync(join(output, 'results.json'));
    const { code, error } = await blip2(...words, '--resume');
    expect([code, error]).toEqual([0, expect.stringContaining('3 finished items were found')]);
    const { items } = JSON.parse(readFileSync(join(output, 'results.json'), 'utf8')) as { items: unknown };
    expect(items).toEqual((JSON.parse(whole) as { items: unknown }).items);

    const other = await blip2(...words, '--resume', '--beams', '2');
    expect([other.code, other.error]).toEqual([2, expect.stringContaining('settings.beams was 5 and is 2')]);
  });

  it('scores a part, compares two runs, and answers without --json in a table', async () => {
    const [benchmark, files, images] = BENCHMARKS[2];
    const base = [benchmark, ...files, '--images', path('world', ...images.split('/')), '--limit', '8'];
    const runs = ['a', 'b'].map((name, index) => [...base, '--beams', String(1 + index), '--output', path(name)]);
    for (const words of runs) {
      const { code, out } = await blip2(...words);
      expect([code, out]).toEqual([0, expect.stringContaining('| ')]);
    }
    const results = ['a', 'b'].map((name) => path(name, 'results.json'));
    expect((JSON.parse(readFileSync(results[0]!, 'utf8')) as { items: unknown[] }).items).toHaveLength(8);
    const { code, out } = await blip2('compare', ...results, '--output', path('compared'), '--json');
    expect(code).toBe(0);
    const { difference, interval } = JSON.parse(out) as { difference: number; interval: [number, number] };
    expect(interval[0]).toBeLessThanOrEqual(difference);
    expect(interval[1]).toBeGreaterThanOrEqual(difference);
    expect(existsSync(path('compared', 'comparison.html'))).toBe(true);
  });
});
