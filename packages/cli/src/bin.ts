#!/usr/bin/env node
import process from 'node:process';
import { main } from './index.ts';

const interrupt = new AbortController();
process.once('SIGINT', () => interrupt.abort()); // a second one ends the process
process.exitCode = await main(
  process.argv.slice(2),
  { out: process.stdout, error: process.stderr },
  { abortSignal: interrupt.signal },
);
