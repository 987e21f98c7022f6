/** Frames that are not the user's: tfjs itself, this package's tracing, tensor layers of core, Node. */
const INNER_FRAMES =
  /@tensorflow|tfjs-core|[\\/]compiler[\\/](src|dist)[\\/]|[\\/]core[\\/](src|dist)[\\/]|node:internal|<anonymous>$/;

/**
 * Where a traced function was when something happened: the first frame of the stack outside of tfjs and of this package.
 * @returns `file:line:column`, or `the function` when no frame is left.
 */
export function callerOf({ stack }: Error): string {
  const frames = (stack ?? '').split('\n').filter((line) => /^\s+at /.test(line) || line.includes('@'));
  const frame = frames.find((line) => !INNER_FRAMES.test(line));
  const place = frame?.match(/\(?((?:file:\/\/|\/|[A-Za-z]:\\|https?:\/\/)[^()]+:\d+:\d+)\)?/)?.[1];
  return place ?? 'the function';
}
