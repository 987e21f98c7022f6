import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's folder. */
export const ROOT: string = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

/** What the suites read of a package.json. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly private?: boolean;
  readonly license?: string;
  readonly type?: string;
  readonly files?: readonly string[];
  readonly sideEffects?: boolean | readonly string[];
  readonly engines?: Readonly<Record<string, string>>;
  readonly bin?: Readonly<Record<string, string>>;
  readonly exports?: Readonly<Record<string, unknown>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

/** A package of the workspace that is published. */
export interface PublicPackage {
  readonly name: string;
  /** Absolute path. */
  readonly folder: string;
  readonly manifest: Manifest;
}

/** Reads a package.json. */
export function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
}

/** Every published package, by folder name. */
export const PUBLIC_PACKAGES: readonly PublicPackage[] = globSync('packages/*/package.json', { cwd: ROOT })
  .toSorted()
  .map((path) => join(ROOT, path, '..'))
  .map((folder) => ({ name: readManifest(folder).name, folder, manifest: readManifest(folder) }))
  .filter(({ manifest }) => manifest.private !== true);

/** Folders of data that a package publishes beside its code; of data that are source, and so are in dist, the NOTICE. */
export function dataFolders(folder: string): string[] {
  return ['data', 'models', 'recipes']
    .filter((name) => existsSync(join(folder, name)))
    .map((name) => (readdirSync(join(folder, name)).some((file) => file.endsWith('.ts')) ? `${name}/NOTICE` : name));
}

/** What a command printed and how it ended. */
export interface CommandResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const ENVIRONMENT: NodeJS.ProcessEnv = {
  ...process.env,
  npm_config_loglevel: 'error',
  npm_config_package: undefined, // an npx around the tests would tell the ones inside what to run
  ONNXRUNTIME_NODE_INSTALL: 'skip', // its install script would fetch libraries for GPUs
  TURBO_TELEMETRY_DISABLED: '1',
  NO_COLOR: '1',
  FORCE_COLOR: undefined,
};

/** Runs a command and waits for it. */
export function run(command: string, args: readonly string[], options: { cwd?: string; timeoutMs?: number } = {}): CommandResult {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: options.cwd ?? ROOT,
    encoding: 'utf8',
    timeout: options.timeoutMs ?? 240_000,
    maxBuffer: 64 * 1024 * 1024,
    env: ENVIRONMENT,
    shell: process.platform === 'win32',
  });
  if (error) throw error;
  return { status, stdout, stderr };
}

/** Runs a command that must succeed; its output is the message otherwise. */
export function runOrThrow(command: string, args: readonly string[], options: { cwd?: string; timeoutMs?: number } = {}): string {
  const { status, stdout, stderr } = run(command, args, options);
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} exited with ${status}\n${stdout}\n${stderr}`);
  return stdout;
}

/** Runs the pnpm that package.json pins. */
export function pnpm(...args: readonly string[]): string {
  const { packageManager } = readManifest(ROOT) as Manifest & { packageManager: string };
  return runOrThrow('npx', ['--yes', packageManager, ...args]);
}
