import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/** Environment variables, as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The folder in which this package keeps what it prepared: `$BLIP2_CACHE`, else `$XDG_CACHE_HOME/blip2`, else `~/.cache/blip2`, beside the cache of
 * the Hub. It may be removed whenever no program uses it; what is missing is made again.
 *
 * @example
 * console.log(compilerCacheFolder()); // /home/me/.cache/blip2
 */
export function compilerCacheFolder(environment: Environment = process.env): string {
  const named = environment['BLIP2_CACHE'];
  if (named) return resolve(expand(named, environment));
  const caches = environment['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  return resolve(expand(caches, environment), 'blip2');
}

/** `~` and `$NAME` in a path, as the cache of the Hub reads its variables. */
function expand(path: string, environment: Environment): string {
  return path
    .replace(/^~(?=$|[\\/])/, homedir())
    .replace(/\$(?:\{(\w+)\}|(\w+))/g, (text, braced?: string, bare?: string) => environment[braced ?? bare ?? ''] ?? text);
}
