import type { Benchmark } from './benchmark-run.ts';

/** A row of a published table: what is printed of a model on one split. */
export interface PublishedResult {
  /** As the table calls it. */
  readonly model: string;
  /** Parameters that were trained, and all of them, where the table has them: `107M`, `4.1B`. */
  readonly trainable?: string;
  readonly total?: string;
  readonly protocol: 'zero-shot' | 'fine-tuned';
  /** Which items were scored: `val`, `test-dev`, `Karpathy test`. */
  readonly split: string;
  /**
   * In the paper's units: percent, caption metrics times 100. Names are those of `blip2 eval --json`, with the domain before them for
   * NoCaps (`entire CIDEr`), and the type of answer alone for VQAv2 (`yes/no`).
   */
  readonly scores: Readonly<Record<string, number>>;
  /** Where it is printed. */
  readonly source: string;
}

/** The columns are those of the paper; models of the paper itself have their parts as a name. */
const TABLE_2 = `
model                   | trainable | total | val  | test-dev | GQA
VL-T5 no-vqa            | 224M      | 269M  | 13.5 | -        | 6.3
FewVLM                  | 740M      | 785M  | 47.7 | -        | 29.3
Frozen                  | 40M       | 7.1B  | 29.6 | -        | -
VLKD                    | 406M      | 832M  | 42.6 | 44.5     | -
Flamingo-3B             | 1.4B      | 3.2B  | -    | 49.2     | -
Flamingo-9B             | 1.8B      | 9.3B  | -    | 51.8     | -
Flamingo-80B            | 10.2B     | 80B   | -    | 56.3     | -
BLIP-2 ViT-L OPT-2.7B   | 104M      | 3.1B  | 50.1 | 49.7     | 33.9
BLIP-2 ViT-g OPT-2.7B   | 107M      | 3.8B  | 53.5 | 52.3     | 34.6
BLIP-2 ViT-g OPT-6.7B   | 108M      | 7.8B  | 54.3 | 52.6     | 36.4
BLIP-2 ViT-L FlanT5-XL  | 103M      | 3.4B  | 62.6 | 62.3     | 44.4
BLIP-2 ViT-g FlanT5-XL  | 107M      | 4.1B  | 63.1 | 63.0     | 44.2
BLIP-2 ViT-g FlanT5-XXL | 108M      | 12.1B | 65.2 | 65.0     | 44.7`;

const TABLE_3 = `
model                  | trainable | in C  | in S | near C | near S | out C | out S | all C | all S | B@4  | C
OSCAR                  | 345M      | -     | -    | -      | -      | -     | -     | 80.9  | 11.3  | 37.4 | 127.8
VinVL                  | 345M      | 103.1 | 14.2 | 96.1   | 13.8   | 88.3  | 12.1  | 95.5  | 13.5  | 38.2 | 129.3
BLIP                   | 446M      | 114.9 | 15.2 | 112.1  | 14.9   | 115.3 | 14.4  | 113.2 | 14.8  | 40.4 | 136.7
OFA                    | 930M      | -     | -    | -      | -      | -     | -     | -     | -     | 43.9 | 145.3
Flamingo               | 10.6B     | -     | -    | -      | -      | -     | -     | -     | -     | -    | 138.1
SimVLM                 | ~1.4B     | 113.7 | -    | 110.9  | -      | 115.2 | -     | 112.2 | -     | 40.6 | 143.3
BLIP-2 ViT-g OPT-2.7B  | 1.1B      | 123.0 | 15.8 | 117.8  | 15.4   | 123.4 | 15.1  | 119.7 | 15.4  | 43.7 | 145.8
BLIP-2 ViT-g OPT-6.7B  | 1.1B      | 123.7 | 15.8 | 119.2  | 15.3   | 124.4 | 14.8  | 121.0 | 15.3  | 43.5 | 145.2
BLIP-2 ViT-g FlanT5-XL | 1.1B      | 123.7 | 16.3 | 120.2  | 15.9   | 124.8 | 15.1  | 121.6 | 15.8  | 42.4 | 144.5`;

const TABLE_4 = `
model                  | trainable | test-dev | test-std
ALBEF                  | 314M      | 75.84    | 76.04
BLIP                   | 385M      | 78.25    | 78.32
OFA                    | 930M      | 82.00    | 82.00
Flamingo-80B           | 10.6B     | 82.00    | 82.10
BLIP-2 ViT-g FlanT5-XL | 1.2B      | 81.55    | 81.66
BLIP-2 ViT-g OPT-2.7B  | 1.2B      | 81.59    | 81.74
BLIP-2 ViT-g OPT-6.7B  | 1.2B      | 82.19    | 82.30
VinVL (classifier)     | 345M      | 76.52    | 76.60
SimVLM (classifier)    | ~1.4B     | 80.03    | 80.34
CoCa (classifier)      | 2.1B      | 82.30    | 82.30
BEIT-3 (classifier)    | 1.9B      | 84.19    | 84.03`;

/** F is Flickr30K, C is COCO; T looks for texts, I for images. */
const TABLE_5 = `
model        | trainable | FT1  | FT5   | FT10  | FI1  | FI5  | FI10 | CT1  | CT5  | CT10 | CI1  | CI5  | CI10
CLIP         | 428M      | 88.0 | 98.7  | 99.4  | 68.7 | 90.6 | 95.2 | -    | -    | -    | -    | -    | -
ALIGN        | 820M      | 88.6 | 98.7  | 99.7  | 75.7 | 93.8 | 96.8 | 77.0 | 93.5 | 96.9 | 59.9 | 83.3 | 89.8
FILIP        | 417M      | 89.8 | 99.2  | 99.8  | 75.0 | 93.4 | 96.3 | 78.9 | 94.4 | 97.4 | 61.2 | 84.3 | 90.6
Florence     | 893M      | 90.9 | 99.1  | -     | 76.7 | 93.6 | -    | 81.8 | 95.2 | -    | 63.2 | 85.7 | -
BEIT-3       | 1.9B      | 94.9 | 99.9  | 100.0 | 81.5 | 95.6 | 97.8 | 84.8 | 96.5 | 98.3 | 67.2 | 87.7 | 92.8
UNITER       | 303M      | 83.6 | 95.7  | 97.7  | 68.7 | 89.2 | 93.9 | 65.7 | 88.6 | 93.8 | 52.9 | 79.9 | 88.0
OSCAR        | 345M      | -    | -     | -     | -    | -    | -    | 70.0 | 91.1 | 95.5 | 54.0 | 80.8 | 88.5
VinVL        | 345M      | -    | -     | -     | -    | -    | -    | 75.4 | 92.9 | 96.2 | 58.8 | 83.5 | 90.3
ALBEF        | 233M      | 94.1 | 99.5  | 99.7  | 82.8 | 96.3 | 98.1 | 77.6 | 94.3 | 97.2 | 60.7 | 84.3 | 90.5
BLIP         | 446M      | 96.7 | 100.0 | 100.0 | 86.7 | 97.3 | 98.7 | 82.4 | 95.4 | 97.9 | 65.1 | 86.3 | 91.8
BLIP-2 ViT-L | 474M      | 96.9 | 100.0 | 100.0 | 88.6 | 97.6 | 98.9 | 83.5 | 96.0 | 98.0 | 66.3 | 86.5 | 91.8
BLIP-2 ViT-g | 1.2B      | 97.6 | 100.0 | 100.0 | 89.7 | 98.1 | 98.9 | 85.4 | 97.0 | 98.5 | 68.3 | 87.7 | 92.6`;

const TABLE_6 = `
model                                                 | CT1  | CT5  | CI1  | CI5
BLIP-2 ViT-g, trained without captioning: ITC and ITM | 84.5 | 96.2 | 67.2 | 87.1`;

const LAVIS_VQA = `
model                  | overall | yes/no | number | other
BLIP-2 ViT-g FlanT5-XL | 63.13   | 84.28  | 41.01  | 52.90
BLIP-2 ViT-g OPT-2.7B  | 51.88   | -      | -      | -`;

const LAVIS_GQA = `
model                  | accuracy
BLIP-2 ViT-g FlanT5-XL | 43.98`;

const LAVIS_CAPTIONS = `
model                 | Bleu_1 | Bleu_2 | Bleu_3 | Bleu_4 | METEOR | ROUGE_L | CIDEr | SPICE
BLIP-2 ViT-g OPT-2.7B | 83.2   | 69.1   | 55.6   | 43.8   | 31.7   | 62.0    | 146.1 | 25.2
BLIP-2 ViT-g OPT-6.7B | 83.1   | 68.9   | 55.2   | 43.4   | 31.6   | 61.8    | 145.1 | 25.1`;

const SOURCES = new Map([
  [TABLE_2, 'BLIP-2, table 2'],
  [TABLE_3, 'BLIP-2, table 3'],
  [TABLE_4, 'BLIP-2, table 4'],
  [TABLE_5, 'BLIP-2, table 5'],
  [TABLE_6, 'BLIP-2, table 6'],
]);

type Setting = Pick<PublishedResult, 'protocol' | 'split'>;

/** The rows of a table that have one of the scores; `columns` says under which name the table has a score. */
function rowsOf(table: string, setting: Setting, columns: Readonly<Record<string, string>>): PublishedResult[] {
  const [header, ...rows] = table
    .trim()
    .split('\n')
    .map((line) => line.split('|').map((cell) => cell.trim()));
  return rows.flatMap((cells) => {
    const row = new Map(header!.map((name, index) => [name, cells[index]!] as const));
    const scores = Object.entries(columns).flatMap(([name, column]) => {
      const cell = row.get(column)!;
      return cell === '-' ? [] : [[name, Number(cell)] as const];
    });
    if (scores.length === 0) return [];
    const [trainable, total] = [row.get('trainable'), row.get('total')];
    return [
      {
        model: row.get('model')!,
        ...(trainable === undefined ? {} : { trainable }),
        ...(total === undefined ? {} : { total }),
        ...setting,
        scores: Object.fromEntries(scores),
        source: SOURCES.get(table) ?? 'LAVIS, comments of its configurations',
      },
    ];
  });
}

const ownNames = (...names: readonly string[]): Record<string, string> => Object.fromEntries(names.map((name) => [name, name]));

const recalls = (set: 'F' | 'C'): Record<string, string> =>
  Object.fromEntries(
    ['txt', 'img'].flatMap((direction) =>
      [1, 5, 10].map((k) => [`${direction}_r${k}`, `${set}${direction === 'txt' ? 'T' : 'I'}${k}`]),
    ),
  );

const NOCAPS_COLUMNS = {
  'in-domain CIDEr': 'in C',
  'in-domain SPICE': 'in S',
  'near-domain CIDEr': 'near C',
  'near-domain SPICE': 'near S',
  'out-domain CIDEr': 'out C',
  'out-domain SPICE': 'out S',
  'entire CIDEr': 'all C',
  'entire SPICE': 'all S',
};

function readTables(): Record<Benchmark, readonly PublishedResult[]> {
  const zeroShot = (split: string): Setting => ({ protocol: 'zero-shot', split });
  const fineTuned = (split: string): Setting => ({ protocol: 'fine-tuned', split });
  const cocoCaptions = fineTuned('Karpathy test');
  const cocoRetrieval = fineTuned('Karpathy test, 5,000 images');
  return {
    'coco-caption': [
      ...rowsOf(TABLE_3, cocoCaptions, { Bleu_4: 'B@4', CIDEr: 'C' }),
      ...rowsOf(
        LAVIS_CAPTIONS,
        cocoCaptions,
        ownNames('Bleu_1', 'Bleu_2', 'Bleu_3', 'Bleu_4', 'METEOR', 'ROUGE_L', 'CIDEr', 'SPICE'),
      ),
    ],
    nocaps: rowsOf(TABLE_3, zeroShot('val'), NOCAPS_COLUMNS),
    vqav2: [
      ...rowsOf(TABLE_2, zeroShot('val'), { overall: 'val' }),
      ...rowsOf(LAVIS_VQA, zeroShot('val'), ownNames('overall', 'yes/no', 'number', 'other')),
      ...rowsOf(TABLE_2, zeroShot('test-dev'), { overall: 'test-dev' }),
      ...rowsOf(TABLE_4, fineTuned('test-dev'), { overall: 'test-dev' }),
      ...rowsOf(TABLE_4, fineTuned('test-std'), { overall: 'test-std' }),
    ],
    gqa: [
      ...rowsOf(TABLE_2, zeroShot('test-dev'), { accuracy: 'GQA' }),
      ...rowsOf(LAVIS_GQA, zeroShot('test-dev'), ownNames('accuracy')),
    ],
    flickr30k: rowsOf(TABLE_5, zeroShot('test, 1,000 images'), recalls('F')),
    'coco-retrieval': [
      ...rowsOf(TABLE_5, cocoRetrieval, recalls('C')),
      ...rowsOf(TABLE_6, cocoRetrieval, { txt_r1: 'CT1', txt_r5: 'CT5', img_r1: 'CI1', img_r5: 'CI5' }),
    ],
  };
}

/**
 * Numbers that the BLIP-2 paper prints, its own and others', and those of its code's configurations, by benchmark; in the paper's units.
 *
 * NoCaps and Flickr30K are zero-shot for models that were fine-tuned on COCO. Table 1 of the paper repeats numbers of tables 2, 3 and 5,
 * the second row of table 6 is the last of table 5, and OK-VQA is no benchmark here.
 *
 * Source: Li et al., BLIP-2 (arXiv 2301.12597), tables 2 to 6; LAVIS, comments of its evaluation configurations.
 */
export const publishedResults: Readonly<Record<Benchmark, readonly PublishedResult[]>> = /* @__PURE__ */ readTables();
