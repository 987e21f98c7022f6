import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { ResourceError } from '@blip2/core';

/** Where a Python with PyTorch is looked for. */
export interface PythonOptions {
  /** An interpreter that has what `requirements.txt` lists. @default the environment's `BLIP2_PEER_PYTHON` */
  readonly interpreter?: string;
  /** Where one is made when none is named. */
  readonly folder: string;
  /** Told when something is installed. */
  readonly onProgress?: (message: string) => void;
}

/**
 * An interpreter with the peer's libraries: the one that was named, or a virtual environment, made once.
 *
 * @throws {ResourceError} when Python or its packages cannot be installed.
 */
export async function findPython({ interpreter, folder, onProgress }: PythonOptions): Promise<string> {
  const named = interpreter ?? process.env['BLIP2_PEER_PYTHON'];
  if (named !== undefined && named !== '') return named;
  const environment = join(folder, 'python');
  const python = process.platform === 'win32' ? join(environment, 'Scripts', 'python.exe') : join(environment, 'bin', 'python');
  if (existsSync(python)) return python;
  onProgress?.(`installing PyTorch and transformers, once, in ${environment}`);
  await mkdir(folder, { recursive: true });
  const requirements = fileURLToPath(new URL('requirements.txt', import.meta.url));
  try {
    runTool(process.platform === 'win32' ? 'python' : 'python3', ['-m', 'venv', environment]);
    runTool(python, ['-m', 'pip', 'install', '--retries', '0', '-r', requirements]);
  } catch (cause) {
    await rm(environment, { recursive: true, force: true }); // half an environment would be taken for a whole one
    throw cause;
  }
  return python;
}

function runTool(program: string, args: readonly string[]): void {
  const { status, error, stderr } = spawnSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' });
  if (status === 0) return;
  const reason = error?.message ?? stderr.trim().split('\n').slice(-3).join('\n');
  throw new ResourceError(
    `The peer: '${program} ${args.join(' ')}' failed: ${reason}\nExpected a Python 3.10 or newer with PyTorch and transformers. ` +
      `Install them yourself and name the interpreter with --python or BLIP2_PEER_PYTHON.`,
  );
}
