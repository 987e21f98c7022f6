import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { completeRecipe, mergeRecipes } from './complete-recipe.ts';
import { RECIPE_PRESETS } from './presets.ts';
import { checkRecipe, RECIPE_NAMES } from './recipe-config.ts';
import { readRecipe } from './recipe-file.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-recipe-'));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

async function read(text: string) {
  const path = join(folder, 'recipe.yaml');
  await writeFile(path, text);
  return completeRecipe(await readRecipe(path), path);
}

const problem = (text: string): Promise<string> =>
  read(text).then(
    () => 'nothing',
    (error: Error) => error.message.replaceAll(folder, 'FOLDER'),
  );

const START = 'recipe: caption\nmodel: some/model\ndata: ./photos\n';

describe('a recipe file', () => {
  it('is filled: its own fields, those of the preset, defaults', async () => {
    const recipe = await read(`${START}preset: paper/caption-opt-6.7b\nbatchSize: 8\nschedule: { peak: 2.0e-5 }\n`);
    expect(recipe).toMatchObject({
      batchSize: 8,
      schedule: { kind: 'cosine', peak: 2e-5, warmupSteps: 1000, minimum: 0 },
      layerDecay: 0.95,
      train: { vision: true, projection: true },
      optimizer: { betas: [0.9, 0.999], weightDecay: 0.05 },
      features: 'online',
      seed: 0,
      model: 'some/model',
      data: [{ format: 'folder', path: join(folder, 'photos') }],
    });
  });

  it('may be JSON, and names its data from its own folder', async () => {
    const recipe = await read(
      '{"recipe": "vqa", "model": "./m", "data": [{"format": "vqav2", "path": "q.json", "annotations": "a.json", "images": "/coco", "weight": 2}]}',
    );
    expect(recipe.model).toBe(join(folder, 'm'));
    expect(recipe.data).toEqual([
      { format: 'vqav2', path: join(folder, 'q.json'), annotations: join(folder, 'a.json'), images: '/coco', weight: 2 },
    ]);
  });

  it('is refused with file, field, what it holds and what was expected', async () => {
    const files = [
      `${START}bachSize: 4\n`,
      `${START}schedule: { peek: 1 }\n`,
      `${START}batchSize: many\n`,
      `${START}optimizer: { betas: [0.9] }\n`,
      `${START}dropout: 1\nlayerDecay: 2\n`,
      'recipe: captions\n',
      'recipe: caption\ndata: x\n',
      'recipe: caption\nmodel: m\n',
      'recipe: caption\nmodel: m\ndata: { format: cocoo, path: x }\n',
      'recipe: caption\nmodel: m\ndata: [a, { format: coco, path: x }]\n',
      'recipe: caption\nmodel: m\ndata: { format: coco, path: x, images: y, splitt: train }\n',
      `${START}preset: paper/caption-opt-2.7\n`,
      'preset: paper/vqa-opt-2.7b\nrecipe: caption\nmodel: m\ndata: x\n',
      'recipe: caption\nmodel: m\ndata: [7]\n',
      `${START}augmentation: {}\nfeatures: cached\n`,
      `${START}layerDecay: 0.9\n`,
      `${START}textBranch: x\n`,
      `${START}evaluateEvery: 5\n`,
      `${START}schedule: { peak: 1.0e-5, minimum: 1 }\n`,
      'recipe: vqa\nmodel: m\ndata: x\nprompt: what\n',
      'recipe: stage1\nmodel: m\nvision: v\ndata: x\n',
      'recipe: retrieval\nmodel: m\nlanguageModel: v\ndata: x\n',
      'recipe: [\n',
      'a: &a [1]\nb: [*a]\n',
      '7',
    ];
    expect(await Promise.all(files.map(problemInTurn()))).toMatchInlineSnapshot(`
      [
        "FOLDER/recipe.yaml: 'bachSize' is not known; the nearest name is 'batchSize'. Correct the recipe.",
        "FOLDER/recipe.yaml: schedule: 'peek' is not known; the nearest name is 'peak'. Correct the recipe.",
        "FOLDER/recipe.yaml: batchSize is "many", expected a whole number. Correct the recipe.",
        "FOLDER/recipe.yaml: optimizer.betas is [0.9], expected two numbers. Correct the recipe.",
        "FOLDER/recipe.yaml: dropout is 1, expected a number below 1; layerDecay is 2, expected at most 1. Correct the recipe.",
        "FOLDER/recipe.yaml: recipe is "captions", expected one of stage1, stage2, caption, vqa, retrieval. Correct the recipe.",
        "FOLDER/recipe.yaml: caption begins with no model: add 'model' with a folder or a Hub id.",
        "FOLDER/recipe.yaml: data is missing, expected where images and texts are. Add it, such as 'data: ./photos'.",
        "FOLDER/recipe.yaml: data[0].format is "cocoo", expected one of folder, coco, flickr30k, visual-genome, nocaps, vqav2, gqa, visual-genome-questions, webdataset. Correct the recipe.",
        "FOLDER/recipe.yaml: data[1].images is missing, expected a path. Correct the recipe.",
        "FOLDER/recipe.yaml: data[0]: 'splitt' is not known; the nearest name is 'split'. Correct the recipe.",
        "FOLDER/recipe.yaml: preset is 'paper/caption-opt-2.7', expected one of paper/stage1-vit-g, paper/stage1-vit-l, paper/stage2-opt, paper/stage2-flan-t5, paper/caption-flan-t5-xl, paper/caption-opt-2.7b, paper/caption-opt-6.7b, paper/vqa-flan-t5-xl, paper/vqa-opt-2.7b, paper/vqa-opt-6.7b, paper/retrieval-vit-l, paper/retrieval-vit-g, lavis/stage1, lavis/stage2, lavis/caption, lavis/retrieval. Did you mean 'paper/caption-opt-2.7b'?",
        "FOLDER/recipe.yaml: preset 'paper/vqa-opt-2.7b' is for vqa, and this is caption. Take a preset of this recipe.",
        "FOLDER/recipe.yaml: data[0] is 7, expected a path, or an object with a format and its paths. Correct the recipe.",
        "FOLDER/recipe.yaml: augmentation needs features that are made anew: write 'features: online', or leave augmentation out.",
        "FOLDER/recipe.yaml: layerDecay is for the image encoder, which does not train: add 'train: { vision: true }'.",
        "FOLDER/recipe.yaml: textBranch is for vqa, and this is caption. Leave it out.",
        "FOLDER/recipe.yaml: evaluateEvery has nothing to evaluate: add validation.",
        "FOLDER/recipe.yaml: schedule.minimum 1 is above schedule.peak 0.00001. Exchange them.",
        "FOLDER/recipe.yaml: prompt is 'what', expected a text with {} where the question goes.",
        "FOLDER/recipe.yaml: model and vision are both there: 'vision' is to begin from scratch. Leave one out.",
        "FOLDER/recipe.yaml: retrieval has no language model: leave languageModel out.",
        "FOLDER/recipe.yaml: line 2, column 1: is no YAML: Flow sequence in block collection must be sufficiently indented and end with a ]. Correct the file.",
        "FOLDER/recipe.yaml: Alias resolution is disabled. Write it without aliases.",
        "FOLDER/recipe.yaml: the whole is 7, expected an object. Correct the recipe.",
      ]
    `);
  });
});

/** Files of one name, one after the other. */
function problemInTurn(): (text: string) => Promise<string> {
  let last: Promise<unknown> = Promise.resolve();
  return (text) => {
    const next = last.then(() => problem(text));
    last = next;
    return next;
  };
}

it('every preset is a whole recipe with model and data, and says where it is from', () => {
  for (const [name, { values, source }] of Object.entries(RECIPE_PRESETS)) {
    const recipe = completeRecipe(checkRecipe({ preset: name, model: 'm', data: 'photos' }, name), name);
    expect(recipe.recipe).toBe(values.recipe);
    expect(recipe.schedule.peak).toBeGreaterThan(0);
    expect(source).toMatch(/BLIP-2|LAVIS/);
  }
});

it('has the numbers of the paper', () => {
  const of = (preset: string) => completeRecipe({ preset, model: 'm', data: [{ format: 'folder', path: 'p' }] }, preset);
  expect(of('paper/stage1-vit-g')).toMatchObject({
    steps: 250_000,
    batchSize: 1680,
    imageSize: 224,
    schedule: { peak: 1e-4, minimum: 1e-5, warmupSteps: 2000 },
    optimizer: { betas: [0.9, 0.98], weightDecay: 0.05 },
  });
  expect(of('paper/stage2-flan-t5')).toMatchObject({ steps: 80_000, batchSize: 1520, schedule: { minimum: 5e-5 } });
  expect(of('paper/vqa-opt-6.7b')).toMatchObject({ batchSize: 128, imageSize: 490, layerDecay: 0.9, epochs: 5 });
  expect(of('paper/retrieval-vit-l')).toMatchObject({
    batchSize: 224,
    schedule: { peak: 5e-6 },
    optimizer: { betas: [0.9, 0.98] },
  });
});

it('steps of the command line replace the epochs of a file', () => {
  const file = { recipe: 'caption', epochs: 5, schedule: { peak: 1 } } as const;
  expect(mergeRecipes(file, { steps: 7, schedule: { warmupSteps: 2 } })).toEqual({
    recipe: 'caption',
    steps: 7,
    schedule: { peak: 1, warmupSteps: 2 },
  });
});

describe('the files in recipes/', () => {
  const at = (name: string): string => join(import.meta.dirname, '..', '..', 'recipes', name);

  it.each([
    ['stage1', 'paper/stage1-vit-g'],
    ['stage2', 'paper/stage2-opt'],
    ['caption', 'paper/caption-opt-2.7b'],
    ['vqa', 'paper/vqa-opt-2.7b'],
    ['retrieval', 'paper/retrieval-vit-g'],
  ] as const)('%s.yaml is the preset %s, written out', async (name, preset) => {
    const recipe = await readRecipe(at(`${name}.yaml`));
    const { model, vision, bert, languageModel, textBranch, data, validation, ...values } = recipe;
    expect(values).toEqual(RECIPE_PRESETS[preset].values);
    const where = { model, vision, bert, languageModel, textBranch, data, validation };
    expect(completeRecipe(recipe, name)).toEqual({ ...completeRecipe({ preset, ...where }, name), preset: undefined });
  });

  it('are as many as there are recipes', async () => {
    expect((await readdir(at('.'))).toSorted()).toEqual(RECIPE_NAMES.map((name) => `${name}.yaml`).toSorted());
  });
});
