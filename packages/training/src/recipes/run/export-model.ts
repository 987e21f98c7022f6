import { readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import {
  configText,
  convertCheckpoint,
  openCheckpointFolder,
  withLavisNames,
  writeNewFolder,
  writeWeights,
} from '@blip2/checkpoints/node';
import { type HostTensor, type RunOptions, type Weight, type WeightDtype } from '@blip2/core';
import { type NamedTensor, namedTensors } from '../../parameters/named-tensors.ts';
import type { ByPath } from '../../parameters/separate-parameters.ts';
import type { CompleteRecipe } from '../complete-recipe.ts';
import type { RecipeModel } from './model-parts.ts';
import { frozenNames } from './open-model.ts';

/** What {@link exportModel} writes. */
export interface ExportModelOptions extends RunOptions {
  /** Described weights of what trained, and their values. */
  readonly trained: ByPath<Weight>;
  readonly frozen: ByPath<Weight>;
  readonly values: ByPath<HostTensor>;
  readonly recipe: Pick<CompleteRecipe, 'outputDtype' | 'lavis'>;
}

/**
 * Writes the trained model as a folder in the Hub's layout, and with `lavis` another one with the original names beside it. A folder
 * appears when it is complete; one that was there is replaced.
 *
 * @param folder - `runs/one/model`; the other is `runs/one/model-lavis`.
 * @returns the folders.
 */
export async function exportModel(model: RecipeModel, folder: string, options: ExportModelOptions): Promise<string[]> {
  const { recipe, abortSignal, onProgress } = options;
  const whole = await withFrozenParts(options);
  const trained = namedTensors(whole.weights, whole.values, (name) => weightOf(model, name)?.shape);
  const isTrained = new Map(trained.map((tensor) => [tensor.name, tensor]));
  const names = [...new Set([...frozenNames(model), ...model.qformer.weights.names])];
  const tensors = names.map((name): Weight | NamedTensor => isTrained.get(name) ?? weightOf(model, name)!);
  const dtype =
    recipe.outputDtype === 'keep' ? storedAsBefore : recipe.outputDtype === 'fp16' ? ('F16' as const) : ('F32' as const);
  await replaceFolder(folder, (temporary) =>
    writeNewFolder(temporary, async (place) => {
      await writeWeights(place, tensors, { dtype, abortSignal, onProgress });
      await writeFile(
        join(place, 'config.json'),
        configText({
          ...model.json,
          ...(recipe.outputDtype !== 'keep' && { torch_dtype: recipe.outputDtype === 'fp16' ? 'float16' : 'float32' }),
        }),
        { flush: true },
      );
      for (const [name, bytes] of model.files) await writeFile(join(place, name), bytes, { flush: true });
    }),
  );
  if (!recipe.lavis) return [folder];
  const original = `${folder}-lavis`;
  const checkpoint = await openCheckpointFolder(folder);
  try {
    await replaceFolder(original, (temporary) => convertCheckpoint(checkpoint, temporary, { names: 'lavis', abortSignal }));
  } finally {
    checkpoint.dispose();
  }
  return [folder, original];
}

/**
 * Looks whether a model can be written with the original names: better before training than after it.
 *
 * @throws {CheckpointError} naming what the original layout has no place for.
 */
export async function assertOriginalLayout(model: RecipeModel): Promise<void> {
  const names = [...new Set([...frozenNames(model), ...model.qformer.weights.names])];
  const source = { name: model.vision.weights.name, names, get: (name: string) => weightOf(model, name) };
  const languageModel = model.language?.kind;
  const original = withLavisNames(source, languageModel && { languageModel });
  // Reading the biases of queries rejects where those of keys, which never train, are not zero.
  for (const name of original.names) if (name.endsWith('.q_bias')) await original.get(name)!.read();
}

/** Parts of fused matrices in the order of their rows. */
const FUSED = ['query', 'key', 'value'];

/** What trained, with the frozen parts of matrices that trained in part: the biases of keys. */
async function withFrozenParts({
  trained,
  frozen,
  values,
}: ExportModelOptions): Promise<{ weights: ByPath<Weight>; values: ByPath<HostTensor> }> {
  const names = new Set(Object.values(trained).map(({ name }) => name));
  const parts = Object.entries(frozen).filter(([, { name }]) => names.has(name));
  if (parts.length === 0) return { weights: trained, values };
  const read = await Promise.all(
    parts.map(async ([path, weight]) => [path, { shape: weight.shape, data: Float32Array.from(await weight.read()) }] as const),
  );
  const place = (path: string): number => FUSED.indexOf(path.split('.').at(-2)!);
  const entries = [...Object.entries(trained), ...parts].toSorted(([a], [b]) => place(a) - place(b));
  return { weights: Object.fromEntries(entries), values: { ...values, ...Object.fromEntries(read) } };
}

function weightOf({ vision, qformer, language }: RecipeModel, name: string): Weight | undefined {
  return qformer.weights.get(name) ?? vision.weights.get(name) ?? language?.weights.get(name);
}

/** Frozen weights keep their format; what was trained or drawn is in 32 bits. */
function storedAsBefore(tensor: { readonly dtype?: string }): WeightDtype {
  return (tensor.dtype as WeightDtype | undefined) ?? 'F32';
}

/** A run that was killed while it wrote a model left one behind, as large as a whole one. */
async function removeUnfinished(folder: string): Promise<void> {
  const names = await readdir(dirname(folder)).catch(() => []);
  const isUnfinished = (name: string): boolean => name.startsWith(`.${basename(folder)}.`) && name.endsWith('.tmp');
  for (const name of names.filter(isUnfinished)) await rm(join(dirname(folder), name), { recursive: true, force: true });
}

/** Makes a folder under another name, and puts it in the place of one that may be there. */
async function replaceFolder(folder: string, make: (temporary: string) => Promise<unknown>): Promise<void> {
  const [fresh, old] = [`${folder}.new`, `${folder}.old`];
  await removeUnfinished(fresh);
  await rm(fresh, { recursive: true, force: true });
  await make(fresh);
  await rm(old, { recursive: true, force: true });
  await rename(folder, old).catch((cause: unknown) => {
    if ((cause as { code?: string }).code !== 'ENOENT') throw cause;
  });
  await rename(fresh, folder);
  await rm(old, { recursive: true, force: true });
}
