import { accessSync, constants, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fixturePath } from '@blip2/testing';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packageOf } from './imports.ts';
import { dataFolders, pnpm, PUBLIC_PACKAGES, readManifest, ROOT, run, runOrThrow, type Manifest } from './workspace.ts';

/** Where the tarballs lie, and an empty project that installs them, far from the workspace. */
const scratch = mkdtempSync(join(tmpdir(), 'blip2-packages-'));
const tarballs = join(scratch, 'tarballs');
const project = join(scratch, 'project');

const tarballOf = ({ name, manifest }: { name: string; manifest: Manifest }): string =>
  join(tarballs, `${name.replace('@', '').replace('/', '-')}-${manifest.version}.tgz`);

beforeAll(() => {
  mkdirSync(tarballs);
  pnpm('--recursive', '--filter', './packages/*', 'pack', '--pack-destination', tarballs);
});

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe.each(PUBLIC_PACKAGES)('the tarball of $name', ({ name, folder, manifest }) => {
  const unpacked = join(scratch, 'unpacked', name);

  beforeAll(() => {
    mkdirSync(unpacked, { recursive: true });
    runOrThrow('tar', ['-xzf', tarballOf({ name, manifest }), '-C', unpacked, '--strip-components=1']);
  });

  it('holds what is needed and nothing else', () => {
    const files = globSync('**/*', { cwd: unpacked }).filter((path) => !/^dist$/.test(path));
    const folders = ['dist', ...dataFolders(folder)].map((path) => path.split('/')[0]!);
    const outside = files.filter((path) => !folders.includes(path.split('/')[0]!) && path !== 'CHANGELOG.md');
    expect(outside.toSorted()).toEqual(['LICENSE', 'README.md', 'package.json']);
    expect(files.filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'))).toEqual([]);
    expect(files.filter((path) => /test|fixture/.test(path))).toEqual([]);
  });

  it('has a manifest without the workspace in it', () => {
    const packed = readManifest(unpacked);
    expect(JSON.stringify({ ...packed, devDependencies: undefined })).not.toMatch(/workspace:|catalog:|\bsrc\//);
    expect(packed).toMatchObject({ type: 'module', sideEffects: false, license: 'Apache-2.0', engines: { node: '>=22' } });
  });

  it('has no error that publint knows', async () => {
    const pkg = readManifest(unpacked);
    const { messages } = await publint({ pkgDir: unpacked, strict: true, pack: false });
    expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
  });

  it('gives every resolver the right types', () => {
    // Modules only: CommonJS finds no types on purpose, and Node 22 loads modules with require().
    const { status, stdout, stderr } = run('attw', [
      tarballOf({ name, manifest }),
      '--profile',
      'esm-only',
      '--format',
      'ascii',
      '--no-color',
    ]);
    expect(status, `${stdout}${stderr}`).toBe(0);
  });

  if (manifest.bin)
    it('has commands that a shell can start', () => {
      for (const path of Object.values(readManifest(unpacked).bin ?? {})) {
        expect(readFileSync(join(unpacked, path), 'utf8').split('\n')[0]).toBe('#!/usr/bin/env node');
      }
    });

  it('has declarations that name no file of the workspace', () => {
    for (const path of globSync('dist/**/*.d.ts', { cwd: unpacked })) {
      const text = readFileSync(join(unpacked, path), 'utf8');
      expect(text).not.toMatch(/from ["'][^"']+\.ts["']/);
      expect(text).not.toContain(folder);
    }
  });
});

describe('a project that installs the tarballs', () => {
  // The compiler has the most of tfjs: its examples use all of it, for the gradients that it registers.
  const { devDependencies } = readManifest(join(ROOT, 'packages/compiler'));
  const tfjs = (name: string): string =>
    `${name}@${runOrThrow('node', ['-p', `require('${name}/package.json').version`], { cwd: join(ROOT, 'packages/compiler') }).trim()}`;

  beforeAll(() => {
    mkdirSync(project);
    writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }));
    const peers = Object.keys(devDependencies ?? {})
      .filter((name) => name.startsWith('@tensorflow/'))
      .map(tfjs);
    runOrThrow(
      'npm',
      [
        'install',
        '--no-audit',
        '--no-fund',
        '--prefer-offline',
        '--engine-strict=false',
        ...PUBLIC_PACKAGES.map(tarballOf),
        ...peers,
      ],
      { cwd: project },
    );
  });

  it('has one copy of tfjs-core and of each of our packages', () => {
    for (const name of ['@tensorflow/tfjs-core', ...PUBLIC_PACKAGES.map((one) => one.name)]) {
      expect(globSync(`**/node_modules/${name}/package.json`, { cwd: project })).toEqual([`node_modules/${name}/package.json`]);
    }
  });

  it('imports every entry point with Node', () => {
    const script = entryPoints().map(
      (entry) => `console.log(${JSON.stringify(entry)}, Object.keys(await import(${JSON.stringify(entry)})).length);`,
    );
    writeFileSync(join(project, 'entries.mjs'), script.join('\n'));
    expect(runOrThrow('node', ['entries.mjs'], { cwd: project }).trim().split('\n')).toHaveLength(entryPoints().length);
  });

  it.each(['nodenext', 'bundler'])('type-checks with moduleResolution %s', (moduleResolution) => {
    const uses = entryPoints().map(
      (entry, index) => `import * as entry${index} from '${entry}';\nexport type Names${index} = keyof typeof entry${index};`,
    );
    writeFileSync(
      join(project, 'consumer.ts'),
      `${uses.join('\n')}\n${readFileSync(join(ROOT, 'testing/suites/consumer.ts.txt'), 'utf8')}`,
    );
    const config = join(project, `tsconfig.${moduleResolution}.json`);
    writeFileSync(config, JSON.stringify({
      compilerOptions: {
        strict: true, noEmit: true, skipLibCheck: false, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true,
        target: 'ES2023', lib: ['ES2024', 'ESNext.Disposable', 'DOM', 'DOM.Iterable', 'DOM.AsyncIterable'], types: [],
        module: moduleResolution === 'bundler' ? 'esnext' : 'nodenext', moduleResolution,
      },
      files: ['consumer.ts'],
    })); // prettier-ignore
    const { stdout } = run('tsc', ['-p', config, '--pretty', 'false'], { cwd: project });
    // tfjs's own declarations and those they use do not pass without skipLibCheck; ours and the consumer's do.
    const errors = stdout.split('\n').filter((line) => /^(consumer\.ts|node_modules\/@?blip2\/).*error TS/.test(line));
    expect(errors).toEqual([]);
  });

  describe.each(PUBLIC_PACKAGES)('the first example of $name', ({ name }) => {
    const readme = (): string => readFileSync(join(project, 'node_modules', name, 'README.md'), 'utf8');
    const example = (): { language: string; code: string } => {
      const found = /^```(js|ts)\n([^]*?)^```/m.exec(readme());
      if (found === null) throw new Error(`${name}: README.md has no js or ts block`);
      return { language: found[1]!, code: found[2]! };
    };

    it('imports what the README says to install', () => {
      const install = /^npm (?:install|i) (.*)$/m.exec(readme())?.[1]?.split(/\s+/) ?? [];
      const imported = [...example().code.matchAll(/(?:from|import) ['"]([^'"]+)['"]/g)].map((match) => match[1]!);
      const missing = imported.filter((one) => !isBuiltin(one) && !install.includes(packageOf(one)));
      expect(imported).not.toEqual([]);
      expect(missing).toEqual([]);
    });

    it('runs and prints something', () => {
      const { language, code } = example();
      const file = `example-${name.replace(/\W/g, '-')}.${language === 'ts' ? 'ts' : 'mjs'}`;
      writeFileSync(join(project, file), code);
      const { status, stdout, stderr } = run('node', [file], { cwd: project, timeoutMs: 60_000 });
      expect(status, `${stdout}${stderr}`).toBe(0);
      expect(stdout.trim()).not.toBe('');
    });
  });

  it('runs the command', () => {
    const command = join(project, 'node_modules/.bin/blip2');
    accessSync(command, constants.X_OK);
    expect(runOrThrow(command, ['--help'], { cwd: project })).toContain('caption');
  });

  it.each(['compiled', 'eager'])('runs the command on a model, %s: ONNX Runtime comes with it', (engine) => {
    const words = ['--model', fixturePath('models/blip2-opt'), '--max-new-tokens', '2', '--engine', engine];
    const image = fixturePath('models/preprocessing/images/landscape.png');
    const { status, stdout, stderr } = run(join(project, 'node_modules/.bin/blip2'), ['caption', image, ...words], {
      cwd: project,
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout.trim()).not.toBe('');
  });
});

/** Everything that can be imported: `blip2`, `blip2/node`, … */
function entryPoints(): string[] {
  return PUBLIC_PACKAGES.flatMap(({ name, manifest }) =>
    Object.keys(manifest.exports ?? {})
      .filter((key) => key !== './package.json')
      .map((key) => name + key.slice(1)),
  );
}
