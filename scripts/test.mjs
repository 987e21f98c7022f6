// Every check of the repository, one after the other; `npm test` runs it on the pinned Node and pnpm.
// The last line is `N passed, N failed`, summed over all test runs; a check outside a test runner that fails counts as one.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const reports = mkdtempSync(join(tmpdir(), 'blip2-test-'));

/** @type {{ name: string, command: string[], reports?: boolean }[]} */
const steps = [
  { name: 'format', command: ['oxfmt', '--check', '.'] },
  { name: 'lint', command: ['oxlint', '--deny-warnings'] },
  { name: 'types', command: ['tsc', '--noEmit'] },
  { name: 'build', command: ['turbo', 'run', 'build', '--output-logs=errors-only'] },
  { name: 'unit', command: ['vitest', 'run', '--project', 'unit'], reports: true },
  { name: 'suites', command: ['vitest', 'run', '--project', 'suites'], reports: true },
];

/** @typedef {{ passed: number, failed: number, skipped: number }} Counts */

/**
 * Counts of a vitest run from its JSON report.
 * @param {string} file
 * @param {boolean} succeeded - Whether the run exited with 0.
 * @returns {Counts}
 */
function countsOf(file, succeeded) {
  let report;
  try {
    report = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return { passed: 0, failed: 1, skipped: 0 }; // it ended before it could report
  }
  // A file that cannot be loaded has no tests to fail.
  const unloadable = report.testResults.filter(
    (/** @type {any} */ result) =>
      result.status === 'failed' && !result.assertionResults.some((/** @type {any} */ test) => test.status === 'failed'),
  );
  const failed = report.numFailedTests + unloadable.length;
  // Errors outside tests fail the run without failing a test.
  return {
    passed: report.numPassedTests,
    failed: failed === 0 && !succeeded ? 1 : failed,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

const rows = [];
for (const { name, command, reports: hasReport } of steps) {
  console.log(`\n── ${name}: ${command.join(' ')}`);
  const report = join(reports, `${name}.json`);
  const extra = hasReport ? ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`] : [];
  const started = performance.now();
  const { status, error } = spawnSync(command[0], [...command.slice(1), ...extra], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1' },
    shell: process.platform === 'win32',
  });
  if (error) console.error(`${command[0]} could not be started: ${error.message}`);
  const succeeded = status === 0;
  const counts = hasReport ? countsOf(report, succeeded) : { passed: 0, failed: succeeded ? 0 : 1, skipped: 0 };
  rows.push({ name, succeeded, seconds: (performance.now() - started) / 1000, hasReport, ...counts });
}
rmSync(reports, { recursive: true, force: true });

console.log('\n── summary');
for (const { name, succeeded, seconds, hasReport, passed, failed, skipped } of rows) {
  const detail = hasReport ? `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}` : '';
  console.log(`${succeeded ? '✓' : '✗'} ${name.padEnd(8)} ${seconds.toFixed(1).padStart(6)} s  ${detail}`.trimEnd());
}
const total = (/** @type {keyof Counts} */ key) => rows.reduce((sum, row) => sum + row[key], 0);
const skipped = total('skipped');
process.exitCode = rows.every((row) => row.succeeded) ? 0 : 1;
console.log(`${total('passed')} passed, ${total('failed')} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
