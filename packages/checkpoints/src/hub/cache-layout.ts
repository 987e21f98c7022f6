import { randomBytes } from 'node:crypto';
import type { Stats } from 'node:fs';
import { copyFile, link, mkdir, readdir, readFile, readlink, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import * as z from 'zod';
import { fileNameProblem, type FileFilter, isModelFile } from './file-names.ts';
import { systemCode } from './file-system-errors.ts';
import type { RepositoryFile, RepositoryListing } from './hub-listing.ts';
import { isCommit, repositoryFolderName } from './repository-id.ts';

/**
 * The paths of one repository in the Hugging Face cache:
 *
 * ```
 * <cache>/models--Org--name/blobs/<hash>                   content, named by its etag: SHA-256 or git SHA-1
 *                          /blobs/<hash>.blip2-<id>.incomplete   what has arrived of it so far
 *                          /refs/<branch or tag>           the commit it stands for
 *                          /snapshots/<commit>/<path>      relative symbolic link to a blob
 *                          /.blip2/<commit>.json           which files the commit has; ours alone
 * <cache>/.locks/models--Org--name/<hash>.blip2.lock       who is fetching the blob
 * ```
 *
 * Source: huggingface_hub, `file_download.py`, and the guide “Manage the cache”.
 */
export interface CacheLayout {
  readonly cacheFolder: string;
  readonly repositoryFolder: string;
  readonly useSymlinks: boolean;
}

/** Python's record of the files of a commit; ours has the same form. */
const listingSchema = z.object({
  format_version: z.literal(1),
  files: z.record(
    z.string(),
    z.object({
      size: z.int().nonnegative(),
      blob_id: z.string().regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/),
      lfs_sha256: z
        .string()
        .regex(/^[0-9a-f]{64}$/)
        .optional(),
      lfs_size: z.int().nonnegative().optional(),
    }),
  ),
});

export function cacheLayout(cacheFolder: string, repositoryId: string, useSymlinks: boolean): CacheLayout {
  return { cacheFolder, repositoryFolder: join(cacheFolder, repositoryFolderName(repositoryId)), useSymlinks };
}

export function blobPath(layout: CacheLayout, blobId: string): string {
  return join(layout.repositoryFolder, 'blobs', blobId);
}

export function lockPath(layout: CacheLayout, blobId: string): string {
  return join(layout.cacheFolder, '.locks', relative(layout.cacheFolder, layout.repositoryFolder), `${blobId}.blip2.lock`);
}

export function snapshotFolder(layout: CacheLayout, commit: string): string {
  return join(layout.repositoryFolder, 'snapshots', commit);
}

/** The commit that the cache has for a branch or tag, or the revision itself when it is a commit. */
export async function readCommit(layout: CacheLayout, revision: string): Promise<string | undefined> {
  if (isCommit(revision)) return revision;
  const text = (await readIfPresent(join(layout.repositoryFolder, 'refs', revision)))?.trim();
  return text !== undefined && isCommit(text) ? text : undefined;
}

/** Remembers which commit a branch or tag stands for. Does nothing for a commit. */
export async function writeCommit(layout: CacheLayout, revision: string, commit: string): Promise<void> {
  if (isCommit(revision) || (await readCommit(layout, revision)) === commit) return;
  await writeWhole(layout, join(layout.repositoryFolder, 'refs', revision), commit);
}

/** The files of a commit, as recorded by us or by huggingface_hub; `undefined` when nobody has. */
export async function readListing(layout: CacheLayout, commit: string): Promise<RepositoryListing | undefined> {
  for (const folder of ['.blip2', 'trees']) {
    const text = await readIfPresent(join(layout.repositoryFolder, folder, `${commit}.json`));
    const parsed = text === undefined ? undefined : listingSchema.safeParse(parseJson(text));
    // Another program's record is no more to be trusted than a server's answer.
    if (!parsed?.success || Object.keys(parsed.data.files).some((path) => fileNameProblem(path) !== undefined)) continue;
    const files = Object.entries(parsed.data.files).map(([path, file]) => ({
      path,
      sizeBytes: file.lfs_size ?? file.size,
      blobId: file.lfs_sha256 ?? file.blob_id,
    }));
    return { commit, files };
  }
  return undefined;
}

/** Records the files of a commit, so that an incomplete snapshot can be told from a complete one without the network. */
export async function writeListing(layout: CacheLayout, listing: RepositoryListing): Promise<void> {
  const files = Object.fromEntries(
    listing.files.map(({ path, sizeBytes, blobId }) => [
      path,
      blobId.length === 64
        ? { size: sizeBytes, blob_id: blobId, lfs_sha256: blobId, lfs_size: sizeBytes }
        : { size: sizeBytes, blob_id: blobId },
    ]),
  );
  await writeWhole(
    layout,
    join(layout.repositoryFolder, '.blip2', `${listing.commit}.json`),
    `${JSON.stringify({ format_version: 1, files }, undefined, 1)}\n`,
  );
}

/** True when a file of the right size stands at the path, links followed. */
export async function hasFile(path: string, sizeBytes: number): Promise<boolean> {
  const found = await statIfPresent(path);
  return found?.isFile() === true && found.size === sizeBytes;
}

/** Those of the files that the snapshot lacks. */
export async function missingFiles(
  layout: CacheLayout,
  commit: string,
  files: readonly RepositoryFile[],
): Promise<readonly RepositoryFile[]> {
  const folder = snapshotFolder(layout, commit);
  const present = await Promise.all(files.map(({ path, sizeBytes }) => hasFile(join(folder, path), sizeBytes)));
  return files.filter((_, index) => !present[index]);
}

/** What is known of a snapshot without asking the Hub. */
export interface LocalSnapshot {
  readonly folder: string;
  /** Wanted files that are there, with their sizes. */
  readonly present: readonly { readonly path: string; readonly sizeBytes: number }[];
  /** Wanted files that are known to belong to the commit and are not there. */
  readonly missing: readonly string[];
  /** True when there is a record of all files of the commit, so that `missing` can be relied on. */
  readonly recorded: boolean;
}

/**
 * Looks for the wanted files of a commit in the cache. Where no record of the commit's files exists (older versions of
 * huggingface_hub write none), a snapshot counts as complete when all shards of its index are there.
 *
 * @returns `undefined` when the cache has nothing of the commit.
 */
export async function findLocalSnapshot(
  layout: CacheLayout,
  commit: string,
  include: FileFilter,
): Promise<LocalSnapshot | undefined> {
  const folder = snapshotFolder(layout, commit);
  if (!(await statIfPresent(folder))?.isDirectory()) return undefined;
  const listing = await readListing(layout, commit);
  if (listing) {
    const wanted = listing.files.filter(({ path }) => include(path));
    const missing = new Set((await missingFiles(layout, commit, wanted)).map(({ path }) => path));
    return { folder, present: wanted.filter(({ path }) => !missing.has(path)), missing: [...missing], recorded: true };
  }
  const names = await readdir(folder, { recursive: true });
  const found = await Promise.all(
    names.map(async (name) => ({ path: name.replaceAll('\\', '/'), stats: await statIfPresent(join(folder, name)) })),
  );
  const present = found.flatMap(({ path, stats }) => (stats?.isFile() && include(path) ? [{ path, sizeBytes: stats.size }] : []));
  const broken = found.flatMap(({ path, stats }) => (stats === undefined && include(path) ? [path] : []));
  const shards = await shardNames(folder);
  const absent = shards.filter((name) => include(name) && !present.some(({ path }) => path === name));
  const expected = include === isModelFile && !present.some(({ path }) => path === 'config.json') ? ['config.json'] : [];
  return { folder, present, missing: [...new Set([...broken, ...absent, ...expected])], recorded: false };
}

/**
 * Makes the files of a commit visible in its snapshot: relative symbolic links to blobs, each put in place by a rename.
 * Where links are not possible (Windows without developer mode, some mounts, `HF_HUB_DISABLE_SYMLINKS`), a hard link or a copy.
 */
export async function linkSnapshot(layout: CacheLayout, commit: string, files: readonly RepositoryFile[]): Promise<void> {
  const folder = snapshotFolder(layout, commit);
  for (const { path, blobId } of files) {
    const target = join(folder, path);
    const blob = blobPath(layout, blobId);
    const pointer = relative(dirname(target), blob);
    if ((await readlink(target).catch(() => undefined)) === pointer) continue;
    await putInPlace(layout, target, (temporary) => standIn(layout, { blob, pointer, temporary }));
  }
}

/** Writes a small file whole or not at all. */
async function writeWhole(layout: CacheLayout, path: string, text: string): Promise<void> {
  await putInPlace(layout, path, (temporary) => writeFile(temporary, text, { flag: 'wx' }));
}

/**
 * Makes something under a temporary name and moves it to its place. The name lies outside `refs` and `snapshots`: what a killed
 * process leaves behind must not look like a part of them.
 */
async function putInPlace(layout: CacheLayout, path: string, make: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = join(layout.repositoryFolder, '.blip2', `${randomBytes(6).toString('hex')}.tmp`);
  await mkdir(dirname(temporary), { recursive: true });
  await mkdir(dirname(path), { recursive: true });
  try {
    await make(temporary);
    await rename(temporary, path);
  } finally {
    // After the rename there is nothing to remove, except where two names of one file make the rename do nothing.
    await rm(temporary, { force: true }).catch(() => undefined);
  }
}

async function standIn(layout: CacheLayout, paths: { blob: string; pointer: string; temporary: string }): Promise<void> {
  if (layout.useSymlinks) {
    try {
      return await symlink(paths.pointer, paths.temporary);
    } catch (error) {
      if (!LINKS_IMPOSSIBLE.has(systemCode(error) ?? '')) throw error;
    }
  }
  try {
    await link(paths.blob, paths.temporary);
  } catch (error) {
    if (!LINKS_IMPOSSIBLE.has(systemCode(error) ?? '')) throw error;
    await copyFile(paths.blob, paths.temporary);
  }
}

const LINKS_IMPOSSIBLE: ReadonlySet<string> = new Set(['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EXDEV', 'EMLINK']);

async function shardNames(folder: string): Promise<readonly string[]> {
  const index = parseJson((await readIfPresent(join(folder, 'model.safetensors.index.json'))) ?? 'null');
  const parsed = z.object({ weight_map: z.record(z.string(), z.string()) }).safeParse(index);
  return parsed.success ? [...new Set(Object.values(parsed.data.weight_map))] : [];
}

async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (ABSENT.has(systemCode(error) ?? '')) return undefined;
    throw error;
  }
}

async function statIfPresent(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (ABSENT.has(systemCode(error) ?? '')) return undefined;
    throw error;
  }
}

const ABSENT: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'EISDIR']);

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
