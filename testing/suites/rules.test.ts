import { existsSync, globSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { importsOf, packageOf, reachableImports, sourceFiles } from './imports.ts';
import { dataFolders, PUBLIC_PACKAGES, readManifest, ROOT } from './workspace.ts';

/** docs/architecture.md as data: what each package may import of the others. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  '@blip2/core': [],
  '@blip2/checkpoints': ['@blip2/core'],
  '@blip2/image': ['@blip2/core'],
  '@blip2/tokenizers': ['@blip2/core'],
  '@blip2/generation': ['@blip2/core'],
  '@blip2/vision-encoder': ['@blip2/core'],
  '@blip2/qformer': ['@blip2/core'],
  '@blip2/losses': ['@blip2/core'],
  '@blip2/eval': ['@blip2/core'],
  '@blip2/tiny': [], // weights and where they lie
  '@blip2/datasets': ['@blip2/core', '@blip2/checkpoints', '@blip2/image'],
  '@blip2/llm-adapters': ['@blip2/core', '@blip2/tokenizers', '@blip2/generation'],
  // It knows tensors and ONNX Runtime, no model; no model knows it.
  '@blip2/compiler': ['@blip2/core', '@blip2/checkpoints'],
  blip2: [
    '@blip2/core',
    '@blip2/checkpoints',
    '@blip2/image',
    '@blip2/tokenizers',
    '@blip2/generation',
    '@blip2/vision-encoder',
    '@blip2/qformer',
    '@blip2/llm-adapters',
    '@blip2/compiler',
    '@blip2/tiny',
  ],
  '@blip2/training': [
    '@blip2/core',
    '@blip2/checkpoints',
    '@blip2/compiler',
    '@blip2/datasets',
    '@blip2/image',
    '@blip2/llm-adapters',
    '@blip2/losses',
    '@blip2/qformer',
    '@blip2/tokenizers',
    '@blip2/vision-encoder',
  ],
  '@blip2/cli': [
    'blip2',
    '@blip2/core',
    '@blip2/checkpoints',
    '@blip2/datasets',
    '@blip2/eval',
    '@blip2/image',
    '@blip2/training',
  ],
};

/** Packages with compiled code or parts of Node in them; a browser bundle must never meet one. */
const NATIVE = new Set(['sharp', 'onnxruntime-node', '@huggingface/hub']);

/** Declared for the compiler, whose peers they are: the application decides whether one is installed. */
const FOR_THE_COMPILER = new Set(['onnxruntime-node', 'onnxruntime-web']);

const OURS = new Set(Object.keys(MAY_IMPORT));

it('knows every package', () => {
  expect(PUBLIC_PACKAGES.map(({ name }) => name).toSorted()).toEqual(Object.keys(MAY_IMPORT).toSorted());
});

it('the version of Node in pnpm-workspace.yaml is the one that package.json installs', () => {
  const { devDependencies } = readManifest(ROOT);
  expect(readFileSync(join(ROOT, 'pnpm-workspace.yaml'), 'utf8')).toContain(`nodeVersion: ${devDependencies?.['node']}\n`);
});

it('docs/dependencies.md lists every direct dependency at the version that is installed', () => {
  const manifests = globSync(['package.json', '{packages,testing}/*/package.json', '{testing,benchmarks,demo}/package.json'], {
    cwd: ROOT,
  });
  const declared = manifests
    .map((path) => readManifest(join(ROOT, path, '..')))
    .flatMap((one) => Object.keys({ ...one.dependencies, ...one.peerDependencies, ...one.devDependencies }))
    .filter((one) => !one.startsWith('@blip2/') && !OURS.has(one));
  const page = readFileSync(join(ROOT, 'docs/dependencies.md'), 'utf8');
  const listed = [...page.matchAll(/^\| `([^`]+)` \| ([^ ]+) \|/gm)].map(([, one, version]) => `${one}@${version}`);
  expect(listed.map((one) => one.slice(0, one.lastIndexOf('@'))).toSorted()).toEqual([...new Set(declared)].toSorted());
  const locked = readFileSync(join(ROOT, 'pnpm-lock.yaml'), 'utf8');
  expect(listed.filter((one) => !new RegExp(`^  '?${one.replaceAll('.', '\\.')}(\\(.*\\))?'?:`, 'm').test(locked))).toEqual([]);
});

describe.each(PUBLIC_PACKAGES)('$name', ({ name, folder, manifest }) => {
  const isLibrary = name !== '@blip2/cli'; // the command is an application: it chooses a backend and runs on Node
  const files = sourceFiles(folder, manifest);
  const imports = files.flatMap((file) => importsOf(file).map((one) => ({ ...one, file: relative(folder, file) })));
  const packages = imports.filter(({ specifier }) => !/^[.(]/.test(specifier) && !isBuiltin(specifier));

  it('imports only the packages below it', () => {
    const wrong = packages.filter(
      ({ specifier }) => OURS.has(packageOf(specifier)) && !MAY_IMPORT[name]!.includes(packageOf(specifier)),
    );
    expect(wrong).toEqual([]);
  });

  it('declares what it imports, and imports what it declares', () => {
    const declared = new Set(Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies }));
    const used = new Set(packages.map(({ specifier }) => packageOf(specifier)));
    expect([...used].filter((one) => !declared.has(one))).toEqual([]);
    // tfjs-core is also declared for its types, and by those whose dependencies need it as a peer.
    const unused = [...declared].filter(
      (one) => !used.has(one) && !one.startsWith('@tensorflow/') && !FOR_THE_COMPILER.has(one) && !isTypeOnly(files, one),
    );
    expect(unused).toEqual([]);
  });

  if (isLibrary)
    it('imports no tfjs backend: the application chooses', () => {
      expect(packages.filter(({ specifier }) => /^@tensorflow\/(tfjs$|tfjs-backend)/.test(specifier))).toEqual([]);
      const declared = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies });
      expect(declared.filter((one) => /^@tensorflow\/(tfjs$|tfjs-backend)/.test(one))).toEqual([]);
    });

  it('has one copy of tfjs-core: a peer, never a dependency', () => {
    expect('@tensorflow/tfjs-core' in (manifest.dependencies ?? {})).toBe(!isLibrary);
  });

  const browserEntries = Object.values(manifest.exports ?? {}).filter((path) => /\/(?!node)[\w-]+\.ts$/.test(String(path)));
  it.each(isLibrary ? (browserEntries as string[]) : [])('%s reaches neither Node nor native code', (entry) => {
    const wrong = reachableImports(join(folder, entry)).filter(
      ({ specifier }) => isBuiltin(specifier) || NATIVE.has(packageOf(specifier)) || specifier.endsWith('/node'),
    );
    expect(wrong.map(({ from, specifier }) => `${relative(folder, from)} → ${specifier}`)).toEqual([]);
  });

  it('is ready to be published', () => {
    expect(manifest).toMatchObject({
      license: 'Apache-2.0',
      type: 'module',
      sideEffects: false,
      engines: { node: '>=22' },
      files: ['dist', ...dataFolders(folder), 'README.md', 'CHANGELOG.md', 'LICENSE'],
    });
    expect(manifest.exports?.['./package.json']).toBe('./package.json');
    expect(readFileSync(join(folder, 'LICENSE'), 'utf8')).toBe(readFileSync(join(ROOT, 'LICENSE'), 'utf8'));
  });

  it('announces its changes', () => {
    const announced = globSync('.changeset/*.md', { cwd: ROOT })
      .map((path) => readFileSync(join(ROOT, path), 'utf8'))
      .some((text) => new RegExp(`^["']?${name}["']?: (patch|minor|major)$`, 'm').test(text.split('---')[1] ?? ''));
    expect(announced || existsSync(join(folder, 'CHANGELOG.md'))).toBe(true);
  });

  it('has a first example', () => {
    expect(existsSync(join(folder, 'examples/basic.ts'))).toBe(true);
    expect(readFileSync(join(folder, 'examples/basic.ts'), 'utf8').split('\n').length).toBeLessThanOrEqual(41);
  });

  describe('README.md', () => {
    const text = existsSync(join(folder, 'README.md')) ? readFileSync(join(folder, 'README.md'), 'utf8') : '';

    it('has the eight parts, in order', () => {
      const parts: readonly [part: string, sign: RegExp][] = [
        ['what it is and who should not use it', /^# .+\n+(?:(?!^#)[^])*?\b(not|instead|no need)\b/im],
        ['how to install it', /^(npm (install|i)|npx) .*/m],
        ['ten lines that print something', /^```(js|ts)\n[^]*?console\.log[^]*?^```/m],
        ['the shapes of inputs and outputs', /^## .*(shape|comes out)|\[[a-z0-9·]+(, ?[\w·×]+)*\]|→|►/im],
        ['a table of options', /^\|.+\|\n\| ?:?-+/m],
        ['backends, runtimes, memory and size, measured', /\b\d[\d.,]* ?(ms|s|MB|kB|KB|GB|KiB|MiB)\b/],
        ['accuracy and the command that reproduces it', /vitest|npm test|pnpm/],
        ['links and licences', /licen[sc]e|Apache-2\.0/i],
      ];
      const missing: string[] = [];
      let position = 0;
      for (const [part, sign] of parts) {
        const found = sign.exec(text.slice(position));
        if (found === null) missing.push(part);
        else position += found.index + (part.startsWith('what') ? found[0].length : 1);
      }
      expect(missing).toEqual([]);
    });

    it('speaks to those who install it', () => {
      expect(text).toContain(name === 'blip2' ? 'npm install blip2' : name);
      expect(text).not.toMatch(/\b(TODO|TBD|FIXME)\b|^[A-Z_]{6,}$|\b[A-Z]+_(MEASURED|SIZE|EXAMPLE)\b/m);
    });
  });

  it('keeps its files and functions short', () => {
    const long = files.filter((file) => readFileSync(file, 'utf8').split('\n').length > 400);
    expect(long.map((file) => relative(folder, file))).toEqual([]);
  });
});

/** True when sources name a package in type imports only, which the packed declarations still need. */
function isTypeOnly(files: readonly string[], name: string): boolean {
  return files.some((file) => new RegExp(`import type [^;]*from '${name}(/[^']*)?'`).test(readFileSync(file, 'utf8')));
}
