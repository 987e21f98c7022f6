import { parseHTML } from 'linkedom/worker';
import { describe, expect, it } from 'vitest';
import { BENCHMARKS, type BenchmarkRun } from '../benchmarks/benchmark-run.ts';
import { compareRuns } from './compare-runs.ts';
import { comparisonReport } from './comparison-report.ts';
import { evaluationReport } from './evaluation-report.ts';
import { madeUpRun } from './made-up-runs-test-support.ts';

const parse = (page: string): Document => (parseHTML(page) as unknown as { document: Document }).document;
const textOf = (element: Element | null | undefined): string => (element?.textContent ?? '').replace(/\s+/g, ' ').trim();
const all = (document: Document | Element, selector: string): Element[] => [...document.querySelectorAll(selector)];
const texts = (document: Document | Element, selector: string): string[] => all(document, selector).map(textOf);
const tilesOf = (document: Document): string[] => all(document, '.tiles > div').map((tile) => texts(tile, 'dt, dd').join(' '));
const image = 'data:image/gif;base64,R0lGODlhAQABAAAAACw=';

/** What every page keeps to. */
function expectSoundPage(page: string): Document {
  const document = parse(page);
  expect(page.startsWith('<!doctype html>')).toBe(true);
  expect(document.documentElement.getAttribute('lang')).toBe('en');
  expect(document.querySelector('meta[http-equiv="Content-Security-Policy"]')?.getAttribute('content')).toContain(
    "default-src 'none'",
  );
  // Nothing runs and nothing is loaded but pictures.
  expect(all(document, 'script, iframe, object, embed, link, form, base')).toEqual([]);
  for (const element of all(document, '*')) {
    const wrong = [...element.attributes].filter(({ name }) => /^on|^(href|srcset|action|xlink:href)$/.test(name));
    expect(wrong.map(({ name }) => `${element.tagName} ${name}`)).toEqual([]);
  }
  expect(document.querySelector('style')!.textContent).not.toMatch(/url\(|@import/);
  expect(all(document, 'h1')).toHaveLength(1);
  const levels = all(document, 'h1, h2, h3').map(({ tagName }) => Number(tagName.slice(1)));
  for (const [index, level] of levels.entries()) expect(level).toBeLessThanOrEqual((levels[index - 1] ?? 0) + 1);
  const ids = all(document, '[id]').map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  for (const svg of all(document, 'svg')) {
    expect(svg.getAttribute('role')).toBe('img');
    expect(ids).toContain(svg.getAttribute('aria-labelledby'));
    expect(svg.outerHTML).not.toMatch(/NaN|Infinity|undefined/);
  }
  for (const table of all(document, 'table')) {
    expect(textOf(table.querySelector('caption'))).not.toBe('');
    for (const header of all(table, 'th')) expect(header.getAttribute('scope')).toMatch(/^(row|col)$/);
  }
  for (const picture of all(document, 'img')) {
    expect(picture.getAttribute('alt')).not.toBe('');
    expect(picture.getAttribute('loading')).toBe('lazy');
  }
  expect(textOf(document.body)).not.toMatch(/undefined|NaN|\[object/);
  return document;
}

describe('evaluationReport', () => {
  it.each(BENCHMARKS)('%s', async (benchmark) => {
    const run = madeUpRun(benchmark, { count: 60 });
    const document = expectSoundPage(await evaluationReport(run, { imageUrl: () => image, examples: 3 }));
    expect(texts(document, 'h2')).toEqual([
      'Scores',
      'Beside published numbers',
      'Where the scores come from',
      'Examples',
      'Settings and versions',
    ]);
    expect(all(document, 'img')).toHaveLength(9);
    expect(all(document, 'figure').length).toBeGreaterThan(1);
    for (const figure of all(document, 'figure')) expect(figure.querySelector('svg')).not.toBeNull();
  });

  it('has the scores of the run and the published ones, in the paper’s units', async () => {
    const run = madeUpRun('coco-caption', { count: 50 });
    const document = parse(await evaluationReport(run));
    expect(textOf(document.querySelector('h1'))).toBe('COCO captions: tiny model 1');
    expect(tilesOf(document)[0]).toBe(`CIDEr (× 100) ${((run.scores['CIDEr'] as number) * 100).toFixed(2)}`);
    const published = all(document, 'table').find((table) => textOf(table.querySelector('caption')).startsWith('Published'))!;
    expect(texts(published, 'thead th')).toEqual([
      'model',
      'trained',
      'BLEU-1',
      'BLEU-2',
      'BLEU-3',
      'BLEU-4',
      'METEOR',
      'ROUGE-L',
      'CIDEr',
      'SPICE',
      'source',
    ]);
    expect(texts(published, '.ours > *').slice(0, 6)).toEqual(['tiny model 1', '', '70.00', '60.00', '50.00', '20.00']);
    expect(texts(all(published, 'tbody tr').at(-1)!, 'th, td').slice(0, 10)).toEqual([
      'BLIP-2 ViT-g OPT-6.7B',
      '',
      '83.1',
      '68.9',
      '55.2',
      '43.4',
      '31.6',
      '61.8',
      '145.1',
      '25.1',
    ]);
    expect(textOf(document.body)).toContain(
      'This run scored 50 images of captions.json: compare only if these are the same items.',
    );
    expect(textOf(document.body)).toContain('METEOR is not there: no jar was given');
  });

  it('draws published numbers and groups in order, with their values and counts', async () => {
    const document = parse(await evaluationReport(madeUpRun('vqav2', { count: 80 })));
    const [published] = all(document, 'figure');
    const words = texts(published!, 'svg text');
    for (const text of ['this run', 'BLIP-2 ViT-g FlanT5-XXL', '65.2', '13.5', 'accuracy (%)']) expect(words).toContain(text);
    const types = all(document, 'figure').find((figure) => textOf(figure.querySelector('h3')) === 'By question type')!;
    const rows = all(types, 'tbody tr').map((row) => texts(row, 'th, td'));
    const scores = rows.map(([, , score]) => Number(score));
    expect(scores).toEqual(scores.toSorted((a, b) => b - a));
    expect(rows.reduce((sum, [, count]) => sum + Number(count), 0)).toBe(80);
    const drawn = texts(types, 'svg text');
    expect(drawn).toContain('what is the man doing i…');
    for (const [, count, score] of rows) expect(drawn).toEqual(expect.arrayContaining([count, score]));
  });

  it('shows the best, the worst and others, each once, the same for the same seed', async () => {
    const run = madeUpRun('vqav2', { count: 100 });
    const examples = async (seed: number): Promise<string[][]> => {
      const document = parse(await evaluationReport(run, { examples: 4, seed }));
      return all(document, 'ul.examples').map((list) =>
        all(list, '.example').map((card) => textOf(all(card, 'dd').at(-1)).split(' ')[0]!),
      );
    };
    const [best, worst, others] = await examples(1);
    expect([best, worst, others].map((list) => list!.length)).toEqual([4, 4, 4]);
    expect(new Set([best, worst, others].flat()).size).toBe(12);
    const scoreOf = (id: string): number => run.items.find((item) => String(item.id) === id)!.score;
    expect(best!.map(scoreOf)).toEqual([100, 100, 100, 100]);
    expect(worst!.map(scoreOf)).toEqual([0, 0, 0, 0]);
    expect(await examples(1)).toEqual([best, worst, others]);
    expect(await examples(2)).not.toEqual([best, worst, others]);
  });

  it.each([0, 1, 2, 3])('takes a run of %d items', async (count) => {
    const run = madeUpRun('gqa', { count: 3 });
    const some: BenchmarkRun = { ...run, items: run.items.slice(0, count) };
    const document = expectSoundPage(await evaluationReport(some));
    expect(all(document, '.example')).toHaveLength(count);
  });

  it('takes scores that are all alike, tiny or negative', async () => {
    for (const scores of [[5, 5, 5], [0, 0], [1e-12, 2e-12], [-3, 4], Array.from({ length: 40 }, (_, index) => index / 1000)]) {
      const items = scores.map((score, id) => ({ id, score, prediction: '', references: [] }));
      expectSoundPage(await evaluationReport({ ...madeUpRun('gqa'), items }));
    }
  });

  it('draws the largest of many groups and lists all', async () => {
    const run = madeUpRun('vqav2', { count: 400 });
    const items = run.items.map((item, index) => ({ ...item, groups: { word: `w${Math.floor(Math.sqrt(index * 2))}` } }));
    const document = expectSoundPage(await evaluationReport({ ...run, scores: { overall: 50 }, items }));
    const figure = all(document, 'figure').at(-1)!;
    expect(textOf(figure.querySelector('figcaption'))).toContain('The 24 largest of 29 groups.');
    expect(all(figure, 'tbody tr')).toHaveLength(29);
    expect(all(figure, 'svg rect')).toHaveLength(24);
  });
});

const HOSTILE = `</p></svg></style><script>alert(1)</script><img src=x onerror="alert(2)">'"&amp;\u0000\u202e${'x'.repeat(5000)}`;

/** A run in which every text that others write is hostile. */
function hostileRun(): BenchmarkRun {
  const run = madeUpRun('vqav2', { count: 12 });
  return {
    ...run,
    model: HOSTILE,
    date: HOSTILE,
    annotations: HOSTILE,
    settings: { [HOSTILE]: HOSTILE },
    versions: { [HOSTILE]: HOSTILE },
    mainScore: HOSTILE,
    scores: { [HOSTILE]: 1, overall: 3, perAnswerType: { [HOSTILE]: 2 }, constructor: 4 },
    unavailable: { [HOSTILE]: HOSTILE },
    items: run.items.map((item) => ({
      ...item,
      id: `${HOSTILE}${item.id}`,
      question: HOSTILE,
      prediction: HOSTILE,
      references: [HOSTILE, '__proto__'],
      image: HOSTILE,
      groups: { [HOSTILE]: HOSTILE, constructor: '__proto__' },
      otherScores: { [HOSTILE]: 1, constructor: 2 },
    })),
  };
}

describe('texts of others', () => {
  it('stay texts in a report', async () => {
    const page = await evaluationReport(hostileRun(), { imageUrl: () => `images/"><script>alert(3)</script>.png` });
    const document = expectSoundPage(page);
    expect(all(document, 'img').map((picture) => picture.getAttribute('src'))[0]).toBe('images/"><script>alert(3)</script>.png');
    expect(textOf(document.querySelector('h1'))).toContain('<script>alert(1)</script>');
    expect(page.includes('\u0000')).toBe(false);
  });

  it('stay texts in a comparison', async () => {
    const run = hostileRun();
    const other = { ...run, items: run.items.map((item) => ({ ...item, score: item.score / 2 + 20 })) };
    expectSoundPage(await comparisonReport(compareRuns(run, other, { samples: 50 })));
  });

  it('addresses are those of pictures', async () => {
    const run = madeUpRun('vqav2', { count: 4 });
    const page = (url: string | undefined): Promise<string> => evaluationReport(run, { imageUrl: () => url });
    for (const url of ['a/b c.jpg', '../x.png', 'https://host/x.jpg', 'file:///x.jpg', image, undefined])
      expectSoundPage(await page(url));
    await expect(page('javascript:alert(1)')).rejects.toThrowErrorMatchingInlineSnapshot(
      `[InputError: report: imageUrl gave 'javascript:alert(1)' for the item 1001, expected a path relative to the page, a data:image URL, or one of http, https or file. Write paths with / and without a drive.]`,
    );
    for (const url of [' JavaScript:alert(1)', 'data:text/html,<script>', 'C:\\images\\x.png', 'vbscript:x'])
      await expect(page(url)).rejects.toMatchObject({ code: 'input' });
  });
});

describe('comparisonReport', () => {
  const first = madeUpRun('vqav2', { count: 90 });
  const second: BenchmarkRun = {
    ...first,
    model: 'tiny model 2',
    items: first.items.map((item, index) =>
      index % 3 === 0 ? { ...item, score: Math.min(100, item.score + 30), prediction: 'other' } : item,
    ),
  };

  it('tells the difference with its interval, and shows what changed', async () => {
    const comparison = compareRuns(first, second, { samples: 500, examples: 5 });
    const document = expectSoundPage(await comparisonReport(comparison, { imageUrl: () => image }));
    expect(textOf(document.querySelector('h1'))).toBe('VQAv2: tiny model 1 and tiny model 2');
    const tiles = tilesOf(document);
    expect(tiles[0]).toBe(`accuracy (%) +${comparison.difference.toFixed(2)}`);
    expect(tiles[1]).toBe(`95 % interval +${comparison.interval[0].toFixed(2)} to +${comparison.interval[1].toFixed(2)}`);
    expect(texts(document, 'h2')).toEqual([
      'How sure the difference is',
      'Where it changed',
      'All scores',
      'Largest improvements',
      'Settings and versions',
    ]);
    expect(all(document, '.example')).toHaveLength(5);
    expect(texts(document.querySelector('.example')!, 'dd')[2]).toMatch(/^other \(/);
    expect(textOf(document.querySelector('#interval'))).toContain('tiny model 2 is to be expected ahead again');
  });

  it.each(BENCHMARKS)('%s', async (benchmark) => {
    const run = madeUpRun(benchmark, { count: 40 });
    const other = { ...run, items: run.items.map((item, index) => ({ ...item, score: index % 2 === 0 ? item.score : 0 })) };
    expectSoundPage(await comparisonReport(compareRuns(run, other, { samples: 50 })));
  });

  it('takes runs that do not differ', async () => {
    const document = expectSoundPage(await comparisonReport(compareRuns(first, first, { samples: 50 })));
    expect(textOf(document.querySelector('#interval'))).toContain('The interval is 0 alone: no item changed its score.');
    expect(tilesOf(document)).toEqual([
      'accuracy (%) 0.00',
      '95 % interval 0.00 to 0.00',
      'questions better 0.0 %',
      'questions equal 100.0 %',
      'questions worse 0.0 %',
    ]);
    expect(all(document, '.example')).toEqual([]);
  });
});
