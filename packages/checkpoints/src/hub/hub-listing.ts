import { listFiles, modelInfo } from '@huggingface/hub';
import { Blip2Error, DownloadError } from '@blip2/core';
import * as z from 'zod';
import { type Connection, describeSubject, fetchText, type RequestSubject } from './answers.ts';
import { shownUrl } from './exchange.ts';
import { checkFileNames } from './file-names.ts';
import { isCommit } from './repository-id.ts';

/** One file of a repository at a commit. */
export interface RepositoryFile {
  /** Path inside the repository, checked by {@link checkFileNames}. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Name of the blob in the cache: the SHA-256 of a large file, the git blob SHA-1 of a small one. Both are hashes of its content. */
  readonly blobId: string;
}

/** All files of a repository at a commit. */
export interface RepositoryListing {
  readonly commit: string;
  readonly files: readonly RepositoryFile[];
}

const LARGEST_LISTING = 100_000;
const MOST_PAGES = 1_000;

const entrySchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('directory') }),
  z.object({
    type: z.literal('file'),
    path: z.string(),
    size: z.int().nonnegative(),
    oid: z.string().regex(/^[0-9a-f]{40}$/),
    lfs: z.object({ oid: z.string().regex(/^[0-9a-f]{64}$/), size: z.int().nonnegative() }).optional(),
  }),
]);

/**
 * Asks the Hub which commit a branch or tag stands for.
 *
 * @throws {DownloadError} when repository or revision do not exist, are not accessible, or the server is no Hub.
 */
export async function fetchCommit(connection: Connection, subject: RequestSubject): Promise<string> {
  if (isCommit(subject.revision)) return subject.revision;
  const { repositoryId: name, revision } = subject;
  const { sha } = await understand(connection, subject, (fetch, hubUrl) =>
    modelInfo({ name, revision, hubUrl, fetch, additionalFields: ['sha'] }),
  );
  if (typeof sha === 'string' && isCommit(sha)) return sha;
  throw notAHub(connection, subject, `it names ${JSON.stringify(sha) ?? 'no commit'} where a commit belongs`);
}

/**
 * Asks the Hub for all files at a commit, however many pages that takes, and checks every name and hash.
 *
 * @throws {DownloadError} as {@link fetchCommit} does, and for a file name that leaves the snapshot folder.
 */
export async function fetchListing(connection: Connection, subject: RequestSubject, commit: string): Promise<RepositoryListing> {
  const entries = await understand(connection, subject, async (fetch, hubUrl) => {
    const repo = { type: 'model', name: subject.repositoryId } as const;
    const collected: unknown[] = [];
    for await (const entry of listFiles({ repo, recursive: true, revision: commit, hubUrl, fetch })) {
      if (collected.push(entry) > LARGEST_LISTING)
        throw notAHub(connection, subject, `it lists more than ${LARGEST_LISTING} files`);
    }
    return collected;
  });
  const url = shownUrl(connection.settings.endpoint);
  const files = new Map<string, RepositoryFile>();
  for (const entry of entries) {
    const parsed = entrySchema.safeParse(entry);
    if (!parsed.success)
      throw notAHub(connection, subject, `an entry is wrong: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`);
    if (parsed.data.type === 'directory') continue;
    const { path, size, oid, lfs } = parsed.data;
    files.set(path, { path, sizeBytes: lfs?.size ?? size, blobId: lfs?.oid ?? oid });
  }
  checkFileNames([...files.keys()], subject.repositoryId, url);
  return { commit, files: [...files.values()] };
}

/**
 * Lets `@huggingface/hub` speak the routes and read the pages, over our own requests: those retry, stop on abort, keep the token to
 * the endpoint and turn every error status into an error that says what to do.
 */
async function understand<Answer>(
  connection: Connection,
  subject: RequestSubject,
  ask: (fetch: typeof globalThis.fetch, hubUrl: string) => Promise<Answer>,
): Promise<Answer> {
  let pages = 0;
  const fetch: typeof globalThis.fetch = async (input) => {
    if (++pages > MOST_PAGES) throw notAHub(connection, subject, `its list has more than ${MOST_PAGES} pages`);
    const address = new URL(input instanceof Request ? input.url : input);
    const { text, headers } = await fetchText(connection, address, 'application/json', subject);
    const link = headers.get('link');
    return new Response(text, { headers: { 'content-type': 'application/json', ...(link === null ? {} : { link }) } });
  };
  try {
    return await ask(fetch, connection.settings.endpoint.href.replace(/\/$/, ''));
  } catch (error) {
    connection.abortSignal?.throwIfAborted();
    if (Blip2Error.isInstance(error)) throw error;
    throw notAHub(connection, subject, error instanceof Error ? error.message : String(error), error);
  }
}

function notAHub({ settings }: Connection, subject: RequestSubject, problem: string, cause?: unknown): DownloadError {
  const url = shownUrl(settings.endpoint);
  return new DownloadError(
    `resolveRepository: ${url} answered the request for ${describeSubject(subject)} in a way that cannot be used: ${problem.slice(0, 300)}; ` +
      'expected the JSON of a Hugging Face Hub. Check HF_ENDPOINT and whether a proxy or login page answers instead.',
    url,
    undefined,
    { cause },
  );
}
