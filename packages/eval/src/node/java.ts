import { spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { access } from 'node:fs/promises';
import { dirname } from 'node:path';
import { UnsupportedBackendError } from '@blip2/core/errors';

/** How a scorer in Java is started. */
export interface JavaOptions {
  /** Path of the scorer's jar. @default the environment variable `METEOR_JAR` or `SPICE_JAR` */
  readonly jar?: string;
  /** The Java to run. @default the environment variable `EVAL_JAVA`, or `java` */
  readonly java?: string;
  /** How long it may stay silent, or, for SPICE, run. @default 60 s, SPICE an hour */
  readonly timeoutMs?: number;
  /** Stops the program; the call rejects with the signal's reason. */
  readonly abortSignal?: AbortSignal;
}

/** A scorer that is written in Java could not run: something is missing, or it failed. */
export class JavaScorerError extends UnsupportedBackendError {
  readonly scorer: JavaScorerName;
  /** The end of what the program wrote to its error output; empty when it never ran. */
  readonly stderr: string;

  constructor(scorer: JavaScorerName, message: string, { stderr = '', cause }: { stderr?: string; cause?: unknown } = {}) {
    super(`${scorer}: ${message}${stderr === '' ? '' : `\n${stderr}`}`, { cause });
    this.name = 'JavaScorerError';
    this.scorer = scorer;
    this.stderr = stderr;
  }

  static override isInstance(error: unknown): error is JavaScorerError {
    return UnsupportedBackendError.isInstance(error) && 'scorer' in error;
  }
}

/** The metrics that need Java. */
export type JavaScorerName = 'METEOR' | 'SPICE';

/** What a scorer is made of. */
const PARTS: Readonly<Record<JavaScorerName, string>> = {
  METEOR: 'Java and METEOR 1.5: meteor-1.5.jar, and data/paraphrase-en.gz beside it',
  SPICE: 'Java 8 to 14 and SPICE 1.0: spice-1.0.jar, and beside it lib with the jars of CoreNLP 3.6.0',
};

/**
 * The path of the jar, once it and the files beside it are there.
 *
 * @throws {JavaScorerError} that names the first one that is not.
 */
export async function findJar(scorer: JavaScorerName, jar: string | undefined, beside: readonly string[]): Promise<string> {
  const variable = `${scorer}_JAR`;
  const path = jar ?? process.env[variable];
  if (path === undefined || path === '')
    throw new JavaScorerError(
      scorer,
      `no jar is given, expected the path of one. Install ${PARTS[scorer]}. Then pass jar, or set the environment variable ${variable}.`,
    );
  if (!(await exists(path)))
    throw new JavaScorerError(
      scorer,
      `${path} is not there, expected the scorer's jar. Correct ${jar === undefined ? `the environment variable ${variable}` : 'jar'}.`,
    );
  for (const file of beside) {
    if (!(await exists(`${dirname(path)}/${file}`)))
      throw new JavaScorerError(
        scorer,
        `${file} is not beside ${path}, where the program looks for it. Copy it there; the COCO caption tools come with it or fetch it.`,
      );
  }
  return path;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** A running Java program: its answers line by line, and its end. */
export class JavaProcess {
  readonly #scorer: JavaScorerName;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #timeoutMs: number;
  readonly #abortSignal: AbortSignal | undefined;
  readonly #lines: string[] = [];
  #rest = '';
  #stderr = '';
  #ended: { readonly status: number | null; readonly cause?: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(scorer: JavaScorerName, folder: string, parameters: readonly string[], options: JavaOptions, timeoutMs: number) {
    this.#scorer = scorer;
    this.#timeoutMs = options.timeoutMs ?? timeoutMs;
    this.#abortSignal = options.abortSignal;
    options.abortSignal?.throwIfAborted();
    const java = options.java ?? (process.env['EVAL_JAVA'] || 'java');
    this.#child = spawn(java, parameters, { cwd: folder });
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const lines = (this.#rest + text).split('\n');
      this.#rest = lines.pop()!;
      this.#lines.push(...lines.map((line) => line.replace(/\r$/, '')));
      this.#wake?.();
    });
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#stderr = (this.#stderr + text).slice(-2000)));
    this.#child.stdin.on('error', () => {}); // a program that ended early is reported when its answer is awaited
    this.#child.on('error', (cause) =>
      this.#end({ status: null, cause: new JavaScorerError(scorer, notStarted(java), { cause }) }),
    );
    this.#child.on('close', (status) => this.#end({ status }));
  }

  write(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }

  /** The next line. @throws {JavaScorerError} when the program ends or stays silent instead. */
  async line(): Promise<string> {
    while (this.#lines.length === 0) {
      if (this.#ended !== undefined) throw this.#failure();
      await this.#event();
    }
    return this.#lines.shift()!;
  }

  /** Waits for a program that was successful. @throws {JavaScorerError} when it was not. */
  async end(): Promise<void> {
    this.#child.stdin.end();
    while (this.#ended === undefined) await this.#event();
    if (this.#ended.status !== 0) throw this.#failure();
  }

  /** Ends the program, whatever it does. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** An error about what the program wrote or did. */
  error(message: string): JavaScorerError {
    return new JavaScorerError(this.#scorer, message, { stderr: this.#stderr.trim() });
  }

  #end(ended: { readonly status: number | null; readonly cause?: unknown }): void {
    this.#ended ??= ended;
    this.#wake?.();
  }

  #failure(): unknown {
    const { status, cause } = this.#ended!;
    if (cause !== undefined) return cause;
    if (this.#stderr.includes('Could not score batched file input'))
      return this.error(
        'the program cannot write its result with this Java, expected Java 8 to 14, which have a JavaScript engine. Pass the path of an older java, or set EVAL_JAVA.',
      );
    return this.error(
      `the program ended with status ${status} before its work was done. Its last words may say why; check jar and java.`,
    );
  }

  /** Until something arrives or ends; not longer than the timeout. */
  async #event(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = (): void => reject(this.#abortSignal!.reason as Error);
    const timer = setTimeout(
      () =>
        reject(
          this.error(
            `the program was silent for ${this.#timeoutMs} ms, expected an answer. Raise timeoutMs if the machine is slow.`,
          ),
        ),
      this.#timeoutMs,
    );
    this.#wake = resolve;
    this.#abortSignal?.addEventListener('abort', onAbort);
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#abortSignal?.removeEventListener('abort', onAbort);
      this.#wake = undefined;
    }
  }
}

function notStarted(java: string): string {
  return `'${java}' could not be started, expected a Java program. Install Java, pass java, or set the environment variable EVAL_JAVA.`;
}
