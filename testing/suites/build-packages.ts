import { pnpm } from './workspace.ts';

/** Builds every package into its `dist` before the suites run; what is built already is not built again. */
export default function setup(): void {
  pnpm('run', 'build', '--output-logs=errors-only');
}
