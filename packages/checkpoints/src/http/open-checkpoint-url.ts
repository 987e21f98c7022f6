import { ConfigError, ProgressReporter, type RunOptions } from '@blip2/core';
import type { ReadOptions } from '../bytes/byte-source.ts';
import type { CheckpointFiles } from '../checkpoint/checkpoint-files.ts';
import { openCheckpointFiles, type OpenedCheckpoint } from '../checkpoint/open-checkpoint-files.ts';
import { isMissing, refusal, request, shownUrl, type HttpOptions } from './http-client.ts';
import { openHttpFile, type HttpFile } from './http-byte-source.ts';

/** Options of {@link openCheckpointUrl}. Progress covers the bytes that opening takes. */
export interface OpenUrlOptions extends RunOptions, HttpOptions {}

/** Files of a model by their names, each at a URL of its own: bundlers rename what they take along. */
export type FileUrls = Readonly<Record<string, string | URL>>;

/**
 * Opens a model folder on a server, in browsers and in Node. Headers are read and checked; each weight comes with a range
 * request of its own when it is read. From a server that ignores ranges every file of weights is downloaded whole, once.
 *
 * @param source - The folder: `https://example.org/models/blip2-opt/`, or relative to the page. Files are looked for
 *   below it; a query is kept. Or the URL of every file, by name: there are no others then.
 * @returns a checkpoint, the caller's to dispose.
 * @throws {DownloadError} when the server cannot be reached or refuses.
 * @throws {CheckpointError} when weights are missing or malformed.
 * Rejects with the signal's reason on abort.
 *
 * @example
 * const checkpoint = await openCheckpointUrl('/models/blip2-opt', { onProgress: ({ loadedBytes }) => show(loadedBytes) });
 */
export async function openCheckpointUrl(
  source: string | URL | FileUrls,
  options: OpenUrlOptions = {},
): Promise<OpenedCheckpoint> {
  const isFolder = typeof source === 'string' || source instanceof URL;
  const files = isFolder ? filesBelow(folderUrl(source), options) : filesAt(source, options);
  const checkpoint = await openCheckpointFiles(files, { abortSignal: options.abortSignal });
  files.progress?.complete(files.name);
  return checkpoint;
}

/** Files below a URL. They cannot be asked for a list. */
function filesBelow(folder: URL, options: OpenUrlOptions): FilesAtUrls {
  const urlOf = (fileName: string): string => {
    const url = new URL(encodeURIComponent(fileName), folder);
    url.search = folder.search;
    return url.href;
  };
  return new FilesAtUrls(shownUrl(folder.href).replace(/\/$/, ''), urlOf, options);
}

function filesAt(urls: FileUrls, options: OpenUrlOptions): FilesAtUrls {
  const absolute = new Map(Object.entries(urls).map(([name, url]) => [name, absoluteUrl(url).href]));
  if (absolute.size === 0) {
    throw new ConfigError(
      `openCheckpointUrl: got no files. Pass the URL of every file of the model, by name, or that of its folder.`,
    );
  }
  const shown = [...absolute.values()].find((url) => !url.startsWith('data:')) ?? 'files in data URLs';
  return new FilesAtUrls(shownUrl(shown), (fileName) => absolute.get(fileName), options);
}

/** Files on servers. */
class FilesAtUrls implements CheckpointFiles {
  readonly name: string;
  progress: ProgressReporter | undefined;
  readonly #urlOf: (fileName: string) => string | undefined;
  readonly #options: OpenUrlOptions;
  readonly #opened = new Map<string, HttpFile>();

  constructor(name: string, urlOf: (fileName: string) => string | undefined, options: OpenUrlOptions) {
    this.name = name;
    this.#urlOf = urlOf;
    this.#options = options;
  }

  pathOf(fileName: string): string {
    return shownUrl(this.#urlOf(fileName) ?? fileName);
  }

  async readFile(fileName: string, { abortSignal }: ReadOptions): Promise<Uint8Array | undefined> {
    const url = this.#urlOf(fileName);
    if (url === undefined) return undefined;
    return request(this.#options, url, {}, abortSignal, async (response) => {
      if (response.ok && !isMissing(response)) return new Uint8Array(await response.arrayBuffer());
      await response.body?.cancel();
      if (isMissing(response)) return undefined;
      throw refusal(url, response.status);
    });
  }

  async open(fileName: string, options: ReadOptions): Promise<HttpFile['source'] | undefined> {
    const url = this.#urlOf(fileName);
    const file = url === undefined ? undefined : await openHttpFile(this.#options, url, options);
    if (file === undefined) return undefined;
    this.#opened.set(fileName, file);
    return file.source;
  }

  allOpened(): void {
    const totalBytes = [...this.#opened.values()].reduce((sum, file) => sum + file.openingBytes, 0);
    const progress = new ProgressReporter('download', totalBytes, this.#options.onProgress);
    this.progress = progress;
    for (const [fileName, file] of this.#opened) {
      progress.add(fileName, file.arrivedBytes);
      file.onArrival = (bytes) => progress.add(fileName, bytes);
    }
  }
}

/** A URL whose path ends in a slash, so that file names go below it. */
function folderUrl(baseUrl: string | URL): URL {
  const url = absoluteUrl(baseUrl);
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return url;
}

/** @throws {ConfigError} for what is none. */
function absoluteUrl(text: string | URL): URL {
  const page = typeof document === 'undefined' ? globalThis.location?.href : document.baseURI;
  const url = URL.canParse(String(text), page) ? new URL(text, page) : undefined;
  if (url !== undefined && /^(?:https?|blob|data|file):$/.test(url.protocol)) return url;
  throw new ConfigError(
    `openCheckpointUrl: '${text}' is not a URL, expected one such as 'https://example.org/models/blip2-opt/'. ` +
      `For a folder on this machine use openCheckpointFolder of '@blip2/checkpoints/node'.`,
  );
}
