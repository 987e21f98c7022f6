import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, isAbsolute, resolve } from 'node:path';
import { fileProblem } from '@blip2/checkpoints/node';
import { ConfigError } from '@blip2/core';
import { parse, YAMLParseError } from 'yaml';
import type { DataEntry } from './data-entry.ts';
import { checkRecipe, type RecipeConfig } from './recipe-config.ts';

/**
 * Reads a recipe from a YAML or JSON file. Relative paths are those from the folder of the file; a `model` that is no folder there
 * stays as it is, because it may be a Hub id.
 *
 * @returns the fields of the file, checked; `completeRecipe` fills them.
 * @throws {ConfigError} naming file and line where it is no YAML, or file and field where a value does not fit.
 * @throws {CheckpointError} when the file cannot be read.
 *
 * @example
 * const recipe = completeRecipe(await readRecipe('captions.yaml'), 'captions.yaml');
 */
export async function readRecipe(path: string): Promise<Partial<RecipeConfig>> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw fileProblem('read', path, cause);
  });
  let given: unknown;
  try {
    given = parse(text, { maxAliasCount: 0 }); // nothing here needs aliases, which can blow a file up
  } catch (cause) {
    if (!(cause instanceof YAMLParseError))
      throw new ConfigError(`${path}: ${(cause as Error).message}. Write it without aliases.`, { cause });
    const at = cause.linePos === undefined ? '' : ` line ${cause.linePos[0].line}, column ${cause.linePos[0].col}:`;
    throw new ConfigError(`${path}:${at} is no YAML: ${cause.message.split(' at line')[0]}. Correct the file.`, { cause });
  }
  return withPathsFrom(checkRecipe(given, path), dirname(resolve(path)));
}

/** The recipe with paths that do not depend on where the program runs. */
function withPathsFrom(recipe: Partial<RecipeConfig>, folder: string): Partial<RecipeConfig> {
  const at = (path: string): string => (isAbsolute(path) ? path : resolve(folder, path));
  const orId = (name: string): string => (existsSync(at(name)) || /^\.{1,2}\//.test(name) ? at(name) : name);
  const entry = (one: DataEntry): DataEntry =>
    Object.fromEntries(
      Object.entries(one).map(([name, value]) => {
        if (!['path', 'images', 'annotations'].includes(name)) return [name, value];
        return [name, Array.isArray(value) ? value.map((each: string) => at(each)) : at(value as string)];
      }),
    ) as unknown as DataEntry;
  const places = ['model', 'vision', 'bert', 'tokenizer', 'languageModel', 'textBranch'] as const;
  return {
    ...recipe,
    ...Object.fromEntries(places.flatMap((name) => (recipe[name] === undefined ? [] : [[name, orId(recipe[name])]]))),
    ...(recipe.featureStore !== undefined && { featureStore: at(recipe.featureStore) }),
    ...(recipe.data && { data: recipe.data.map(entry) }),
    ...(recipe.validation && { validation: recipe.validation.map(entry) }),
  };
}
