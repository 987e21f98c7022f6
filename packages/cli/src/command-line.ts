import { parseArgs } from 'node:util';
import { InputError } from '@blip2/core';

interface Described {
  readonly description: string;
}

/** What a person writes for the value: `TEXT`, `N`. */
interface Hinted extends Described {
  readonly hint: string;
}

/** `--name TEXT` */
export interface TextOption extends Hinted {
  readonly type: 'text';
  readonly default?: string;
}

/** `--name TEXT…`, up to the next option */
export interface ListOption extends Hinted {
  readonly type: 'texts';
}

/** `--name X` */
export interface NumberOption extends Hinted {
  readonly type: 'number';
  readonly default?: number;
}

/** `--name N`, a whole number of at least `min` (0) */
export interface IntegerOption extends Hinted {
  readonly type: 'integer';
  readonly min?: number;
  readonly default?: number;
}

/** `--name a|b|c` */
export interface ChoiceOption extends Described {
  readonly type: 'choice';
  readonly choices: readonly string[];
  readonly default?: string;
}

/** `--name` */
export interface FlagOption extends Described {
  readonly type: 'flag';
}

/** An option that always has a value. */
export type Defaulted<O extends { readonly default?: unknown }> = O & { readonly default: NonNullable<O['default']> };

/** One option of a command. The type of its value follows from `type`. */
export type Option = TextOption | ListOption | NumberOption | IntegerOption | ChoiceOption | FlagOption;

export type Options = Readonly<Record<string, Option>>;

type ValueOf<O extends Option> = O extends ListOption
  ? readonly string[]
  : O extends FlagOption
    ? boolean
    : O extends NumberOption | IntegerOption
      ? O extends { readonly default: number }
        ? number
        : number | undefined
      : O extends { readonly default: string }
        ? string
        : string | undefined;

/** The values of a command's options, by name. */
export type Values<O extends Options> = { readonly [Name in keyof O]: ValueOf<O[Name]> };

/** A command line that cannot be used; the message says which word and what to write instead. Exit code 2. */
export class UsageError extends InputError {}

/**
 * Parses the words after the verb.
 *
 * Node's own `parseArgs` finds the options; this adds types, lists (`--text A B C`, up to the next option),
 * negative numbers as values, and refusal of what is not known.
 *
 * @throws {UsageError} for an unknown option, a missing or malformed value.
 */
export function parseCommandLine<O extends Options>(
  words: readonly string[],
  options: O,
): { values: Values<O>; positionals: string[] } {
  const declared = Object.fromEntries(
    Object.entries(options).map(([name, option]) => [
      kebab(name),
      { type: option.type === 'flag' ? ('boolean' as const) : ('string' as const) },
    ]),
  );
  const { tokens } = parseArgs({ args: [...words], options: declared, strict: false, allowPositionals: true, tokens: true });
  const names = new Map(Object.keys(options).map((name) => [kebab(name), name]));
  const values: Record<string, unknown> = defaults(options);
  const positionals: string[] = [];
  let list: string[] | undefined;
  for (const token of tokens) {
    if (token.kind === 'option-terminator') {
      list = undefined;
      continue;
    }
    if (token.kind === 'positional') {
      (list ?? positionals).push(token.value);
      continue;
    }
    const name = names.get(token.name);
    if (name === undefined) throw new UsageError(`Unknown option ${token.rawName}. ${suggestion(token.name, [...names.keys()])}`);
    const option = options[name]!;
    list = undefined;
    if (option.type === 'flag') {
      if (token.value !== undefined)
        throw new UsageError(`${token.rawName} takes no value, but '${token.value}' was given. Leave it out.`);
      values[name] = true;
    } else if (token.value === undefined) {
      throw new UsageError(
        `${token.rawName} needs a value: ${token.rawName} ${'hint' in option ? option.hint : option.choices.join('|')}.`,
      );
    } else if (option.type === 'texts') {
      list = (values[name] as string[] | undefined) ?? [];
      list.push(token.value);
      values[name] = list;
    } else {
      values[name] = readValue(token.rawName, token.value, option);
    }
  }
  return { values: values as Values<O>, positionals };
}

function defaults(options: Options): Record<string, unknown> {
  const valueOf = (option: Option): unknown => {
    if (option.type === 'flag') return false;
    return option.type === 'texts' ? [] : option.default;
  };
  return Object.fromEntries(Object.entries(options).map(([name, option]) => [name, valueOf(option)]));
}

function readValue(name: string, text: string, option: Exclude<Option, { type: 'flag' | 'texts' }>): string | number {
  if (option.type === 'text') return text;
  if (option.type === 'choice') {
    if (option.choices.includes(text)) return text;
    throw new UsageError(`${name} is '${text}', expected one of ${option.choices.join(', ')}.`);
  }
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (option.type === 'number') {
    if (Number.isFinite(value)) return value;
    throw new UsageError(`${name} is '${text}', expected a number.`);
  }
  const min = option.min ?? 0;
  if (Number.isSafeInteger(value) && value >= min) return value;
  throw new UsageError(`${name} is '${text}', expected a whole number, ${min} or more.`);
}

/** `maxNewTokens` → `max-new-tokens` */
export function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function suggestion(name: string, known: readonly string[]): string {
  const near = known.filter((candidate) => candidate.startsWith(name.slice(0, 3)));
  const list = near.length > 0 ? near : known;
  return `${near.length > 0 ? 'Did you mean' : 'Known are'} ${list.map((candidate) => `--${candidate}`).join(', ')}${near.length > 0 ? '?' : '.'}`;
}

/** The lines of `--help` for a set of options. */
export function describeOptions(options: Options): string {
  const rows = Object.entries(options).map(([name, option]) => {
    const value = option.type === 'flag' ? '' : option.type === 'choice' ? ` ${option.choices.join('|')}` : ` ${option.hint}`;
    const standard =
      'default' in option && option.default !== undefined && option.default !== '' ? ` (default: ${option.default})` : '';
    return [`  --${kebab(name)}${value}`, `${option.description}${standard}`] as const;
  });
  const width = Math.min(36, Math.max(...rows.map(([left]) => left.length)) + 2);
  return rows
    .map(([left, right]) => (left.length < width ? left.padEnd(width) + right : `${left}\n${' '.repeat(width)}${right}`))
    .join('\n');
}
