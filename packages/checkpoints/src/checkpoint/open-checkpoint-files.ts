import { CheckpointError, DisposedError, listSome, type Checkpoint, type WeightSource } from '@blip2/core';
import type { ReadOptions } from '../bytes/byte-source.ts';
import { withHubNames } from '../names/hub-names.ts';
import { joinQuantized } from '../quantization/quantized-source.ts';
import { openSafetensors, type SafetensorsFile } from '../safetensors/open-safetensors.ts';
import { assertPlainFileName, filesInMemory, type CheckpointFiles } from './checkpoint-files.ts';
import { openShards } from './open-shards.ts';
import { INDEX_FILE, PICKLED_CANDIDATES, PICKLED_FILES, WEIGHTS_FILE } from './weight-files.ts';

/** An open model folder. Weights are described; each reads its own bytes when asked. */
export interface OpenedCheckpoint extends Checkpoint, Disposable {
  /** Closes its files. Weights cannot be read afterwards. Idempotent. */
  dispose(): void;
}

/**
 * Opens a model folder whose files are in memory: from a file picker, an archive, a test.
 *
 * @param name - For messages.
 * @param files - By file name, as in a repository of the Hub: `config.json`, `model.safetensors`, …
 *   The arrays are not copied and must not change while the checkpoint is in use.
 * @throws {CheckpointError} when weights are missing or malformed.
 *
 * @example
 * const checkpoint = await checkpointFromFiles('tiny', new Map([['model.safetensors', bytes]]));
 * checkpoint.weights.names; // ['query_tokens', …]
 */
export async function checkpointFromFiles(name: string, files: ReadonlyMap<string, Uint8Array>): Promise<OpenedCheckpoint> {
  return openCheckpointFiles(filesInMemory(name, files), {});
}

/** Opens the weights among some files, joins what was quantised, gives them Hub names, and guards everything against use after `dispose()`. */
export async function openCheckpointFiles(files: CheckpointFiles, options: ReadOptions): Promise<OpenedCheckpoint> {
  const shards = await openWeightFiles(files, options);
  let weights: WeightSource;
  try {
    weights = withHubNames(joinQuantized(joinShards(files.name, shards), joinMetadata(shards)));
  } catch (cause) {
    for (const shard of shards) shard.dispose();
    throw cause;
  }
  let disposed = false;
  const assertOpen = (): void => {
    if (disposed) throw new DisposedError(files.name);
  };
  const dispose = (): void => {
    disposed = true;
    for (const shard of shards) shard.dispose();
  };
  return {
    name: files.name,
    weights: {
      name: files.name,
      names: weights.names,
      get(weightName) {
        assertOpen();
        return weights.get(weightName);
      },
    },
    async readFile(fileName, readOptions = {}) {
      assertOpen();
      assertPlainFileName(fileName);
      return files.readFile(fileName, readOptions);
    },
    dispose,
    [Symbol.dispose]: dispose,
  };
}

/** Looks for weights in the order of transformers: one file, then an index. */
async function openWeightFiles(files: CheckpointFiles, options: ReadOptions): Promise<SafetensorsFile[]> {
  const single = await files.open(WEIGHTS_FILE, options);
  if (single !== undefined) {
    files.allOpened?.();
    return [await openSafetensors(single, options)];
  }
  const index = await files.readFile(INDEX_FILE, options);
  if (index !== undefined) return openShards(files, index, options);
  throw await missingWeights(files, options);
}

async function missingWeights(files: CheckpointFiles, options: ReadOptions): Promise<CheckpointError> {
  const expected = `expected ${WEIGHTS_FILE}, or ${INDEX_FILE} with the files it names`;
  const names = (await files.list?.()) ?? [];
  const others = names.filter((name) => name.endsWith('.safetensors'));
  if (others.length > 0) {
    return new CheckpointError(
      `${files.name}: found ${listSome(others)}, ${expected}. Rename a single file to ${WEIGHTS_FILE}, or fetch the index of several.`,
      files.name,
    );
  }
  const pickled = files.list === undefined ? await firstPresent(files, options) : names.find((name) => PICKLED_FILES.test(name));
  if (pickled !== undefined) {
    return new CheckpointError(
      `${files.name}: found only ${pickled}, a pickled PyTorch file, which can run hidden programs and is not read; ${expected}. ` +
        `Convert it once in Python: safetensors.torch.save_file(state_dict, '${WEIGHTS_FILE}') or model.save_pretrained(folder).`,
      files.pathOf(pickled),
    );
  }
  return new CheckpointError(`${files.name}: found no weights; ${expected}. Check that this is a model's folder.`, files.name);
}

async function firstPresent(files: CheckpointFiles, options: ReadOptions): Promise<string | undefined> {
  for (const name of PICKLED_CANDIDATES) {
    const source = await files.open(name, options);
    source?.dispose();
    if (source !== undefined) return name;
  }
  return undefined;
}

function joinShards(name: string, shards: readonly SafetensorsFile[]): WeightSource {
  const owners = new Map(shards.flatMap((shard) => shard.names.map((weightName) => [weightName, shard] as const)));
  return { name, names: [...owners.keys()], get: (weightName) => owners.get(weightName)?.get(weightName) };
}

function joinMetadata(shards: readonly SafetensorsFile[]): Map<string, string> {
  return new Map(shards.flatMap(({ metadata }) => [...metadata]));
}
