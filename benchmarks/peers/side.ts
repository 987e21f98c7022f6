import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { InputError, ResourceError } from '@blip2/core';
import { processorSecondsOf } from './processor-watch.ts';
import type { MetricsTask, SideAnswers, SideDescription, SideRequest, Task } from './protocol.ts';

/** How a side's process is started. */
export interface SideCommand {
  /** For tables and messages: `PyTorch`. */
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** How much of what a process says on standard error is kept for messages. */
const KEPT_ERROR_TEXT = 2000;

/**
 * A side of a comparison: a child process that loads a task and runs it when told to. One request at a time.
 *
 * @example
 * await using side = startSide(command);
 * await side.load(task);
 * const { ms } = await side.ask({ command: 'run' });
 */
export interface Side extends AsyncDisposable {
  readonly name: string;
  /** Loads a task. @throws {ResourceError} when the side cannot. */
  load(task: Task | MetricsTask): Promise<SideDescription>;
  /** @throws {ResourceError} with the side's own words when it fails or ends. */
  ask<Request extends Exclude<SideRequest, { readonly command: 'load' | 'quit' }>>(
    request: Request,
  ): Promise<SideAnswers[Request['command']]>;
  /** Seconds of processor time so far, all threads; `undefined` where the system does not tell. */
  processorSeconds(): number | undefined;
  /** Ends the process; waits for its end. */
  quit(): Promise<void>;
}

/** Starts a side's process. It is the caller's to {@link Side.quit}. */
export function startSide(command: SideCommand): Side {
  const child = spawn(command.program, command.args, { env: { ...process.env, ...command.env } });
  return new ChildSide(command.name, child);
}

class ChildSide implements Side {
  readonly name: string;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  readonly #ended: Promise<unknown>;
  #errorText = '';
  #busy = false;

  constructor(name: string, child: ChildProcessWithoutNullStreams) {
    this.name = name;
    this.#child = child;
    this.#lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    child.stderr.on('data', (text) => (this.#errorText = (this.#errorText + String(text)).slice(-KEPT_ERROR_TEXT)));
    // A process that could not start ends its streams too; `ask` reports what it said.
    child.on('error', (cause) => (this.#errorText += cause.message));
    child.stdin.on('error', () => undefined);
    this.#ended = Promise.race([once(child, 'close'), once(child, 'error')]).catch(() => undefined);
  }

  load(task: Task | MetricsTask): Promise<SideDescription> {
    return this.#exchange({ command: 'load', task }) as Promise<SideDescription>;
  }

  ask<Request extends Exclude<SideRequest, { readonly command: 'load' | 'quit' }>>(
    request: Request,
  ): Promise<SideAnswers[Request['command']]> {
    return this.#exchange(request) as Promise<SideAnswers[Request['command']]>;
  }

  processorSeconds(): number | undefined {
    return processorSecondsOf(this.#child.pid);
  }

  async quit(): Promise<void> {
    if (this.#child.exitCode === null && !this.#busy) this.#send({ command: 'quit' });
    else this.#child.kill();
    this.#child.stdin.end(); // what a side waits on that has left its loop
    await this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.quit();
  }

  async #exchange(request: SideRequest): Promise<unknown> {
    if (this.#busy) {
      throw new InputError(
        `${this.name}: asked to ${request.command} while it is busy. Wait for one answer before the next request.`,
      );
    }
    this.#busy = true;
    this.#send(request);
    const { value, done } = await this.#lines.next();
    if (done === true) {
      await this.#ended;
      throw this.#failure(request, `its process ended (${this.#child.signalCode ?? `exit code ${this.#child.exitCode}`})`);
    }
    this.#busy = false;
    const { ok, ...answer } = JSON.parse(value) as { readonly ok: boolean; readonly error?: string };
    if (!ok) throw this.#failure(request, answer.error ?? 'it did not say why');
    return answer;
  }

  #send(request: SideRequest): void {
    this.#child.stdin.write(`${JSON.stringify(request)}\n`);
  }

  #failure(request: SideRequest, problem: string): ResourceError {
    const said = this.#errorText.trim();
    return new ResourceError(
      `${this.name}: could not ${request.command}: ${problem}, expected an answer. ` +
        (said === '' ? 'Correct that and start again.' : `Its last words, which say what to correct:\n${said}`),
    );
  }
}
