import { answerCommand } from './commands/answer.ts';
import { benchCommand } from './commands/bench.ts';
import { captionCommand } from './commands/caption.ts';
import { convertCommand } from './commands/convert.ts';
import { embedCommand } from './commands/embed.ts';
import { evalCommand } from './commands/eval.ts';
import { inspectCommand } from './commands/inspect.ts';
import { matchCommand } from './commands/match.ts';
import { searchCommand } from './commands/search.ts';
import { shapesCommand } from './commands/shapes.ts';
import { trainCommand } from './commands/train.ts';
import type { Command } from './command.ts';
import { describeOptions, kebab, type Options, parseCommandLine, UsageError } from './command-line.ts';
import { describeError, type ExitCode, exitCodeOf } from './exit-code.ts';
import { createOutput, type Streams } from './output.ts';
import { COMMON_OPTIONS, type CommonOptionTable } from './session.ts';

export type { ExitCode } from './exit-code.ts';
export type { Streams } from './output.ts';

const COMMON_NAMES = Object.keys(COMMON_OPTIONS) as readonly (keyof CommonOptionTable)[];

const COMMANDS: readonly Command[] = [
  captionCommand,
  answerCommand,
  matchCommand,
  embedCommand,
  searchCommand,
  trainCommand,
  evalCommand,
  inspectCommand,
  convertCommand,
  benchCommand,
  shapesCommand,
];

/**
 * The `blip2` command.
 *
 * @param words - The command line after `blip2`.
 * @param streams - Where results and remarks go.
 * @param options.abortSignal - Interrupts the work.
 * @returns the exit code: 0 done, 1 the work failed, 2 the command line or an input is unusable, 130 interrupted.
 *
 * @example
 * process.exitCode = await main(['caption', 'dog.jpg', '--model', './blip2-opt'], { out: process.stdout, error: process.stderr });
 */
export async function main(
  words: readonly string[],
  streams: Streams,
  options: { readonly abortSignal?: AbortSignal } = {},
): Promise<ExitCode> {
  const [verb, ...rest] = words;
  const output = createOutput(streams, rest.includes('--json'));
  try {
    if (verb === undefined || verb === '--help' || verb === 'help') {
      streams.out.write(overview());
      return verb === undefined ? 2 : 0;
    }
    const command = COMMANDS.find(({ name }) => name === verb);
    if (command === undefined)
      throw new UsageError(
        `Unknown verb '${verb}'. Known are ${COMMANDS.map(({ name }) => name).join(', ')}; blip2 --help says more.`,
      );
    if (rest.includes('--help')) {
      streams.out.write(commandHelp(command));
      return 0;
    }
    refuseForeignOptions(command, rest);
    const { values, positionals } = parseCommandLine(rest, { ...commonOptionsOf(command), ...command.options });
    return await command.run(positionals, values as never, {
      output,
      abortSignal: options.abortSignal ?? new AbortController().signal,
    });
  } catch (error) {
    output.note(describeError(error));
    return exitCodeOf(error);
  } finally {
    output.endProgress();
  }
}

function overview(): string {
  const verbs = COMMANDS.map(({ usage, description }) => `  blip2 ${usage}\n      ${description}`).join('\n');
  return `BLIP-2: caption, answer, match, embed and search images, and train for it.\n\n${verbs}\n\nCommon options:\n${describeOptions(COMMON_OPTIONS)}\n\nblip2 VERB --help shows a verb's own options.\n`;
}

function commandHelp(command: Command): string {
  const { usage, description, options } = command;
  return `${description}\n\n  blip2 ${usage}\n\nOptions:\n${describeOptions(options)}\n\nCommon options:\n${describeOptions(commonOptionsOf(command))}\n`;
}

/** A verb's own option takes the place of a common one of that name. */
function commonOptionsOf({ options, common = COMMON_NAMES }: Command): Options {
  return Object.fromEntries(common.filter((name) => !Object.hasOwn(options, name)).map((name) => [name, COMMON_OPTIONS[name]]));
}

/** @throws {UsageError} for an option that other verbs take: it would do nothing here, and the nearest name is another thing. */
function refuseForeignOptions(command: Command, words: readonly string[]): void {
  const known = { ...commonOptionsOf(command), ...command.options };
  const foreign = COMMON_NAMES.filter((name) => !Object.hasOwn(known, name)).map((name) => `--${kebab(name)}`);
  const found = words.map((word) => word.split('=')[0]!).find((word) => foreign.includes(word));
  if (found !== undefined) throw new UsageError(`${command.name} has no ${found}: it would do nothing. Leave it out.`);
}
