import type { UserConfig } from 'tsdown';
import { packageBuild } from '../../scripts/package-build.ts';

const build = packageBuild();

// Worker threads start from a file of their own, which nobody imports.
const withWorker: UserConfig = { ...build, entry: [...(build.entry as string[]), './src/pixel-worker.ts'] };

export default withWorker;
