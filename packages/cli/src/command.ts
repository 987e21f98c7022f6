import type { Options, Values } from './command-line.ts';
import type { CommonOptionTable, Session } from './session.ts';

/** One verb of the command. */
export interface Command<O extends Options = Options> {
  readonly name: string;
  /** How it is called, after `blip2`. */
  readonly usage: string;
  readonly description: string;
  /** Its own options. */
  readonly options: O;
  /** The common options that it takes. @default all of them */
  readonly common?: readonly (keyof CommonOptionTable)[];
  /** @returns an exit code: 0, or 2 when single inputs were unusable and said so. */
  run(positionals: readonly string[], values: Values<O & CommonOptionTable>, session: Session): Promise<0 | 2>;
}

/** Types a verb's options through to its `run`, and forgets them afterwards: all verbs are one kind of thing. */
export function defineCommand<const O extends Options>(command: Command<O>): Command {
  return command as unknown as Command;
}
