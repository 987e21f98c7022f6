// node packages/cli/examples/basic.ts
import process from 'node:process';
import { main } from '@blip2/cli';

process.exitCode = await main(['inspect', '--model', 'Salesforce/blip2-opt-2.7b'], {
  out: process.stdout,
  error: process.stderr,
});
