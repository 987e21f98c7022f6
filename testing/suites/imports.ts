import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseSync } from 'vite';
import type { Manifest } from './workspace.ts';

/** An import of a source file that is still there when the code runs; type imports are not. */
export interface RuntimeImport {
  readonly specifier: string;
  /** `import()` in a function: not loaded with the file. */
  readonly dynamic: boolean;
}

/** The run-time imports and re-exports of a TypeScript file, in order. */
export function importsOf(file: string): RuntimeImport[] {
  const source = readFileSync(file, 'utf8');
  const { module, errors } = parseSync(file, source);
  if (errors.length > 0) throw new Error(`${file}: ${errors[0]!.message}`);
  const statics = module.staticImports
    .filter(({ entries }) => entries.length === 0 || entries.some((entry) => !entry.isType))
    .map(({ moduleRequest }) => moduleRequest.value);
  const reexports = module.staticExports
    .flatMap(({ entries }) => entries)
    .flatMap((entry) => (entry.moduleRequest && !entry.isType ? [entry.moduleRequest.value] : []));
  const dynamics = module.dynamicImports.map(({ moduleRequest: { start, end } }) => {
    const expression = source.slice(start, end);
    return /^['"`]/.test(expression) ? expression.slice(1, -1) : `(computed: ${expression})`;
  });
  return [
    ...[...new Set([...statics, ...reexports])].map((specifier) => ({ specifier, dynamic: false })),
    ...[...new Set(dynamics)].map((specifier) => ({ specifier, dynamic: true })),
  ];
}

/** One step from a file to what it imports. */
export interface Edge extends RuntimeImport {
  readonly from: string;
}

/** Every import of a file and of the files of its package that it reaches, dynamic imports included. */
export function reachableImports(entry: string): Edge[] {
  const seen = new Set<string>();
  const edges: Edge[] = [];
  const visit = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    for (const one of importsOf(file)) {
      edges.push({ ...one, from: file });
      const target = resolve(dirname(file), one.specifier);
      if (one.specifier.startsWith('.') && /\.tsx?$/.test(target) && existsSync(target)) visit(target);
    }
  };
  visit(entry);
  return edges;
}

/** The source files of a package that end up in its `dist`: what its entry points and commands reach. */
export function sourceFiles(folder: string, { exports, bin }: Manifest): string[] {
  const entries = [...Object.values(exports ?? {}), ...Object.values(bin ?? {})]
    .filter((entry): entry is string => typeof entry === 'string' && entry.endsWith('.ts'))
    .map((entry) => join(folder, entry));
  const imported = entries.flatMap((entry) => reachableImports(entry).map(({ from }) => from));
  return [...new Set([...entries, ...imported])];
}

/** The package that a specifier names: `@scope/name` of `@scope/name/deep/file.js`. */
export function packageOf(specifier: string): string {
  const parts = specifier.split('/');
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0]!;
}
