import { expect, it } from 'vitest';
import { BENCHMARKS } from '../benchmarks/benchmark-run.ts';
import { madeUpRun } from './made-up-runs-test-support.ts';
import { resultTable } from './result-table.ts';

it('puts published numbers beside those of a run', () => {
  const run = madeUpRun('nocaps', { count: 40 });
  expect(resultTable({ ...run, scores: { ...run.scores, 'in-domain': { CIDEr: 1.2345, ROUGE_L: 0.5 } } })).toMatchInlineSnapshot(`
    "# NoCaps: tiny model 1

    2026-02-03 04:05 UTC. Scored: 40 images of captions.json. Caption metrics are times 100.

    ## Scores

    | part | CIDEr | ROUGE-L | BLEU-1 | BLEU-2 | BLEU-3 | BLEU-4 |
    | --- | ---: | ---: | ---: | ---: | ---: | ---: |
    | in-domain | 123.45 | 50.00 |  |  |  |  |
    | near-domain | 60.48 | 60.00 | 70.00 | 60.00 | 50.00 | 20.00 |
    | out-domain | 50.48 | 60.00 | 70.00 | 60.00 | 50.00 | 20.00 |
    | all domains | 60.48 | 60.00 | 70.00 | 60.00 | 50.00 | 20.00 |

    * METEOR is not there: no jar was given
    * SPICE is not there: no jar was given

    ## Beside published numbers

    Published numbers are those of the split that is named with them. Zero-shot here means that the models were fine-tuned on COCO. This run scored 40 images of captions.json: compare only if these are the same items.

    ### Zero-shot, val

    | model | trained | CIDEr, in-domain | SPICE, in-domain | CIDEr, near-domain | SPICE, near-domain | CIDEr, out-domain | SPICE, out-domain | CIDEr, all domains | SPICE, all domains | source |
    | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |
    | **tiny model 1** |  | **123.45** |  | **60.48** |  | **50.48** |  | **60.48** |  | this run |
    | OSCAR | 345M |  |  |  |  |  |  | 80.9 | 11.3 | BLIP-2, table 3 |
    | VinVL | 345M | 103.1 | 14.2 | 96.1 | 13.8 | 88.3 | 12.1 | 95.5 | 13.5 | BLIP-2, table 3 |
    | BLIP | 446M | 114.9 | 15.2 | 112.1 | 14.9 | 115.3 | 14.4 | 113.2 | 14.8 | BLIP-2, table 3 |
    | SimVLM | \\~1.4B | 113.7 |  | 110.9 |  | 115.2 |  | 112.2 |  | BLIP-2, table 3 |
    | BLIP-2 ViT-g OPT-2.7B | 1.1B | 123.0 | 15.8 | 117.8 | 15.4 | 123.4 | 15.1 | 119.7 | 15.4 | BLIP-2, table 3 |
    | BLIP-2 ViT-g OPT-6.7B | 1.1B | 123.7 | 15.8 | 119.2 | 15.3 | 124.4 | 14.8 | 121.0 | 15.3 | BLIP-2, table 3 |
    | BLIP-2 ViT-g FlanT5-XL | 1.1B | 123.7 | 16.3 | 120.2 | 15.9 | 124.8 | 15.1 | 121.6 | 15.8 | BLIP-2, table 3 |

    ## By domain

    | domain | images | score |
    | --- | ---: | ---: |
    | in-domain | 23 | 123.45 |
    | near-domain | 10 | 60.48 |
    | out-domain | 7 | 50.48 |

    ## Settings

    | setting | value |
    | --- | --- |
    | protocol | zero-shot |
    | imageSize | 224 |
    | generation.beams | 5 |
    | generation.lengthPenalty | -1 |

    ## Versions

    | of | version |
    | --- | --- |
    | @blip2/eval | 0.1.0 |
    | node | 24.21.0 |
    "
  `);
});

it('has a section for each protocol and split, with the scores that were published there', () => {
  const text = resultTable(madeUpRun('vqav2'));
  expect(text.match(/^#+ .*/gm)).toEqual([
    '# VQAv2: tiny model 1',
    '## Scores',
    '## Beside published numbers',
    '### Zero-shot, val',
    '### Zero-shot, test-dev',
    '### Fine-tuned, test-dev',
    '### Fine-tuned, test-std',
    '## By answer type',
    '## By question type',
    '## Settings',
    '## Versions',
  ]);
  expect(text).toContain('| model | trained | accuracy | yes/no | number | other | source |');
  expect(text).toContain('| BLIP-2 ViT-g FlanT5-XL |  | 63.13 | 84.28 | 41.01 | 52.90 | LAVIS, comments of its configurations |');
  expect(text).toContain('| OFA | 930M | 82.00 | BLIP-2, table 4 |');
  expect(text).toContain('60 questions of v2\\_mscoco\\_val2014\\_annotations.json: compare only if these are the same items.');
});

it('compares GQA by the accuracy of normalised answers', () => {
  const run = madeUpRun('gqa');
  expect(resultTable({ ...run, scores: { ...run.scores, normalizedAccuracy: 12.345 } })).toContain(
    '| **tiny model 1** |  | **12.35** | this run |',
  );
  expect(resultTable({ ...run, scores: { accuracy: 23.4 } })).toContain('| **tiny model 1** |  | **23.40** | this run |');
});

it('has nothing where a metric is not there, also for the zeros of an official script', () => {
  const run = { ...madeUpRun('gqa'), scores: { accuracy: 50, validity: 0 }, unavailable: { validity: 'needs choices' } };
  expect(resultTable(run)).toContain('| all | 50.00 |  |\n\n* validity is not there: needs choices');
});

it.each(BENCHMARKS)('tables of %s are well formed', (benchmark) => {
  const text = resultTable(madeUpRun(benchmark));
  for (const table of text
    .trim()
    .split('\n\n')
    .filter((part) => part.startsWith('|'))) {
    const widths = table.split('\n').map((line) => line.match(/(?<!\\)\|/g)!.length);
    expect(new Set(widths).size, table).toBe(1);
  }
  expect(text).not.toMatch(/undefined|NaN|\[object/);
  expect(text.endsWith('\n') && !text.endsWith('\n\n')).toBe(true);
});

it('texts of others stay texts', () => {
  const run = {
    ...madeUpRun('vqav2', { count: 4 }),
    model: 'a|b\n# <img src=x onerror=alert(1)> [x](javascript:1) `c` *d*',
    settings: { 'x|y': '<script>\n|' },
    unavailable: { constructor: '| &lt;' },
  };
  const text = resultTable(run);
  expect(text).toContain('a\\|b \\# &lt;img src=x onerror=alert(1)\\> \\[x\\](javascript:1) \\`c\\` \\*d\\*');
  expect(text).toContain('| x\\|y | &lt;script\\> \\| |');
  expect(text).toContain('* constructor is not there: \\| &amp;lt;');
});

it('says so when there is nothing', () => {
  const text = resultTable({ ...madeUpRun('coco-caption'), items: [], scores: {}, settings: undefined, annotations: undefined });
  expect(text).toContain('Scored: 0 images.');
  expect(text).not.toMatch(/undefined|NaN|\[object/);
});
