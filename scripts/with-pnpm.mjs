// Runs a workspace script with the pinned pnpm on a machine that has only Node ≥ 20 and npm.
// `node scripts/with-pnpm.mjs run demo:run` installs the workspace first when it is not installed yet.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

/** @param {string[]} args */
function pnpm(args, stdio = 'inherit') {
  const { status, error } = spawnSync('npx', ['--yes', packageManager, ...args], {
    cwd: root,
    stdio,
    env: { ...process.env, npm_config_loglevel: 'error' },
    shell: process.platform === 'win32',
  });
  if (error) throw error;
  return status ?? 1;
}

const installed = pnpm(['install', '--frozen-lockfile', '--prefer-offline', '--reporter=append-only'], ['inherit', 2, 2]);
process.exit(installed || pnpm(process.argv.slice(2)));
