import { CheckpointError, ConfigError } from './errors.ts';
import type { RunOptions } from './abort-and-progress.ts';
import type { Checkpoint } from './weights.ts';

/**
 * Reads and parses a JSON file of a checkpoint, such as `config.json`.
 *
 * @returns whatever the file holds; check it before use.
 * @throws {CheckpointError} when the file is missing or is not JSON.
 *
 * @example
 * const config = visionConfigFromJson(await readCheckpointJson(checkpoint, 'config.json'));
 */
export async function readCheckpointJson(
  checkpoint: Checkpoint,
  file: string,
  options: Pick<RunOptions, 'abortSignal'> = {},
): Promise<unknown> {
  const bytes = await checkpoint.readFile(file, options);
  const path = `${checkpoint.name}/${file}`;
  if (bytes === undefined) {
    throw new CheckpointError(`${path} is missing. Pass a model folder in the Hugging Face layout, with its ${file}.`, path);
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CheckpointError(`${path} is not JSON: ${reason}. Download the file again.`, path, { cause });
  }
}

/**
 * Reads a checkpoint's `config.json` into a configuration.
 *
 * @param parse - Makes the configuration, or throws a `ConfigError`, whose message then begins with the file.
 * @throws {CheckpointError} when the file is missing or is not JSON. @throws {ConfigError} when it does not fit.
 *
 * @example
 * const config = await readCheckpointConfig(checkpoint, (json) => visionConfigFromJson(json));
 */
export async function readCheckpointConfig<Config>(
  checkpoint: Checkpoint,
  parse: (json: unknown) => Config,
  options: Pick<RunOptions, 'abortSignal'> = {},
): Promise<Config> {
  const json = await readCheckpointJson(checkpoint, 'config.json', options);
  try {
    return parse(json);
  } catch (cause) {
    if (!ConfigError.isInstance(cause)) throw cause;
    throw new ConfigError(`${checkpoint.name}/config.json: ${cause.message}`, { cause });
  }
}
