import { stat } from 'node:fs/promises';
import { CheckpointError, DownloadError, type RunOptions } from '@blip2/core';
import type { OpenedCheckpoint } from '../checkpoint/open-checkpoint-files.ts';
import { openCheckpointUrl } from '../http/open-checkpoint-url.ts';
import { type HubOptions, isRepositoryId, resolveRepository } from '../hub/index.ts';
import { openCheckpointFolder } from './open-folder.ts';

/** Options of {@link openCheckpoint}; those of the Hub matter only for repositories. */
export interface OpenCheckpointOptions extends RunOptions, HubOptions {}

/**
 * Opens a checkpoint wherever it is.
 *
 * @param source - A folder that exists; else a repository of the Hub, `Organisation/name`, which is downloaded to the standard
 *   Hugging Face cache first; or an `http:` or `https:` URL of a folder. A folder wins over a repository of the same name.
 * @returns a checkpoint, the caller's to dispose.
 * @throws {CheckpointError} when the source is none of these, or its weights are missing or malformed.
 * @throws {DownloadError} when a download fails. Rejects with the signal's reason on abort.
 *
 * @example
 * const checkpoint = await openCheckpoint('Salesforce/blip2-opt-2.7b');
 */
export async function openCheckpoint(source: string, options: OpenCheckpointOptions = {}): Promise<OpenedCheckpoint> {
  const { abortSignal } = options;
  abortSignal?.throwIfAborted();
  if (/^https?:\/\//.test(source)) return openCheckpointUrl(source, options);
  if (await exists(source)) return openCheckpointFolder(source, { abortSignal });
  if (source.includes('/') && isRepositoryId(source)) {
    const folder = await resolveRepository(source, options).catch((cause: unknown) => {
      throw withBothReadings(source, cause);
    });
    return openCheckpointFolder(folder, { abortSignal });
  }
  throw new CheckpointError(
    `openCheckpoint: '${source}' is no folder on this machine and cannot be the id of a Hub repository. ` +
      `Pass the path of a model's folder, or an id such as 'Salesforce/blip2-opt-2.7b'.`,
    source,
  );
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** A repository that is not found may have been meant as a folder. */
function withBothReadings(source: string, cause: unknown): unknown {
  if (!DownloadError.isInstance(cause) || (cause.status !== 401 && cause.status !== 404)) return cause;
  const message = `openCheckpoint: '${source}' is no folder on this machine, and as a Hub repository: ${cause.message}`;
  return new DownloadError(message, cause.url, cause.status, { cause });
}
