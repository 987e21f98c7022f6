import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { ConfigError } from '@blip2/core';
import { type FileFilter, fileFilter, type FileSelection } from './file-names.ts';

/** The public Hub. */
export const HUB_ENDPOINT = 'https://huggingface.co';

/** How `resolveRepository` finds, fetches and stores a repository. Every field has a default from the environment. */
export interface HubOptions {
  /**
   * Branch, tag or commit. @default the commit of {@link OFFICIAL_REPOSITORIES} on the public Hub where there is one, else
   * `main`
   */
  readonly revision?: string;
  /** Folder of the cache. @default `$HF_HUB_CACHE`, else `$HF_HOME/hub`, else `~/.cache/huggingface/hub` */
  readonly cacheFolder?: string;
  /** Address of the Hub or of a mirror. @default `$HF_ENDPOINT`, else `https://huggingface.co` */
  readonly endpoint?: string;
  /** Access token for private and gated repositories. Goes to the endpoint only. @default `$HF_TOKEN` */
  readonly token?: string;
  /** Uses the cache and never the network. @default true when `$HF_HUB_OFFLINE` is `1`, `true`, `yes` or `on` */
  readonly offline?: boolean;
  /**
   * Which files to fetch: patterns with `*` and `?` over the whole path, or a function of the path.
   * @default configuration, tokenizer and processor files and safetensors weights in the repository's root
   */
  readonly include?: FileSelection;
  /** Replaces the global `fetch`, for example to go through a proxy. It must honour `redirect: 'manual'`. */
  readonly fetch?: typeof globalThis.fetch;
}

/** {@link HubOptions} with every default filled in. */
export interface HubSettings {
  readonly revision: string | undefined;
  readonly cacheFolder: string;
  readonly endpoint: URL;
  readonly token: string | undefined;
  readonly offline: boolean;
  readonly include: FileFilter;
  /** True when the caller named no files of its own. */
  readonly includesModelFiles: boolean;
  /** True where one file stands for another by a symbolic link; otherwise files are linked hard or copied. */
  readonly useSymlinks: boolean;
  readonly fetch: typeof globalThis.fetch;
  /** Silence after which a connection counts as cut, milliseconds. */
  readonly idleTimeoutMs: number;
}

/** Environment variables, as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Fills in what the options leave open, from the environment variables that huggingface_hub reads too.
 *
 * @throws {ConfigError} for an endpoint that is no http address or a token that cannot stand in a header.
 */
export function hubSettings(options: HubOptions, environment: Environment = process.env): HubSettings {
  return {
    revision: options.revision,
    cacheFolder: resolve(options.cacheFolder ?? defaultCacheFolder(environment)),
    endpoint: parseEndpoint(options.endpoint ?? (environment['HF_ENDPOINT'] || HUB_ENDPOINT)),
    token: checkToken(options.token ?? (environment['HF_TOKEN'] || environment['HUGGING_FACE_HUB_TOKEN'])),
    offline: options.offline ?? (isTrue(environment['HF_HUB_OFFLINE']) || isTrue(environment['TRANSFORMERS_OFFLINE'])),
    include: fileFilter(options.include),
    includesModelFiles: options.include === undefined,
    useSymlinks: !isTrue(environment['HF_HUB_DISABLE_SYMLINKS']),
    fetch: options.fetch ?? globalThis.fetch,
    idleTimeoutMs: 1000 * (Number(environment['HF_HUB_DOWNLOAD_TIMEOUT']) || 30),
  };
}

/**
 * The cache folder that this machine's environment names, in the order that huggingface_hub uses.
 *
 * Source: `huggingface_hub/constants.py`.
 *
 * @example
 * console.log(defaultCacheFolder()); // /home/me/.cache/huggingface/hub
 */
export function defaultCacheFolder(environment: Environment = process.env): string {
  const named = environment['HF_HUB_CACHE'] || environment['HUGGINGFACE_HUB_CACHE'];
  if (named) return expand(named, environment);
  if (environment['HF_HOME']) return join(expand(environment['HF_HOME'], environment), 'hub');
  const caches = environment['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  return join(expand(caches, environment), 'huggingface', 'hub');
}

function expand(path: string, environment: Environment): string {
  return path
    .replace(/^~(?=$|[\\/])/, homedir())
    .replace(/\$(?:\{(\w+)\}|(\w+))/g, (text, braced?: string, bare?: string) => environment[braced ?? bare ?? ''] ?? text);
}

function parseEndpoint(text: string): URL {
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password || url.search || url.hash) {
    const came = url?.username || url?.password ? 'an address with a user name or password in it' : JSON.stringify(text);
    throw new ConfigError(
      `resolveRepository: the Hub endpoint is ${came}; expected an http or https address such as ${HUB_ENDPOINT}. ` +
        `Correct HF_ENDPOINT or the option 'endpoint'; a token belongs into HF_TOKEN.`,
    );
  }
  url.pathname = url.pathname.replace(/\/+$/, '');
  return url;
}

function checkToken(token: string | undefined): string | undefined {
  const trimmed = token?.trim();
  if (!trimmed) return undefined;
  if (/^[\x21-\x7e]+$/.test(trimmed)) return trimmed;
  // The token itself must not appear in the message.
  throw new ConfigError(
    `resolveRepository: the access token has characters that cannot stand in a request header; expected printable ASCII without ` +
      `spaces, as the Hub issues it. Copy it again into HF_TOKEN.`,
  );
}

function isTrue(value: string | undefined): boolean {
  return value !== undefined && /^(1|on|yes|true)$/i.test(value);
}
