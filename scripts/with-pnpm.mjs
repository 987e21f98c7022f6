// Runs a file of the workspace on the pinned Node, on a machine that has only Node ≥ 20 and npm: installs the
// workspace with the pinned pnpm first. Standard output is the file's alone; what the installation says goes to
// standard error.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

/**
 * Runs a command with pnpm and the workspace's tools, Node among them, on its path.
 * @param {string[]} command
 * @param {import('node:child_process').StdioOptions} stdio
 */
function run(command, stdio) {
  const { status, error } = spawnSync('npx', ['--yes', `--package=${packageManager}`, '--', ...command], {
    cwd: root,
    stdio,
    env: {
      ...process.env,
      PATH: join(root, 'node_modules', '.bin') + delimiter + process.env.PATH,
      npm_config_loglevel: 'error',
      npm_config_update_notifier: 'false',
      TURBO_TELEMETRY_DISABLED: '1',
    },
    shell: process.platform === 'win32',
  });
  if (error) throw error;
  return status ?? 1;
}

const installing = ['pnpm', 'install', '--frozen-lockfile', '--prefer-offline', '--reporter=append-only'];
process.exitCode = run(installing, ['inherit', 2, 2]) || run(['node', ...process.argv.slice(2)], 'inherit');
