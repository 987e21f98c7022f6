import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Set-up of a whole run: what the compiler keeps from one start to the next goes to a folder of this run, for the processes
 * that tests start, too. Nobody's own cache is read or filled.
 */
export default function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'blip2-compiler-cache-'));
  process.env['BLIP2_CACHE'] = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}
