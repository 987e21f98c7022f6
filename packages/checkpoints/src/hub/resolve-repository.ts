import { mkdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { DownloadError, ProgressReporter, ResourceError, type RunOptions } from '@blip2/core';
import type { Connection, RequestSubject } from './answers.ts';
import { downloadBlob, partialBytes } from './blob-download.ts';
import {
  blobPath,
  type CacheLayout,
  cacheLayout,
  findLocalSnapshot,
  hasFile,
  linkSnapshot,
  type LocalSnapshot,
  missingFiles,
  readCommit,
  readListing,
  snapshotFolder,
  writeCommit,
  writeListing,
} from './cache-layout.ts';
import { shownUrl } from './exchange.ts';
import { cacheProblem, countFiles, formatBytes, isReadOnlyError } from './file-system-errors.ts';
import { fetchCommit, fetchListing, type RepositoryFile, type RepositoryListing } from './hub-listing.ts';
import { HUB_ENDPOINT, type HubOptions, type HubSettings, hubSettings } from './hub-settings.ts';
import { pinnedRevision } from './official-repositories.ts';
import { checkRevision, isCommit, parseRepositoryId } from './repository-id.ts';
import { DEFAULT_RETRY_POLICY, isUnreachable, type RetryPolicy } from './retry.ts';

const FILES_AT_ONCE = 4;

/** One call of `resolveRepository`. */
interface Task {
  readonly repositoryId: string;
  /** The revision to look for, and then others that will do when the cache is all there is. */
  readonly revisions: readonly [string, ...string[]];
  readonly settings: HubSettings;
  readonly layout: CacheLayout;
  readonly options: HubOptions & RunOptions;
}

/**
 * Makes a repository of the Hugging Face Hub available in the standard cache of this machine and returns the path of its snapshot
 * folder, from which it can be opened like any folder.
 *
 * Reads the cache first: files that are there are not fetched again, whoever fetched them. Everything else arrives in partial files that
 * a later call continues, is verified by SHA-256 or git SHA-1, and only then gets its name; the snapshot appears when all its files
 * are there. Several processes may ask for the same repository at once. A commit that is complete in the cache needs no network;
 * a branch is looked up, and where the Hub cannot be reached, a complete snapshot of it is used with a process warning.
 *
 * @param repositoryId - `Organisation/name`, or `Organisation/name@revision`.
 * @param options - See {@link HubOptions}. `onProgress` counts the bytes of all wanted files, those in the cache included.
 * @returns Absolute path of `snapshots/<commit>`. The folder belongs to the cache: do not write into it.
 * @throws {InputError} when the id or the revision is malformed.
 * @throws {ConfigError} when the endpoint or the token cannot be used.
 * @throws {DownloadError} when the repository, revision or a file cannot be had, or offline, is not in the cache.
 * @throws {ResourceError} when the disk is full, or the cache cannot be written although files are missing.
 *
 * @example
 * import { resolveRepository } from '@blip2/checkpoints/node';
 *
 * const folder = await resolveRepository('Salesforce/blip2-itm-vit-g', {
 *   onProgress: ({ part, loadedBytes, totalBytes }) => console.log(part, `${Math.floor((100 * loadedBytes) / totalBytes)} %`),
 * });
 *
 * Source: layout and environment variables as in huggingface_hub, `file_download.py` and `constants.py`.
 */
export async function resolveRepository(repositoryId: string, options: HubOptions & RunOptions = {}): Promise<string> {
  return resolveWithRetries(repositoryId, options, DEFAULT_RETRY_POLICY);
}

/** {@link resolveRepository} with another patience. */
export async function resolveWithRetries(
  repositoryId: string,
  options: HubOptions & RunOptions,
  retryPolicy: RetryPolicy,
): Promise<string> {
  options.abortSignal?.throwIfAborted();
  const task = describeTask(repositoryId, options);
  try {
    return await (task.settings.offline ? resolveFromCache(task) : resolveFromHub(task, retryPolicy));
  } catch (error) {
    throw cacheProblem(error, `keeping ${task.repositoryId}`, task.settings.cacheFolder);
  }
}

function describeTask(text: string, options: HubOptions & RunOptions): Task {
  const { id, revision: inId } = parseRepositoryId(text);
  if (options.revision !== undefined) checkRevision(options.revision, id);
  const settings = hubSettings(options);
  const asked = options.revision ?? inId;
  // A pin names a commit of the public Hub; a mirror or a private Hub has its own history.
  const pin =
    shownUrl(settings.endpoint).replace(/\/$/, '') === HUB_ENDPOINT || settings.offline ? pinnedRevision(id) : undefined;
  const revisions: [string, ...string[]] = asked !== undefined ? [asked] : pin !== undefined ? [pin, 'main'] : ['main'];
  return { repositoryId: id, revisions, settings, layout: cacheLayout(settings.cacheFolder, id, settings.useSymlinks), options };
}

async function resolveFromCache(task: Task): Promise<string> {
  const { repositoryId, revisions, layout } = task;
  const found = await findInCache(task);
  if (found && isComplete(found)) return announce(task, found);
  const revision = found?.revision ?? revisions[0];
  const missing = found?.missing ?? [];
  const named = `${missing.slice(0, 5).join(', ')}${missing.length > 5 ? ` and ${missing.length - 5} more` : ''}`;
  const came = missing.length > 0 ? `lacks ${named}` : found ? 'has none of the wanted files' : 'has nothing';
  throw new DownloadError(
    `resolveRepository: the network is switched off and the cache ${layout.cacheFolder} ${came} of ${repositoryId} at '${revision}'; ` +
      'expected a complete snapshot. Run once without HF_HUB_OFFLINE and with offline: false, or point HF_HUB_CACHE to a cache that has it.',
    pageUrl(task),
  );
}

async function resolveFromHub(task: Task, retryPolicy: RetryPolicy): Promise<string> {
  const { repositoryId, revisions, settings, layout, options } = task;
  const subject: RequestSubject = { repositoryId, revision: revisions[0] };
  const found = await findInCache(task);
  const complete = found && isComplete(found) ? found : undefined;
  // What a commit holds never changes.
  if (complete && isCommit(revisions[0]) && complete.revision === revisions[0] && complete.recorded)
    return announce(task, complete);
  const connection: Connection = {
    settings,
    // With something to fall back on there is no point in long patience.
    retryPolicy: complete ? { ...retryPolicy, attempts: Math.min(2, retryPolicy.attempts) } : retryPolicy,
    abortSignal: options.abortSignal,
  };
  let listing: RepositoryListing;
  try {
    const commit = await fetchCommit(connection, subject);
    listing = (await readListing(layout, commit)) ?? (await fetchListing(connection, subject, commit));
  } catch (error) {
    if (!complete || !isUnreachable(error)) throw error;
    process.emitWarning(`${(error as Error).message} Using ${complete.folder} from the cache instead.`, 'Blip2Warning');
    return announce(task, complete);
  }
  return fetchSnapshot(task, { ...connection, retryPolicy }, listing);
}

/** Fetches what is missing of a commit and makes its snapshot. */
async function fetchSnapshot(task: Task, connection: Connection, listing: RepositoryListing): Promise<string> {
  const { settings, layout, repositoryId, revisions, options } = task;
  const { commit } = listing;
  const files = listing.files.filter(({ path }) => settings.include(path));
  checkSelection(task, listing, files);
  const total = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const reporter = new ProgressReporter('download', total, options.onProgress);
  const missing = await missingFiles(layout, commit, files);
  const missingPaths = new Set(missing.map(({ path }) => path));
  reportPresent(
    reporter,
    files.filter(({ path }) => !missingPaths.has(path)),
  );
  if (missing.length > 0) {
    try {
      await mkdir(join(layout.repositoryFolder, 'snapshots'), { recursive: true });
      await mkdir(join(layout.repositoryFolder, 'blobs'), { recursive: true });
      await checkDiskSpace(layout, missing);
      await downloadAll(connection, task, commit, missing, reporter);
      // In this order, so that at every moment an incomplete snapshot can be told from a complete one.
      await writeListing(layout, listing);
      await linkSnapshot(layout, commit, missing);
    } catch (error) {
      const bytes = formatBytes(missing.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0));
      throw cacheProblem(error, `writing ${countFiles(missing.length)} (${bytes}) of ${repositoryId}`, layout.cacheFolder);
    }
  }
  try {
    if (missing.length === 0 && !(await readListing(layout, commit))) await writeListing(layout, listing);
    await writeCommit(layout, revisions[0], commit);
  } catch (error) {
    // A read-only cache that has every file serves as it is.
    if (missing.length > 0 || !isReadOnlyError(error)) throw error;
  }
  reporter.complete(files.at(-1)?.path ?? repositoryId);
  return snapshotFolder(layout, commit);
}

/** Fetches several files at a time; the first failure stops the others, which keep what they have for the next run. */
async function downloadAll(
  connection: Connection,
  { layout, repositoryId, revisions, options }: Task,
  commit: string,
  files: readonly RepositoryFile[],
  reporter: ProgressReporter,
): Promise<void> {
  const stop = new AbortController();
  const abortSignal = options.abortSignal ? AbortSignal.any([options.abortSignal, stop.signal]) : stop.signal;
  // The same content under two names is fetched once and counted twice.
  const byBlob = Map.groupBy(files, ({ blobId }) => blobId);
  const queue = [...byBlob.values()];
  const failures: unknown[] = [];
  const work = async (): Promise<void> => {
    for (let group = queue.shift(); group; group = queue.shift()) {
      const file = group[0]!;
      const subject: RequestSubject = { repositoryId, revision: revisions[0], file: file.path };
      let counted = 0;
      const onBytes = (bytes: number): void => {
        // A file that is begun again is not counted again.
        if (bytes <= counted) return;
        for (const { path } of group!) reporter.add(path, bytes - counted);
        counted = bytes;
      };
      await downloadBlob({ connection: { ...connection, abortSignal }, layout, subject, commit, file, onBytes });
    }
  };
  const workers = Array.from({ length: Math.min(FILES_AT_ONCE, queue.length) }, () =>
    work().catch((error: unknown) => {
      failures.push(error);
      stop.abort(error);
    }),
  );
  await Promise.all(workers);
  if (failures.length > 0) throw failures[0];
}

function checkSelection(task: Task, listing: RepositoryListing, files: readonly RepositoryFile[]): void {
  const { repositoryId, revisions, settings } = task;
  const url = pageUrl(task);
  const where = `resolveRepository: ${repositoryId} at '${revisions[0]}' (commit ${listing.commit})`;
  const names = listing.files.map(({ path }) => path);
  const examples = names.length === 0 ? 'no files' : `${countFiles(names.length)} such as ${names.slice(0, 5).join(', ')}`;
  if (files.length === 0) {
    throw new DownloadError(
      `${where} has ${examples}; expected at least one that is wanted. Check the id and the option 'include'.`,
      url,
    );
  }
  const pickled = names.find((name) => /\.(bin|h5|msgpack)$/.test(name));
  if (!settings.includesModelFiles || pickled === undefined || names.some((name) => name.endsWith('.safetensors'))) return;
  throw new DownloadError(
    `${where} has its weights in ${pickled} and none in safetensors; expected model.safetensors or its shards. Choose a newer revision, or ` +
      `convert the weights; to fetch the other files alone, name them in 'include'.`,
    url,
  );
}

/** Refuses work that cannot end well, before the first byte. */
async function checkDiskSpace(layout: CacheLayout, files: readonly RepositoryFile[]): Promise<void> {
  const needs = await Promise.all(
    files.map(async (file) => {
      const present = (await hasFile(blobPath(layout, file.blobId), file.sizeBytes))
        ? file.sizeBytes
        : await partialBytes(layout, file);
      return file.sizeBytes - present;
    }),
  );
  const needed = needs.reduce((sum, bytes) => sum + bytes, 0);
  const { bavail, bsize } = await statfs(layout.repositoryFolder);
  const free = bavail * bsize;
  if (needed <= free) return;
  throw new ResourceError(
    `resolveRepository: the disk of the cache ${layout.cacheFolder} has ${formatBytes(free)} free; expected at least ` +
      `${formatBytes(needed)} for ${countFiles(files.length)}. Free some space, or name another folder in HF_HUB_CACHE or cacheFolder.`,
  );
}

interface FoundSnapshot extends LocalSnapshot {
  readonly revision: string;
}

/** The most wanted snapshot that the cache has complete, else the most wanted one that it has at all. */
async function findInCache({ layout, revisions, settings }: Task): Promise<FoundSnapshot | undefined> {
  let first: FoundSnapshot | undefined;
  for (const revision of revisions) {
    const commit = await readCommit(layout, revision);
    const snapshot = commit === undefined ? undefined : await findLocalSnapshot(layout, commit, settings.include);
    if (!snapshot) continue;
    const found = { ...snapshot, revision };
    if (isComplete(found)) return found;
    first ??= found;
  }
  return first;
}

function isComplete({ present, missing }: LocalSnapshot): boolean {
  return present.length > 0 && missing.length === 0;
}

/** Reports a snapshot from the cache as done and names its folder. */
function announce({ options, repositoryId }: Task, { folder, present }: LocalSnapshot): string {
  const total = present.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const reporter = new ProgressReporter('download', total, options.onProgress);
  reportPresent(reporter, present);
  reporter.complete(repositoryId);
  return folder;
}

/** Counts files that are in the cache. Empty ones would report the end twice. */
function reportPresent(reporter: ProgressReporter, files: LocalSnapshot['present']): void {
  for (const { path, sizeBytes } of files) if (sizeBytes > 0) reporter.add(path, sizeBytes);
}

function pageUrl({ settings, repositoryId }: Task): string {
  return `${shownUrl(settings.endpoint).replace(/\/$/, '')}/${repositoryId}`;
}
